use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use diskette_ipc::Clock;

use crate::error::Result;
#[cfg(not(feature = "postgres"))]
use crate::error::{Error, ErrorKind};
#[cfg(feature = "postgres")]
use crate::postgres::Postgres;
use crate::sqlite::{Moved, Sqlite};
use crate::store::Store;

/// What a power cut may take; a killed process takes nothing in either case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// A call that returned survives the death of any process. A power cut or a crash of the
    /// operating system may undo the last moments, as a whole: never a part of a transaction
    /// (SQLite's WAL at `synchronous = NORMAL`).
    #[default]
    Process,
    /// What a call returned from is on the disk: one sync for each writing transaction
    /// (`synchronous = FULL`), which threads of one process that write at the same time share.
    Power,
}

/// One that only grows safer.
pub(crate) struct AtomicDurability(AtomicBool);

impl AtomicDurability {
    pub(crate) fn get(&self) -> Durability {
        match self.0.load(Ordering::Relaxed) {
            true => Durability::Power,
            false => Durability::Process,
        }
    }

    pub(crate) fn raise_to(&self, durability: Durability) {
        self.0
            .fetch_or(durability == Durability::Power, Ordering::Relaxed);
    }
}

impl From<Durability> for AtomicDurability {
    fn from(durability: Durability) -> Self {
        AtomicDurability(AtomicBool::new(durability == Durability::Power))
    }
}

/// How a store is opened; made by [`Store::options`].
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use diskette::{Durability, Store};
///
/// # let dir = tempfile::tempdir()?;
/// # std::env::set_current_dir(&dir)?;
/// let store = Store::options()
///     .durability(Durability::Power)
///     .timeout(Duration::from_secs(2))
///     .open("jobs")?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Options {
    pub(crate) durability: Durability,
    pub(crate) timeout: Duration,
    pub(crate) network: bool,
    pub(crate) strangers: bool,
    pub(crate) create: bool,
    pub(crate) group: bool,
    pub(crate) read_only: bool,
    pub(crate) memory: usize,
    pub(crate) clock: Option<Arc<dyn Clock>>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            durability: Durability::Process,
            timeout: Duration::from_secs(30),
            network: false,
            strangers: false,
            create: true,
            group: false,
            read_only: false,
            memory: 16 << 20,
            clock: None,
        }
    }
}

impl Options {
    /// What a power cut may take; [`Durability::Process`] unless said. Where the store is open in this process already, all
    /// its handles get the safer of the two.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// The clock of this machine, for tests; the system's unless said.
    #[doc(hidden)]
    #[must_use]
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// How long a call may wait for its turn to write; 30 s unless said. `Duration::MAX` waits for ever.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Opens a store on a network file system, or on one by FUSE, which may be one: refused otherwise, since file locks and
    /// shared memory don't work there, so that only one machine may use it, at its own risk.
    #[must_use]
    pub fn allow_network_file_system(mut self, allow: bool) -> Self {
        self.network = allow;
        self
    }

    /// Opens a store in a directory that every user of the machine may write to, which is refused otherwise: whoever can
    /// write there can read, change and remove all that is in the store.
    #[must_use]
    pub fn allow_strangers_to_write(mut self, allow: bool) -> Self {
        self.strangers = allow;
        self
    }

    /// Whether a store is created where there is none; `true` unless said. Otherwise that is an error
    /// ([`is_not_a_store`](crate::Error::is_not_a_store)): for whoever looks at a store, and may have mistyped its path.
    #[must_use]
    pub fn create(mut self, create: bool) -> Self {
        self.create = create;
        self
    }

    /// Makes a store that all users of the directory's group may use, a service and its operators, say; `false` unless said.
    ///
    /// The directory is made group-writable, and set-group-id: what is made in it later, by whomever, is the group's too. Make
    /// it beforehand, and `chgrp` it, if the group isn't the user's own. Any store in such a directory is shared.
    ///
    /// Unless said, a directory that is there already stays as it is, group-writable or not, and the files of the store are the
    /// user's alone: who else may write to the directory can't read them, but can remove them.
    #[must_use]
    pub fn share_with_group(mut self, share: bool) -> Self {
        self.group = share;
        self
    }

