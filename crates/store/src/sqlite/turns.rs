//! Transactions on this engine.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use diskette_ipc::Errand;
use rusqlite::Connection;

use crate::db::{Db, Link, Outcome};
use crate::error::{Error, Result, from_sqlite};
use crate::sqlite::Sqlite;
use crate::sqlite::fork;
use crate::sqlite::group::{self, Committed, Part, Parts};
use crate::sqlite::writer::{Entered, Turn};
use crate::store::Store;
use crate::transaction::{Snapshot, Transaction, half_done, within_another};

/// `store` is what the program calls, and what it has in hand within.
impl Sqlite {
    pub(crate) fn transaction<R, E: From<Error>>(
        &self,
        store: &Store,
        work: impl FnOnce(&Transaction<'_>) -> Result<R, E>,
    ) -> Result<R, E> {
        self.in_turn(store, |turn, tx| turn.lend(|| work(tx)))
    }

    pub(crate) fn snapshot<R, E: From<Error>>(
        &self,
        store: &Store,
        look: impl FnOnce(&Snapshot<'_>) -> Result<R, E>,
    ) -> Result<R, E> {
        // Taken before the state is: no value file that belongs to it can go while it is held.
        let _files = self.keep_files()?;
        let reader = self.read_truth(|| {
            let reader = self.readers().lend_to_snapshot(self)?;
            let open = Open::begin(reader.connection()?, "BEGIN", "ROLLBACK")?;
            if self.reading().is_some() {
                take_state(open.connection)?;
            }
            open.goes_on();
            Ok(Some(reader))
        })?;
        let open = Open::begun(reader.connection()?, "ROLLBACK");
        let snapshot = Snapshot {
            db: Db::reading(store, Link::Sqlite(open.connection)),
            reader: Some(&reader),
        };
        look(&snapshot)
    }

    pub(crate) fn write<R>(
        &self,
        store: &Store,
        operation: impl FnOnce(&Db<'_>) -> Result<R>,
    ) -> Result<R> {
        self.in_turn(store, |_, tx| operation(&tx.db))
    }

    pub(crate) fn write_one<R: Send>(
        &self,
        store: &Store,
        operation: impl FnOnce(&Db<'_>) -> Result<R> + Send,
    ) -> Result<R> {
        let mut part = Part::new(store, operation);
        let mut run = |connection: &Connection| part.run(connection);
        let committed = match self.writer().enter_or_leave(self, &mut run)? {
            Entered::Done(committed) => committed,
            Entered::Turn(turn) if turn.is_shared() => {
                let committed = self.commit_together(&turn, Some(&mut run));
                self.give_back(turn);
                committed.unwrap_or(Ok(()))
            }
            Entered::Turn(turn) => return self.write_alone(store, turn, part.operation.begin()?),
        };
        let (outcome, result) = part.end(committed);
        self.follow_up(store, outcome);
        result()
    }

    /// Without a transaction around it.
    fn write_alone<R>(
        &self,
        store: &Store,
        turn: Turn<'_>,
        operation: impl FnOnce(&Db<'_>) -> Result<R>,
    ) -> Result<R> {
        let watch = turn.watch();
        let db = Db::writing(store, Link::Sqlite(turn.connection()?));
        let result = operation(&db);
        turn.stop(watch, 1);
        let outcome = db.into_outcome(result.is_ok());
        self.end_turn(store, turn, outcome);
        result
    }

    /// Commits what this thread has to do, if anything, with what others have left. `None`: there was nothing.
    fn commit_together(
        &self,
        turn: &Turn<'_>,
        mut mine: Option<&mut Errand<'_, Parts>>,
    ) -> Option<Committed> {
        let connection = turn.connection().ok()?;
        let mut others = turn.parts();
        let (mut size, mut next_era) = (0, None);
        let parts = loop {
            let part = match mine.take() {
                Some(mine) => Some(mine(connection)),
                None => others.next(connection),
            };
            match part {
                Some(Ok(era)) => {
                    size += 1;
                    next_era = next_era.max(era);
                }
                Some(Err(error)) => break Err(error),
                None if size == 0 => return None,
                None => break Ok(()),
            }
            if size == group::LARGEST || !turn.wait_for_company(size) {
                break Ok(());
            }
        };
        let watch = turn.watch();
        let open = Open::begun(connection, "ROLLBACK");
        let committed = parts.and_then(|()| open.end("COMMIT").map_err(Arc::new));
        if committed.is_ok() {
            turn.stop(watch, size);
            self.begin_next(next_era);
        }
        others.end(&committed);
        Some(committed)
    }

    pub(crate) fn read<R>(
        &self,
        store: &Store,
        operation: impl Fn(&Db<'_>) -> Result<R>,
    ) -> Result<R> {
        self.read_with(store, operation, true)
    }

    pub(crate) fn read_one<R>(
        &self,
        store: &Store,
        operation: impl Fn(&Db<'_>) -> Result<R>,
    ) -> Result<R> {
        self.read_with(store, operation, false)
    }

    fn read_with<R>(
        &self,
        store: &Store,
        operation: impl Fn(&Db<'_>) -> Result<R>,
        consistent: bool,
    ) -> Result<R> {
        if self.writer().is_mine() {
            return Err(within_another());
        }
        let look = || {
            let reader = self.readers().lend(self)?;
            let connection = reader.connection()?;
            let _open = consistent
                .then(|| Open::begin(connection, "BEGIN", "ROLLBACK"))
                .transpose()?;
            let answer = operation(&Db::reading(store, Link::Sqlite(connection)))?;
            Ok(reader.is_true()?.then_some(answer))
        };
        let read = || self.read_truth(look);
        match read() {
            Err(error) if error.is_corrupt() => {
                // Perhaps a value's file was replaced between the row and the file. While this is held
                // none can go, so the second answer is the truth.
                let _files = self.keep_files()?;
                read()
            }
            result => result,
        }
    }
    fn in_turn<R, E: From<Error>>(
        &self,
        store: &Store,
        work: impl FnOnce(&Turn<'_>, &Transaction<'_>) -> Result<R, E>,
    ) -> Result<R, E> {
        let turn = self.writer().enter(self)?;
        let connection = turn.connection()?;
        let tx = Transaction {
            db: Db::writing(store, Link::Sqlite(connection)),
        };
        let result = catch_unwind(AssertUnwindSafe(|| {
            let open = Open::begin(connection, "BEGIN IMMEDIATE", "ROLLBACK")?;
            let result = work(&turn, &tx)?;
            if tx.db.doomed() {
                return Err(E::from(half_done()));
            }
            open.end("COMMIT")?;
            Ok(result)
        }));
        let outcome = tx.db.into_outcome(matches!(result, Ok(Ok(_))));
        self.end_turn(store, turn, outcome);
        result.unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// Ends a turn to write, and does what is to follow.
    fn end_turn(&self, store: &Store, turn: Turn<'_>, outcome: Outcome) {
        self.begin_next(outcome.next_era);
        self.give_back(turn);
        self.follow_up(store, outcome);
    }

    /// What makes garbage of value files begins an era while the turn lasts.
    fn begin_next(&self, era: Option<u64>) {
        if let Some(era) = era {
            self.begin_era(era);
        }
    }

    /// Ends a turn to write, once what others have left was done in it.
    fn give_back(&self, turn: Turn<'_>) {
        while turn.is_waited_for() && self.commit_together(&turn, None).is_some() {}
        drop(turn);
    }

    /// After a turn, and never while the gate is held, comes what was to follow, a checkpoint if one is due, and what was put
    /// off until now.
    fn follow_up(&self, store: &Store, outcome: Outcome) {
        if !outcome.rings.is_empty()
            && let Some(together) = &self.commons().together
            && together.board.is_listened_to()
        {
            let rings = outcome.rings.iter();
            rings.for_each(|&line| together.bell.ring(line));
        }
        for then in outcome.then {
            then(store);
        }
        self.after_commit(outcome.pages);
        self.do_what_was_put_off(store);
    }
}

/// A transaction or savepoint that is undone when dropped, by `?` as by a panic.
pub(crate) struct Open<'c> {
    connection: &'c Connection,
    undo: &'static str,
    over: bool,
}

impl<'c> Open<'c> {
    pub(crate) fn begin(
        connection: &'c Connection,
        begin: &str,
        undo: &'static str,
    ) -> Result<Self> {
        run(connection, begin)?;
        Ok(Open {
            connection,
            undo,
            over: false,
        })
    }

    /// One that was begun before and [went on](Self::goes_on).
    fn begun(connection: &'c Connection, undo: &'static str) -> Self {
        Open {
            connection,
            undo,
            over: false,
        }
    }

    fn goes_on(mut self) {
        self.over = true;
    }

    pub(crate) fn end(mut self, end: &str) -> Result<()> {
        run(self.connection, end)?;
        self.over = true;
        Ok(())
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        // After some failures (a full disk) SQLite has rolled back by itself.
        if !self.over && !fork::is_torn() && !self.connection.is_autocommit() {
            let _ = self.connection.execute_batch(self.undo);
        }
    }
}

pub(crate) fn run(connection: &Connection, statement: &str) -> Result<()> {
    fork::must_be_whole()?;
    connection
        .prepare_cached(statement)
        .and_then(|mut statement| statement.raw_execute())
        .map(drop)
        .map_err(from_sqlite)
}

/// SQLite begins with the first read only.
fn take_state(connection: &Connection) -> Result<()> {
    let mut read = connection
        .prepare_cached("SELECT 1 FROM structures LIMIT 1")
        .map_err(from_sqlite)?;
    read.exists([]).map(drop).map_err(from_sqlite)
}
