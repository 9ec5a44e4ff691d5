//! Transactions on this engine.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use rusqlite::Connection;

use crate::db::{Db, Link, Outcome};
use crate::error::{Error, Result, from_sqlite};
use crate::sqlite::Sqlite;
use crate::sqlite::fork;
use crate::sqlite::group::rolled_back;
use crate::sqlite::writer::Turn;
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

    pub(crate) fn write_one<R>(
        &self,
        store: &Store,
        operation: impl FnOnce(&Db<'_>) -> Result<R>,
    ) -> Result<R> {
        let turn = self.writer().enter_to_join(self)?;
        if turn.is_shared() {
            return self.write_together(store, turn, operation);
        }
        let watch = turn.watch();
        let db = Db::writing(store, Link::Sqlite(turn.connection()?));
        let result = operation(&db);
        turn.stop(watch);
        let outcome = db.into_outcome(result.is_ok());
        self.end_turn(store, turn, outcome);
        result
    }

    /// A part of a transaction in which other threads have parts: see [`group`](crate::sqlite::group).
    fn write_together<R>(
        &self,
        store: &Store,
        mut turn: Turn<'_>,
        operation: impl FnOnce(&Db<'_>) -> Result<R>,
    ) -> Result<R> {
        let connection = turn.connection()?;
        let db = Db::writing(store, Link::Sqlite(connection));
        let result = catch_unwind(AssertUnwindSafe(|| {
            if !turn.has_joined() {
                run(connection, "BEGIN IMMEDIATE")?;
            }
            run(connection, "SAVEPOINT part")?;
            let result = operation(&db)?;
            run(connection, "RELEASE part")?;
            Ok(result)
        }));
        let done = matches!(result, Ok(Ok(_)));
        let undone = || {
            run(connection, "ROLLBACK TO part")?;
            run(connection, "RELEASE part")
        };
        // After some failures (a full disk) SQLite has rolled back all parts by itself.
        let whole = match &result {
            _ if done || !connection.is_autocommit() && undone().is_ok() => Ok(()),
            Ok(Err(error)) => Err(rolled_back(error)),
            _ => Err(half_done()),
        };
        let [after_commit, after_rollback] = db.into_outcomes();
        if done {
            turn.will_begin_era(after_commit.next_era);
        }
        let committed = turn.commit_together(self, whole);
        let outcome = match done && committed.is_ok() {
            true => after_commit,
            false => after_rollback,
        };
        self.follow_up(store, outcome);
        match result.unwrap_or_else(|panic| resume_unwind(panic)) {
            Ok(result) => committed.map(|()| result),
            Err(error) => Err(error),
        }
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

    /// Ends a turn to write; then, never while the gate is held, comes what was to follow, a checkpoint if one is due,
    /// and what was put off until now.
    fn end_turn(&self, store: &Store, turn: Turn<'_>, outcome: Outcome) {
        if let Some(era) = outcome.next_era {
            self.begin_era(era);
        }
        drop(turn);
        self.follow_up(store, outcome);
    }

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

/// Commits a transaction that was handed on, or rolls it back if it isn't whole.
pub(crate) fn end(connection: &Connection, whole: Result<()>) -> Result<()> {
    let open = Open::begun(connection, "ROLLBACK");
    whole.and_then(|()| open.end("COMMIT"))
}

fn run(connection: &Connection, statement: &str) -> Result<()> {
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
