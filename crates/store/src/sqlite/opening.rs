//! Opening a directory.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;

use diskette_ipc::clock::Deadline;
use diskette_ipc::{Doorbell, Eras, FileLock, Mode, Owners};
use diskette_vfs::LogLocks;

use rusqlite::Connection;

use crate::access::Access;
use crate::error::{Error, ErrorKind, Result, timed_out};
use crate::options::{Durability, Options};
use crate::removal;
use crate::sqlite::board;
use crate::sqlite::catalog;
use crate::sqlite::commons::{Commons, Together};
use crate::sqlite::connection::{self, Role};
use crate::sqlite::directory::{Directory, Identity};
use crate::sqlite::following::Following;
use crate::sqlite::fork::{self, Door};
use crate::sqlite::garbage;
use crate::sqlite::gate::Gate;
use crate::sqlite::housekeeping::{Housekeeper, Job};
use crate::sqlite::memory::Shelves;
use crate::sqlite::open_stores::{OPEN, found, keep};
use crate::sqlite::readers::Readers;
use crate::sqlite::reading::{self, Reading};
use crate::sqlite::shards::Shard;
use crate::sqlite::values::Values;
use crate::sqlite::writer::Writer;
use crate::sqlite::{Shared, Sqlite};

impl Sqlite {
    pub(crate) fn open(path: &Path, options: &Options) -> Result<Sqlite> {
        let place = || format!("opening the store {}", path.display());
        let opened = if options.read_only {
            Self::open_directory_to_read(path, options)
        } else {
            Self::open_directory(path, options).map_err(|error| {
                match error.is_read_only() && path.join("store.db").exists() {
                    true => error.or("; to look at the store only, use Options::read_only"),
                    false => error,
                }
            })
        };
        opened.map_err(|error| error.at(place))
    }

    /// The store of a directory that has moved, if this process has it open from before.
    #[cfg(feature = "postgres")]
    pub(crate) fn find_open(path: &Path, options: &Options) -> Result<Option<Sqlite>> {
        let identity = Directory::find(path, options)?.identity()?;
        let open = OPEN.lock();
        let entry = open.as_ref().and_then(|open| open.get(&identity));
        let store = entry.and_then(|entry| entry.store(options));
        Ok(store.filter(|store| options.read_only || !store.is_for_reading()))
    }

    fn open_directory(path: &Path, options: &Options) -> Result<Sqlite> {
        connection::require_sound_sqlite()?;
        fork::must_be_whole()?;
        fork::watch();
        let directory = Directory::prepare(path, options)?;
        let identity = directory.identity()?;
        // Held to the end, so that two threads that open one directory open it once.
        let mut open = OPEN.lock();
        let open = open.get_or_insert_default();
        if let Some(store) = found(open, identity, options)? {
            store.must_be_open_to_write()?;
            store.shared.durability.raise_to(options.durability);
            return Ok(store);
        }
        let shared = Shared::open(directory, identity, options)?;
        let store = keep(open, shared, options);
        store.must_be_here()?;
        store.keep_reserve();
        store.mourn_the_dead()?;
        store.take_up_work()?;
        store.store().remove_orphaned_shards()?;
        Ok(store)
    }

    /// Goes on with what others have left unfinished.
    pub(crate) fn take_up_work(&self) -> Result<()> {
        if self.store().read_one(garbage::is_there)? {
            self.wake(Job::Sweep);
        }
        if self.store().read_one(removal::is_unfinished)? {
            self.wake(Job::Clear);
        }
        Ok(())
    }

    fn open_directory_to_read(path: &Path, options: &Options) -> Result<Sqlite> {
        connection::require_sound_sqlite()?;
        fork::must_be_whole()?;
        fork::watch();
        let directory = Directory::find(path, options)?;
        let identity = directory.identity()?;
        let mut open = OPEN.lock();
        let open = open.get_or_insert_default();
        if let Some(store) = found(open, identity, options)? {
            return Ok(store);
        }
        let shared = Shared::open_to_read(directory, identity, options)?;
        let store = keep(open, shared, options);
        store.read_truth(|| {
            let reader = store.readers().lend(&store)?;
            catalog::must_be_of_this_format(reader.connection()?)?;
            Ok(reader.is_true()?.then_some(()))
        })?;
        Ok(store)
    }

    /// Opens some of the databases below this store, each beside what all of them have in common.
    pub(crate) fn open_shards(
        &self,
        shards: impl ExactSizeIterator<Item = Shard>,
    ) -> Result<Vec<Sqlite>> {
        fork::must_be_whole()?;
        let options = Options::default()
            .timeout(self.timeout())
            .memory(self.shared.memory.limit() / shards.len().max(1))
            .read_only(self.is_read_only());
        // In this order, as a store is opened.
        let mut open = OPEN.lock();
        let open = open.get_or_insert_default();
        let opening = match self.is_read_only() {
            true => None,
            false => Some(alone(self.directory(), self.timeout())?),
        };
        let opened = shards.map(|shard| {
            let directory = match &opening {
                Some(_) => shard.prepare(self.directory())?,
                None => shard.find(self.directory())?,
            };
            let identity = directory.identity()?;
            if let Some(store) = found(open, identity, &options)? {
                return Ok(store.going(self.ways.clone()));
            }
            let commons = Arc::clone(self.commons());
            let shared = match &opening {
                Some(_) => {
                    let durability = self.durability();
                    // Those who have the shards open have the store open as well.
                    let first = First::open(&directory, durability, || Ok(false))?;
                    Shared::with_first(first, directory, identity, durability, commons, Some(shard))
                }
                None => {
                    let reading = Reading::open(&directory, self.timeout())?;
                    Shared::with_reading(reading, directory, identity, commons, Some(shard))
                }
            };
            Ok(keep(open, shared?, &options).going(self.ways.clone()))
        });
        opened.collect()
    }

