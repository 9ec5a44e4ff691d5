use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use crate::access::Access;
use crate::db::{Db, Link};
use crate::engine::Engine;
use crate::error::{Error, ErrorKind, Result};
use crate::sqlite::memory::Memory;
use crate::sqlite::readers::Reader;
use crate::sqlite::reading::overtaken;
use crate::sqlite::turns::Open;
use crate::store::Store;

/// An open write transaction; made by [`Store::transaction`].
///
/// `structure.within(tx)` is the structure inside it. What several structures do in one transaction
/// happens as a whole or not at all.
///
/// # Process safety
///
/// There is one writing transaction in a store at a time, over all processes; the others wait their
/// turn, up to the store's timeout. Keep it short: no waiting for the network in it. On PostgreSQL those that are
/// [over](Store::transaction_over) different structures run side by side.
///
/// # Crashes
///
/// If the process dies before the commit, nothing of it happened.
pub struct Transaction<'s> {
    pub(crate) db: Db<'s>,
}

/// One consistent state of the store, to read from; made by [`Store::snapshot`].
///
/// # Process safety
///
/// Nobody waits for a snapshot, and a snapshot waits for nobody; but the WAL can't be reset while
/// one is open, so that a long one costs disk.
pub struct Snapshot<'s> {
    pub(crate) db: Db<'s>,
    /// What tells whether it is the truth, where nobody may write.
    pub(crate) reader: Option<&'s Reader<'s>>,
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
        self.once(work, |store, work| match store.engine() {
            Engine::Sqlite(sqlite) => sqlite.transaction(store, |tx| work.begin()?(tx)),
            #[cfg(feature = "postgres")]
            Engine::Postgres(postgres) => postgres.transaction(store, |tx| work.begin()?(tx)),
        })
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
        self.once(look, |store, look| match store.engine() {
            Engine::Sqlite(sqlite) => sqlite.snapshot(store, |state| look.begin()?(state)),
            #[cfg(feature = "postgres")]
            Engine::Postgres(postgres) => postgres.snapshot(store, |state| look.begin()?(state)),
        })
    }

    /// A [`write`](Access::write) of what is nobody else's to write, in the turn of those who look who waits for whom, and no other: of those who
    /// wait in a circle one is to see it.
    ///
    /// # Errors
    ///
    /// Those of `operation`, and of the database.
    #[doc(hidden)]
    pub fn one_by_one<R>(&self, operation: impl FnOnce(&Db<'_>) -> Result<R>) -> Result<R> {
        self.once(operation, |store, operation| match store.engine() {
            Engine::Sqlite(sqlite) => sqlite.write(store, |db| operation.begin()?(db)),
            #[cfg(feature = "postgres")]
            Engine::Postgres(postgres) => postgres.one_by_one(store, |db| operation.begin()?(db)),
        })
    }

    /// Whether a transaction of this thread is open.
    pub(crate) fn is_in_transaction(&self) -> bool {
        match self.engine_now() {
            Engine::Sqlite(sqlite) => sqlite.writer().is_mine(),
            #[cfg(feature = "postgres")]
            Engine::Postgres(postgres) => postgres.is_within(),
        }
    }
}

impl Access for Store {
    fn store(&self) -> &Store {
        self
    }

