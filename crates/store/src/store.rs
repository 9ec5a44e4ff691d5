use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use diskette_ipc::{Clock, Stop, SystemClock};

use crate::engine::Engine;
use crate::error::{Error, Result, stopped};
use crate::following::StoreClock;
use crate::options::{Durability, Options};
use crate::sqlite::Sqlite;

/// A directory in which structures live: one SQLite database, value files, and a few lock files.
///
/// A handle: cheap to clone, and to send to other threads. Opening the same directory again in one
/// process gives the same store.
///
/// # Process safety
///
/// Any number of processes on one machine, and their threads, may use a store at the same time; up to 4096 living
/// threads, of all processes together, may have written to it or held its locks. Writers queue in the order in which they
/// come, by a file of shared memory, `board`. Without it, once it was removed, nobody can write
/// ([`is_removed`](crate::Error::is_removed)) until all processes that know it have ended. Nobody else must shorten it.
/// After `fork` the child opens connections of its own. A fork doesn't wait for transactions and snapshots of the program: in
/// a child that was made in the middle of one, by whichever thread, every call is an error
/// ([`is_misuse`](crate::Error::is_misuse)).
///
/// **Never open and close `store.db` or `store.db-shm` by other means in a process that has the store open**: by POSIX's rules that
/// takes SQLite's locks from the whole process, and a snapshot may see what another process writes over it. To copy a
/// store, [`backup`](Self::backup) is the way.
///
/// # Crashes
///
/// A process that is killed, at any moment, takes nothing with it: what was committed stays, what
/// was not never happened, and what it held is free at once. For power cuts see [`Durability`].
///
/// # Cost
///
/// Opening takes about two milliseconds. Two threads are started when first needed, and sleep: one waits for the death of other
/// processes; one settles their estates, copies the write-ahead log into the database and removes the files of large values
/// that were replaced. Open files: about ten, and three for each connection of at most six that are kept. Disk: 1.7 MB for an
/// empty store, 1 MiB of it in reserve for those who remove something when it is full.
///
/// # Example
///
/// ```
/// use diskette::Store;
///
/// # let dir = tempfile::tempdir()?;
/// # std::env::set_current_dir(&dir)?;
/// let store = Store::open("crawl")?;
/// assert!(store.check()?.is_sound());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Store(Engine);

/// How calls through a handle behave.
#[derive(Clone)]
pub(crate) struct Ways {
    pub(crate) timeout: Duration,
    pub(crate) stop: Option<Stop>,
    pub(crate) read_only: bool,
    pub(crate) memory: bool,
    /// Whether they go on where the store is, once it has moved.
    pub(crate) follows: bool,
    /// That of this machine, unless it is the system's.
    pub(crate) clock: Option<Arc<dyn Clock>>,
}

impl Ways {
    pub(crate) fn of(options: &Options) -> Self {
        Ways {
            timeout: options.timeout,
            stop: None,
            read_only: options.read_only,
            memory: options.memory > 0,
            follows: true,
            clock: options.clock.clone(),
        }
    }

    /// The clock of this machine.
    pub(crate) fn clock(&self) -> Result<Arc<dyn Clock>> {
        if let Some(clock) = &self.clock {
            return Ok(Arc::clone(clock));
        }
        let failed = |error| Error::io("can't read the clock that all processes share", error);
        Ok(Arc::new(SystemClock::new().map_err(failed)?))
    }
}

/// What happens as soon as no transaction of this thread is open.
pub(crate) type PutOff = Box<dyn FnOnce(&Store) + Send>;

impl Store {
    /// Opens the store in this directory, with the default [`Options`]; creates it if it is missing,
    /// readable and writable by this user only. With the feature `postgres`, an address opens a store in a database:
    /// `postgres://user@host/database?store=name`.
    ///
    /// # Errors
    ///
    /// - [`is_not_a_store`](crate::Error::is_not_a_store): a file, or a directory of something else.
    /// - [`is_newer_format`](crate::Error::is_newer_format): a newer diskette wrote it.
    /// - [`is_read_only`](crate::Error::is_read_only): this user may not write there; [`Options::read_only`] may be the way.
    /// - [`is_misuse`](crate::Error::is_misuse): this process has it open for reading only.
    /// - [`is_unsupported`](crate::Error::is_unsupported): a network file system, or too old an SQLite.
    /// - [`is_corrupt`](crate::Error::is_corrupt): the database is damaged.
    pub fn open(path: impl AsRef<Path>) -> Result<Store> {
        Store::options().open(path)
    }

    /// How to open a store otherwise than by default.
    pub fn options() -> Options {
        Options::default()
    }

    /// The same store, with another limit to how long a call may wait for its turn to write.
    #[must_use]
    pub fn with_timeout(&self, timeout: Duration) -> Store {
        self.going(Ways {
            timeout,
            ..self.ways().clone()
        })
    }