    /// SQLite would take what it needs to write for what it has to read.
    fn must_be_open_to_write(&self) -> Result<()> {
        match self.reading() {
            None => Ok(()),
            Some(_) => Err(Error::new(
                ErrorKind::Misuse,
                "this process has the store open for reading only: drop all that belongs to it first, or open it to write \
                 before, which serves those who only read as well",
            )),
        }
    }
}

impl Shared {
    fn open(directory: Directory, identity: Identity, options: &Options) -> Result<Self> {
        let failed = |source| cant_open(&directory, source);
        let opening = alone(&directory, options.timeout)?;
        let owners = Owners::open(&directory.owners(), directory.lock("owners")).map_err(failed)?;
        let others_live = || board::others_live(&owners).map_err(failed);
        let first = First::open(&directory, options.durability, others_live)?;
        let owners = Arc::new(owners);
        let board = Arc::new(board::open(&directory, &owners, &first.connection)?);
        opening.unlock().map_err(failed)?;
        let bell = Doorbell::open(directory.bell()).map_err(failed)?;
        let commons = Arc::new(Commons::new(
            directory.clone(),
            owners,
            Some(Together { bell, board }),
        ));
        let durability = options.durability;
        Self::with_first(first, directory, identity, durability, commons, None)
    }

    fn with_first(
        first: First,
        directory: Directory,
        identity: Identity,
        durability: Durability,
        commons: Arc<Commons>,
        shard: Option<Shard>,
    ) -> Result<Self> {
        let failed = |source| cant_open(&directory, source);
        let Some(together) = &commons.together else {
            return Err(reading::refused());
        };
        let number = shard.map_or(Gate::OF_A_STORE, |shard| shard.number_on_board(0));
        let gate = Gate::new(&together.board, number).map_err(failed)?;
        let eras = Eras::open(&directory.lock("eras")).map_err(failed)?;
        Ok(Shared {
            door: Door::default(),
            log_locks: Some(first.log_locks),
            writer: Writer::new(gate, first.connection, durability),
            readers: Readers::default(),
            memory: Shelves::default(),
            housekeeper: Housekeeper::default(),
            values: Values::new(directory.clone(), Some(eras)).map_err(failed)?,
            kinds: Arc::default(),
            commons,
            reading: None,
            shard,
            put_off: Arc::default(),
            here: AtomicU64::new(u64::MAX),
            following: Following::default(),
            waiting: AtomicBool::new(false),
            durability: durability.into(),
            identity,
            directory,
            open: Arc::default(),
        })
    }

    fn open_to_read(directory: Directory, identity: Identity, options: &Options) -> Result<Self> {
        let reading = Reading::open(&directory, options.timeout)?;
        let owners = Owners::open(&directory.owners(), directory.lock("owners"));
        let owners = owners.map_err(cant_read)?;
        let commons = Arc::new(Commons::new(directory.clone(), owners.into(), None));
        Self::with_reading(reading, directory, identity, commons, None)
    }

    fn with_reading(
        reading: Reading,
        directory: Directory,
        identity: Identity,
        commons: Arc<Commons>,
        shard: Option<Shard>,
    ) -> Result<Self> {
        let durability = Durability::default();
        Ok(Shared {
            door: Door::default(),
            log_locks: None,
            writer: Writer::nobody(durability),
            readers: Readers::default(),
            memory: Shelves::default(),
            housekeeper: Housekeeper::default(),
            values: Values::new(directory.clone(), None).map_err(cant_read)?,
            kinds: Arc::default(),
            commons,
            reading: Some(reading),
            shard,
            put_off: Arc::default(),
            here: AtomicU64::new(u64::MAX),
            following: Following::default(),
            waiting: AtomicBool::new(false),
            durability: durability.into(),
            identity,
            directory,
            open: Arc::default(),
        })
    }
}

/// One process at a time creates or upgrades.
pub(crate) fn alone(directory: &Directory, timeout: Duration) -> Result<FileLock> {
    let failed = |source| cant_open(directory, source);
    let opening = FileLock::open(directory.lock("open")).map_err(failed)?;
    match opening
        .lock(Mode::Exclusive, Deadline::after(timeout))
        .map_err(failed)?
    {
        true => Ok(opening),
        false => Err(timed_out(
            "another process that is opening the store",
            timeout,
        )),
    }
}

/// The first connection to a database in this process, and the locks of its log.
struct First {
    connection: Connection,
    log_locks: LogLocks,
}

impl First {
    fn open(
        directory: &Directory,
        durability: Durability,
        others_live: impl FnOnce() -> Result<bool>,
    ) -> Result<Self> {
        directory.create_database()?;
        let log_locks = LogLocks::open(&directory.lock("log"));
        let log_locks = log_locks.map_err(|source| cant_open(directory, source))?;
        let connection = connection::open(
            &directory.database(),
            Some(&log_locks),
            Role::Writer,
            durability,
        )?;
        catalog::prepare(&connection, others_live)?;
        Ok(First {
            connection,
            log_locks,
        })
    }
}

fn cant_open(directory: &Directory, source: io::Error) -> Error {
    let doing = format!("can't open the store {}", directory.path().display());
    Error::io(doing, source)
}

fn cant_read(source: io::Error) -> Error {
    match source.kind() {
        io::ErrorKind::NotFound => Error::new(
            ErrorKind::ReadOnly,
            "whoever copied the store left out its directories: let a user who may write open it once, which makes them",
        ),
        _ => Error::reading("can't read the store", source),
    }
}