    /// Opens a store that is there to look at it, without changing any of its files; `false` unless said. For who may not write to
    /// it: another user, or anybody on a read-only mount. Reading, iterating, [`snapshot`](Store::snapshot),
    /// [`stats`](Store::stats), [`check`](Store::check) and [`backup`](Store::backup) work. What writes is an error
    /// ([`is_read_only`](crate::Error::is_read_only)), and so is all that concerns locks and semaphores, which aren't in the
    /// database.
    ///
    /// What is read is the store as it is, with all that was committed, or an error:
    ///
    /// | the store | is read |
    /// |---|---|
    /// | is open elsewhere to write | beside the writers, whose commits are seen at once |
    /// | was closed in order | as it was left; beside the writers, once there are some |
    /// | was open to write when its processes were killed, or its mount became read-only | with what they have committed |
    /// | lacks one of `store.db-wal` and `store.db-shm` while the other has something to say: after a power cut, or in an incomplete copy | not, until a user who may write has opened it once |
    /// | is of an earlier format | not, until a user who may write has opened it once, and its structures of that kind |
    /// | was removed or replaced meanwhile | no more ([`is_removed`](crate::Error::is_removed)) |
    /// | is on a disk that another machine writes to | **wrongly, perhaps**: neither sees the other's locks |
    ///
    /// A snapshot that was taken while nobody had the store open ends in an error when somebody opens it to write: take it again.
    ///
    /// All files must be readable: `chmod -R o+rX` (or `g+rX`) does it, for those that are made later too. This process can't open
    /// the store to write while it has it open for reading only ([`is_misuse`](crate::Error::is_misuse)); where it has it open
    /// to write, that serves this handle as well.
    ///
    /// # Process safety
    ///
    /// Writers never wait for those who only read. While there are some, the log isn't removed when the last writer closes the store. A
    /// snapshot keeps large values and the log as any other does; a large value that was replaced during one is
    /// removed with the next that is.
    ///
    /// # Cost
    ///
    /// Two to four system calls more for each call than where one may write. Linux only
    /// ([`is_unsupported`](crate::Error::is_unsupported) elsewhere).
    ///
    /// # Example
    ///
    /// ```
    /// use diskette::{Index, Store};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # std::env::set_current_dir(&dir)?;
    /// # Index::<String, u32>::new(&Store::open("crawl")?, "pages")?.insert("a", &1)?;
    /// let store = Store::options().read_only(true).open("crawl")?;
    /// let pages = Index::<String, u32>::find(&store, "pages")?.expect("the crawler has made it");
    /// assert_eq!(pages.get("a")?, Some(1));
    /// assert!(pages.insert("b", &2).unwrap_err().is_read_only());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn read_only(mut self, read_only: bool) -> Self {
        self.read_only = read_only;
        self
    }

    /// How many bytes this process may keep in memory of the entries that it has read of indexes and caches, for all its threads
    /// together; 16 MiB unless said, 0 for none. Where the store is open in this process already, the larger of the two; but a
    /// handle that was opened with 0 neither finds nor keeps anything there, nor does one
    /// [`without_memory`](Store::without_memory).
    ///
    /// What is kept is never stale. It is given for as long as no process has committed anything to the store, which is seen by a look
    /// into memory that SQLite shares among processes; after a commit each entry is read anew. So it is for what is read more
    /// often than anything is written. Entries of more than a 256th of the bytes aren't kept. A [`ShardedCache`] divides them among
    /// its shards, of which each is valid by itself.
    ///
    /// There is none in a store in a database or that is open for [reading only](Self::read_only), within a transaction or a snapshot, before the
    /// hundredth read, and before the first commit since somebody has opened the store.
    ///
    /// [`ShardedCache`]: https://docs.rs/diskette/latest/diskette/struct.ShardedCache.html
    #[must_use]
    pub fn memory(mut self, bytes: usize) -> Self {
        self.memory = bytes;
        self
    }

    /// Opens the store in this directory, or at this address (`postgres://user@host/database?store=name`, with the feature
    /// `postgres`); creates it if it is missing.
    ///
    /// # Errors
    ///
    /// Those of [`Store::open`].
    pub fn open(self, path: impl AsRef<Path>) -> Result<Store> {
        let path = path.as_ref();
        match path.to_str().filter(|path| is_address(path)) {
            #[cfg(feature = "postgres")]
            Some(address) => Postgres::open(address, &self).map(Store::from),
            #[cfg(not(feature = "postgres"))]
            Some(_) => Err(Error::new(
                ErrorKind::Unsupported,
                "this is the address of a database: build diskette with its feature `postgres`",
            )),
            None => match Moved::find_for(path, &self)? {
                None => Sqlite::open(path, &self).map(Store::from),
                #[cfg(feature = "postgres")]
                Some(moved) => {
                    let open_here = Sqlite::find_open(path, &self)?;
                    let next = open_here.map_or(Ok(None), |store| store.onward())?;
                    next.map_or_else(
                        || Postgres::open_moved(&moved, &self, self.timeout).map(Store::from),
                        Ok,
                    )
                }
                #[cfg(not(feature = "postgres"))]
                Some(moved) => Err(Error::new(
                    ErrorKind::Unsupported,
                    format!(
                        "the store {} has moved to {}: build diskette with its feature `postgres`",
                        path.display(),
                        moved.shown
                    ),
                )),
            },
        }
    }
}

/// Whether it is the address of a database, and no path.
fn is_address(path: &str) -> bool {
    path.starts_with("postgres://") || path.starts_with("postgresql://")
}
