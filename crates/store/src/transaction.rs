use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use rusqlite::Connection;

use crate::access::Access;
use crate::db::Db;
use crate::error::{Error, ErrorKind, Result, from_sqlite};
use crate::fork;
use crate::readers::Reader;
use crate::reading::overtaken;
use crate::store::Store;
use crate::writer::Turn;

/// An open write transaction; made by [`Store::transaction`].
///
/// `structure.within(tx)` is the structure inside it. What several structures do in one transaction
/// happens as a whole or not at all.
///
/// # Process safety
///
/// There is one writing transaction in a store at a time, over all processes; the others wait their
/// turn, up to the store's timeout. Keep it short: no waiting for the network in it.
///
/// # Crashes
///
/// If the process dies before the commit, nothing of it happened.
pub struct Transaction<'s> {
    db: Db<'s>,
}

/// One consistent state of the store, to read from; made by [`Store::snapshot`].
///
/// # Process safety
///
/// Nobody waits for a snapshot, and a snapshot waits for nobody; but the WAL can't be reset while
/// one is open, so that a long one costs disk.
pub struct Snapshot<'s> {
    db: Db<'s>,
    reader: &'s Reader<'s>,
}

impl Store {
    /// Runs `work` in a write transaction: committed if it returns `Ok`, rolled back if it returns
    /// `Err` or panics.
    ///
    /// # Errors
    ///
    /// Those of `work`; [`is_timeout`](Error::is_timeout) when the turn to write didn't come in time,
    /// [`is_misuse`](Error::is_misuse) within another transaction of this thread.
    ///
    /// # Example
    ///
    /// ```
    /// use diskette::{Deque, Store};
    ///
    /// type Failure = Box<dyn std::error::Error>;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # std::env::set_current_dir(&dir)?;
    /// let store = Store::open("store")?;
    /// let todo = Deque::<String>::new(&store, "todo")?;
    /// store.transaction(|tx| {
    ///     todo.within(tx).push_back("write")?;
    ///     let part = tx.transaction(|part| {
    ///         todo.within(part).clear()?;
    ///         Err::<(), Failure>("only this part is undone".into())
    ///     });
    ///     assert!(part.is_err());
    ///     Ok::<(), Failure>(())
    /// })?;
    /// assert_eq!(todo.len()?, 1);
    /// # Ok::<(), Failure>(())
    /// ```
    pub fn transaction<R, E: From<Error>>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<R, E>,
    ) -> Result<R, E> {
        self.in_turn(|turn, tx| turn.lend(|| work(tx)))
    }

    fn in_turn<R, E: From<Error>>(
        &self,
        work: impl FnOnce(&Turn<'_>, &Transaction<'_>) -> Result<R, E>,
    ) -> Result<R, E> {
        let turn = self.writer().enter(self)?;
        let connection = turn.connection()?;
        let tx = Transaction {
            db: Db::new(self, connection),
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
        self.end_turn(turn, outcome);
        result.unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// Runs `look` on one consistent state of the store.
    ///
    /// # Errors
    ///
    /// Those of `look`, and of the database.
    pub fn snapshot<R, E: From<Error>>(
        &self,
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
            db: Db::new(self, open.connection),
            reader: &reader,
        };
        look(&snapshot)
    }

    fn autocommit<R>(&self, operation: impl FnOnce(&Db<'_>) -> Result<R>) -> Result<R> {
        let turn = self.writer().enter(self)?;
        let db = Db::new(self, turn.connection()?);
        let result = operation(&db);
        let outcome = db.into_outcome(result.is_ok());
        self.end_turn(turn, outcome);
        result
    }

    fn read_with<R>(
        &self,
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
            let answer = operation(&Db::new(self, connection))?;
            Ok(reader.is_true(self)?.then_some(answer))
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
}

impl Access for Store {
    fn store(&self) -> &Store {
        self
    }

    fn read<R>(&self, operation: impl Fn(&Db<'_>) -> Result<R>) -> Result<R> {
        self.read_with(operation, true)
    }

    fn read_one<R>(&self, operation: impl Fn(&Db<'_>) -> Result<R>) -> Result<R> {
        self.read_with(operation, false)
    }

    fn write<R>(&self, operation: impl FnOnce(&Db<'_>) -> Result<R>) -> Result<R> {
        self.in_turn(|_, tx| operation(&tx.db))
    }

    fn write_one<R>(&self, operation: impl FnOnce(&Db<'_>) -> Result<R>) -> Result<R> {
        self.autocommit(operation)
    }
}

impl Transaction<'_> {
    /// A part of the transaction that can fail by itself (a savepoint): what it did is undone if it
    /// returns `Err` or panics, and the transaction around it goes on.
    ///
    /// # Errors
    ///
    /// Those of `work`, and of the database.
    pub fn transaction<R, E: From<Error>>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<R, E>,
    ) -> Result<R, E> {
        let mark = self.db.mark();
        let result = catch_unwind(AssertUnwindSafe(|| {
            let open = Open::begin(
                self.db.connection(),
                "SAVEPOINT part",
                "ROLLBACK TO part; RELEASE part",
            )?;
            let result = work(self)?;
            if self.db.doomed() {
                return Err(E::from(half_done()));
            }
            open.end("RELEASE part")?;
            Ok(result)
        }));
        if !matches!(result, Ok(Ok(_))) {
            for undo in self.db.rewind(&mark) {
                undo(self.db.store());
            }
        }
        result.unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// Runs `then` after the commit, outside the transaction.
    pub fn on_commit(&self, then: impl FnOnce(&Store) + 'static) {
        self.db.on_commit(then);
    }

    /// Runs `then` after a rollback of this part of the transaction, for what the database can't undo.
    pub fn on_rollback(&self, then: impl FnOnce(&Store) + 'static) {
        self.db.on_rollback(then);
    }
}

impl Access for Transaction<'_> {
    fn store(&self) -> &Store {
        self.db.store()
    }

    fn read<R>(&self, operation: impl Fn(&Db<'_>) -> Result<R>) -> Result<R> {
        self.db.step(operation)
    }

    fn read_one<R>(&self, operation: impl Fn(&Db<'_>) -> Result<R>) -> Result<R> {
        self.db.step(operation)
    }

    fn write<R>(&self, operation: impl FnOnce(&Db<'_>) -> Result<R>) -> Result<R> {
        self.db.step(operation)
    }

    fn write_one<R>(&self, operation: impl FnOnce(&Db<'_>) -> Result<R>) -> Result<R> {
        self.db.step(operation)
    }
}

impl Snapshot<'_> {
    fn look<R>(&self, operation: impl Fn(&Db<'_>) -> Result<R>) -> Result<R> {
        let answer = operation(&self.db);
        match self.reader.is_true(self.db.store())? {
            true => answer,
            false => Err(overtaken()),
        }
    }
}

impl Access for Snapshot<'_> {
    fn store(&self) -> &Store {
        self.db.store()
    }

    fn read<R>(&self, operation: impl Fn(&Db<'_>) -> Result<R>) -> Result<R> {
        self.look(operation)
    }

    fn read_one<R>(&self, operation: impl Fn(&Db<'_>) -> Result<R>) -> Result<R> {
        self.look(operation)
    }

    fn write<R>(&self, _: impl FnOnce(&Db<'_>) -> Result<R>) -> Result<R> {
        Err(read_only())
    }

    fn write_one<R>(&self, _: impl FnOnce(&Db<'_>) -> Result<R>) -> Result<R> {
        Err(read_only())
    }
}

impl std::fmt::Debug for Transaction<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Transaction").field(self.db.store()).finish()
    }
}

impl std::fmt::Debug for Snapshot<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Snapshot").field(self.db.store()).finish()
    }
}

/// A transaction or savepoint that is undone when dropped, by `?` as by a panic.
struct Open<'c> {
    connection: &'c Connection,
    undo: &'static str,
    over: bool,
}

impl<'c> Open<'c> {
    fn begin(connection: &'c Connection, begin: &str, undo: &'static str) -> Result<Self> {
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

    fn end(mut self, end: &str) -> Result<()> {
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

fn half_done() -> Error {
    Error::new(
        ErrorKind::Misuse,
        "an operation of this transaction failed half way and its error was passed over, so the whole was rolled back; \
         wrap what may fail in a nested `tx.transaction`",
    )
}

/// A plain call would not see what the transaction has written, or wait for its end in vain.
pub(crate) fn within_another() -> Error {
    Error::new(
        ErrorKind::Misuse,
        "this thread has a transaction open: use the structure within it (`structure.within(tx)`), or nest by \
         `tx.transaction`",
    )
}

fn read_only() -> Error {
    Error::new(
        ErrorKind::ReadOnly,
        "a snapshot can only be read; write in Store::transaction",
    )
}
