mod opening;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use diskette_ipc::{Board, Doorbell, Mutex, Owners, Stop};
use rusqlite::Connection;

use crate::commons::Commons;
use crate::connection::{self, Role};
use crate::db::Outcome;
use crate::directory::{Directory, Identity};
use crate::error::{Result, stopped};
use crate::fork::Door;
use crate::housekeeping::Housekeeper;
use crate::kind::Kind;
use crate::options::{AtomicDurability, Durability, Options};
use crate::readers::Readers;
use crate::reading::{self, Reading};
use crate::shards::Shard;
use crate::values::Values;
use crate::writer::{Turn, Writer};

pub(crate) use opening::{OPEN, OpenStores};

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
/// that were replaced. Open files: about ten, and three for each connection of at most five that are kept. Disk: 1.7 MB for an
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
pub struct Store {
    shared: Arc<Shared>,
    timeout: Duration,
    stop: Option<Stop>,
    read_only: bool,
}

/// What all handles of a store in this process share.
pub(crate) struct Shared {
    directory: Directory,
    identity: Identity,
    durability: AtomicDurability,
    pub(crate) door: Door,
    pub(crate) writer: Writer,
    pub(crate) readers: Readers,
    pub(crate) housekeeper: Housekeeper,
    values: Values,
    /// Of these this process gives back the claims of the dead.
    pub(crate) kinds: Arc<Mutex<Vec<&'static Kind>>>,
    pub(crate) commons: Arc<Commons>,
    /// What there is in place of a board and a bell if it is open for reading only.
    reading: Option<Reading>,
    /// Which shard it is, if it is one.
    shard: Option<Shard>,
    pub(crate) put_off: Arc<Mutex<Vec<PutOff>>>,
    waiting: AtomicBool,
    /// Last: once it is gone, so are all the files that were open.
    open: Arc<()>,
}

pub(crate) type PutOff = Box<dyn FnOnce(&Store) + Send>;

impl Store {
    /// Opens the store in this directory, with the default [`Options`]; creates it if it is missing,
    /// readable and writable by this user only.
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
        Store {
            shared: Arc::clone(&self.shared),
            timeout,
            stop: self.stop.clone(),
            read_only: self.read_only,
        }
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
        Store {
            shared: Arc::clone(&self.shared),
            timeout: self.timeout,
            stop: Some(stop.clone()),
            read_only: self.read_only,
        }
    }

    /// Whether it was opened for reading only, by [`Options::read_only`].
    pub fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// The directory of the store.
    pub fn path(&self) -> &Path {
        self.shared.directory.path()
    }

    /// What a power cut may take.
    pub fn durability(&self) -> Durability {
        self.shared.durability.get()
    }
}

impl Shared {
    /// `None`: it is open for reading only.
    pub(crate) fn board(&self) -> Option<&Arc<Board>> {
        let together = self.commons.together.as_ref();
        together.map(|together| &together.board)
    }

    /// Whether the files that are open here are those of the directory.
    pub(crate) fn is_intact(&self) -> bool {
        match &self.reading {
            None => self.board().is_some_and(|board| board.is_intact()),
            Some(reading) => reading.is_there(),
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.writer.with_last(|connection| {
            self.housekeeper
                .finish(connection, &self.values, &self.directory);
        });
    }
}

/// For the structures.
#[doc(hidden)]
impl Store {
    /// How long a call may wait for its turn to write.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// What ends its waits.
    pub fn stop(&self) -> Option<&Stop> {
        self.stop.as_ref()
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

    /// Who is alive.
    pub fn owners(&self) -> &Arc<Owners> {
        &self.shared.commons.owners
    }

    /// Large values.
    pub fn values(&self) -> &Values {
        &self.shared.values
    }

    /// Runs `then` at once, or, within a transaction of this thread, after its end: for what must
    /// happen and can't fail, such as a guard that is dropped there.
    pub fn when_free(&self, then: impl FnOnce(&Store) + Send + 'static) {
        if self.writer().is_mine() {
            self.shared.put_off.lock().push(Box::new(then));
            self.shared.waiting.store(true, Ordering::Release);
        } else {
            then(self);
        }
    }
}

impl Store {
    pub(crate) fn of(shared: Arc<Shared>) -> Self {
        Store {
            read_only: shared.board().is_none(),
            shared,
            timeout: Options::default().timeout,
            stop: None,
        }
    }

    /// The same database, with the timeout and what stops it of another.
    pub(crate) fn with_the_ways_of(self, other: &Store) -> Self {
        Store {
            shared: self.shared,
            ..other.clone()
        }
    }

    pub(crate) fn identity(&self) -> Identity {
        self.shared.identity
    }

    pub(crate) fn directory(&self) -> &Directory {
        &self.shared.directory
    }

    pub(crate) fn door(&self) -> &Door {
        &self.shared.door
    }

    pub(crate) fn writer(&self) -> &Writer {
        &self.shared.writer
    }

    pub(crate) fn readers(&self) -> &Readers {
        &self.shared.readers
    }

    pub(crate) fn housekeeper(&self) -> &Housekeeper {
        &self.shared.housekeeper
    }

    /// # Errors
    ///
    /// [`is_read_only`](crate::Error::is_read_only).
    pub(crate) fn bell(&self) -> Result<&Doorbell> {
        let together = self.shared.commons.together.as_ref();
        together
            .map(|together| &together.bell)
            .ok_or_else(reading::refused)
    }

    /// # Errors
    ///
    /// [`is_read_only`](crate::Error::is_read_only).
    pub(crate) fn board(&self) -> Result<&Arc<Board>> {
        self.shared.board().ok_or_else(reading::refused)
    }

    /// What there is instead of these where nobody in this process may write.
    pub(crate) fn reading(&self) -> Option<&Reading> {
        self.shared.reading.as_ref()
    }

    pub(crate) fn is_intact(&self) -> bool {
        self.shared.is_intact()
    }

    pub(crate) fn kinds(&self) -> &Mutex<Vec<&'static Kind>> {
        &self.shared.kinds
    }

    pub(crate) fn commons(&self) -> &Arc<Commons> {
        &self.shared.commons
    }

    pub(crate) fn shard(&self) -> Option<Shard> {
        self.shared.shard
    }

    /// Opens a connection of its own.
    pub(crate) fn connect(&self, role: Role) -> Result<Connection> {
        match self.reading() {
            Some(reading) => reading.connect(),
            None => connection::open(&self.shared.directory.database(), role, self.durability()),
        }
    }

    /// Ends a turn to write; then, never while the gate is held, comes what was to follow, a checkpoint if one is due,
    /// and what was put off until now.
    pub(crate) fn end_turn(&self, turn: Turn<'_>, outcome: Outcome) {
        if let Some(era) = outcome.next_era {
            self.begin_era(era);
        }
        drop(turn);
        if !outcome.rings.is_empty()
            && let Some(together) = &self.shared.commons.together
            && together.board.is_listened_to()
        {
            outcome
                .rings
                .iter()
                .for_each(|&line| together.bell.ring(line));
        }
        for then in outcome.then {
            then(self);
        }
        self.after_commit(outcome.pages);
        if self.shared.waiting.swap(false, Ordering::Acquire) {
            let put_off = std::mem::take(&mut *self.shared.put_off.lock());
            for then in put_off {
                then(self);
            }
        }
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("path", &self.path())
            .finish_non_exhaustive()
    }
}