    fn read<R>(&self, operation: impl Fn(&Db<'_>) -> Result<R>) -> Result<R> {
        self.again(|store| match store.engine() {
            Engine::Sqlite(sqlite) => sqlite.read(store, &operation),
            #[cfg(feature = "postgres")]
            Engine::Postgres(postgres) => postgres.read(store, &operation),
        })
    }

    fn read_one<R>(&self, operation: impl Fn(&Db<'_>) -> Result<R>) -> Result<R> {
        self.again(|store| match store.engine() {
            Engine::Sqlite(sqlite) => sqlite.read_one(store, &operation),
            #[cfg(feature = "postgres")]
            Engine::Postgres(postgres) => postgres.read_one(store, &operation),
        })
    }

    fn write<R>(&self, operation: impl FnOnce(&Db<'_>) -> Result<R>) -> Result<R> {
        self.once(operation, |store, operation| match store.engine() {
            Engine::Sqlite(sqlite) => sqlite.write(store, |db| operation.begin()?(db)),
            #[cfg(feature = "postgres")]
            Engine::Postgres(postgres) => postgres.write(store, |db| operation.begin()?(db)),
        })
    }

    fn write_one<R: Send>(&self, operation: impl FnOnce(&Db<'_>) -> Result<R> + Send) -> Result<R> {
        self.once(operation, |store, operation| match store.engine() {
            Engine::Sqlite(sqlite) => sqlite.write_one(store, |db| operation.begin()?(db)),
            #[cfg(feature = "postgres")]
            Engine::Postgres(postgres) => postgres.write_one(store, |db| operation.begin()?(db)),
        })
    }

    fn read_and_write_one<R: Send>(
        &self,
        operation: impl FnOnce(&Db<'_>) -> Result<R> + Send,
    ) -> Result<R> {
        self.once(operation, |store, operation| match store.engine() {
            Engine::Sqlite(sqlite) => sqlite.write_one(store, |db| operation.begin()?(db)),
            #[cfg(feature = "postgres")]
            Engine::Postgres(postgres) => postgres.write(store, |db| operation.begin()?(db)),
        })
    }

    fn memory(&self) -> Option<Memory<'_>> {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.memory(),
            #[cfg(feature = "postgres")]
            Engine::Postgres(_) => None,
        }
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
            let open = Part::begin(self.db.link())?;
            let result = work(self)?;
            if self.db.doomed() {
                return Err(E::from(half_done()));
            }
            open.end()?;
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
    pub fn on_commit(&self, then: impl FnOnce(&Store) + Send + 'static) {
        self.db.on_commit(then);
    }

    /// Runs `then` after a rollback of this part of the transaction, for what the database can't undo.
    pub fn on_rollback(&self, then: impl FnOnce(&Store) + Send + 'static) {
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

    fn write_one<R: Send>(&self, operation: impl FnOnce(&Db<'_>) -> Result<R> + Send) -> Result<R> {
        self.db.step(operation)
    }
}

impl Snapshot<'_> {
    fn look<R>(&self, operation: impl Fn(&Db<'_>) -> Result<R>) -> Result<R> {
        let answer = operation(&self.db);
        match self.reader.map_or(Ok(true), Reader::is_true)? {
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

    fn write_one<R: Send>(&self, _: impl FnOnce(&Db<'_>) -> Result<R> + Send) -> Result<R> {
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

/// A part of a transaction, undone when dropped.
enum Part<'c> {
    Sqlite(Open<'c>),
    #[cfg(feature = "postgres")]
    Postgres(crate::postgres::Part<'c>),
}

impl<'c> Part<'c> {
    const BEGIN: &'static str = "SAVEPOINT part";
    const END: &'static str = "RELEASE part";
    const UNDO: &'static str = "ROLLBACK TO part; RELEASE part";

    fn begin(link: Link<'c>) -> Result<Self> {
        match link {
            Link::Sqlite(connection) => {
                Open::begin(connection, Self::BEGIN, Self::UNDO).map(Part::Sqlite)
            }
            #[cfg(feature = "postgres")]
            Link::Postgres(work) => {
                crate::postgres::Part::begin(work, Self::BEGIN, Self::UNDO).map(Part::Postgres)
            }
        }
    }

    fn end(self) -> Result<()> {
        match self {
            Part::Sqlite(open) => open.end(Self::END),
            #[cfg(feature = "postgres")]
            Part::Postgres(part) => part.end(Self::END),
        }
    }
}

pub(crate) fn half_done() -> Error {
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