    /// The same store, whose waits end with an error ([`is_stopped`](crate::Error::is_stopped)) once `stop` is [stopped](Stop::stop):
    /// those of the structures that are made from it for items, room, locks, permits, slots of a throttle and other parties. The
    /// turn to write is waited for all the same, within the store's timeout, so that what is in hand can be brought to its end.
    ///
    /// # Example
    ///
    /// ```
    /// use std::time::Duration;
    /// use diskette::{Deque, Stop, Store};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # std::env::set_current_dir(&dir)?;
    /// let stop = Stop::new();
    /// let store = Store::open("store")?.with_stop(&stop);
    /// let todo = Deque::<String>::new(&store, "todo")?;
    /// todo.push_back("the last")?;
    /// stop.stop();
    ///
    /// let claim = todo.claim_front(Duration::from_secs(60))?.expect("what is there is still given");
    /// claim.complete_now()?;
    /// let error = todo.claim_front(Duration::from_secs(60)).unwrap_err();
    /// assert!(error.is_stopped());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn with_stop(&self, stop: &Stop) -> Store {
        self.going(Ways {
            stop: Some(stop.clone()),
            ..self.ways().clone()
        })
    }

    /// The same store, for structures of which nothing is kept in [memory](Options::memory): each read asks the database, as do
    /// those of other processes after each commit. For what is read once, and shouldn't take the room of what is read again.
    ///
    /// # Example
    ///
    /// ```
    /// use diskette::{Index, Store};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # std::env::set_current_dir(&dir)?;
    /// let store = Store::open("store")?;
    /// let users = Index::<u64, String>::new(&store, "users")?;
    /// let log = Index::<u64, String>::new(&store.without_memory(), "log")?;
    /// log.insert(&1, "nobody was there")?;
    /// assert_eq!(users.get(&7)?, None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn without_memory(&self) -> Store {
        self.going(Ways {
            memory: false,
            ..self.ways().clone()
        })
    }

    /// Whether it was opened for reading only, by [`Options::read_only`].
    pub fn is_read_only(&self) -> bool {
        self.ways().read_only
    }

    /// The directory of the store; of one in a database the address, without a password.
    pub fn path(&self) -> &Path {
        match self.engine_now() {
            Engine::Sqlite(sqlite) => sqlite.path(),
            #[cfg(feature = "postgres")]
            Engine::Postgres(postgres) => postgres.path(),
        }
    }

    /// What a power cut may take.
    pub fn durability(&self) -> Durability {
        match self.engine_now() {
            Engine::Sqlite(sqlite) => sqlite.durability(),
            #[cfg(feature = "postgres")]
            Engine::Postgres(postgres) => postgres.durability(),
        }
    }
}

/// For the structures.
#[doc(hidden)]
impl Store {
    /// How long a call may wait for its turn to write.
    pub fn timeout(&self) -> Duration {
        self.ways().timeout
    }

    /// The clock by which all who use the store go: that of the machine, or that of the server.
    ///
    /// # Errors
    ///
    /// Those of [`SystemClock::new`].
    pub fn clock(&self) -> Result<Arc<dyn Clock>> {
        match self.engine_now() {
            Engine::Sqlite(sqlite) => {
                let clock = StoreClock {
                    here: sqlite.ways().clock()?,
                    store: self.clone(),
                };
                Ok(Arc::new(clock))
            }
            #[cfg(feature = "postgres")]
            Engine::Postgres(postgres) => Ok(postgres.clock()),
        }
    }

    /// What ends its waits.
    pub fn stop(&self) -> Option<&Stop> {
        self.ways().stop.as_ref()
    }

    /// Refuses to wait if it was stopped.
    ///
    /// # Errors
    ///
    /// [`is_stopped`](crate::Error::is_stopped).
    pub fn may_wait(&self) -> Result<()> {
        match self.stop() {
            Some(stop) if stop.is_stopped() => Err(stopped()),
            _ => Ok(()),
        }
    }

    /// Runs `then` at once, or, within a transaction of this thread, after its end: for what must
    /// happen and can't fail, such as a guard that is dropped there.
    pub fn when_free(&self, then: impl FnOnce(&Store) + Send + 'static) {
        let then = match self.engine_now() {
            Engine::Sqlite(sqlite) => sqlite.put_off(then),
            #[cfg(feature = "postgres")]
            Engine::Postgres(postgres) => postgres.put_off(then),
        };
        if let Some(then) = then {
            then(self);
        }
    }
}

impl Store {
    /// The same store for calls that behave otherwise.
    pub(crate) fn going(&self, ways: Ways) -> Store {
        Store(match &self.0 {
            Engine::Sqlite(sqlite) => Engine::Sqlite(sqlite.going(ways)),
            #[cfg(feature = "postgres")]
            Engine::Postgres(postgres) => Engine::Postgres(postgres.going(ways)),
        })
    }

    pub(crate) fn ways(&self) -> &Ways {
        match &self.0 {
            Engine::Sqlite(sqlite) => sqlite.ways(),
            #[cfg(feature = "postgres")]
            Engine::Postgres(postgres) => postgres.ways(),
        }
    }

    /// What this handle stands on, wherever the store is now.
    pub(crate) fn engine(&self) -> &Engine {
        &self.0
    }
}

#[cfg(feature = "postgres")]
impl From<crate::postgres::Postgres> for Store {
    fn from(postgres: crate::postgres::Postgres) -> Self {
        Store(Engine::Postgres(postgres))
    }
}

impl From<Sqlite> for Store {
    fn from(sqlite: Sqlite) -> Self {
        Store(Engine::Sqlite(sqlite))
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("path", &self.path())
            .finish_non_exhaustive()
    }
}
