//! Opening a directory, and the stores that are open in this process.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Weak};
use std::time::Duration;

use diskette_ipc::clock::{self, Deadline};
use diskette_ipc::{Doorbell, Eras, FileLock, Mode, Mutex, Owners};

use super::{Shared, Store, Together};
use crate::access::Access;
use crate::board;
use crate::catalog;
use crate::connection::{self, Role};
use crate::directory::{Directory, Identity};
use crate::error::{Error, ErrorKind, Result, timed_out};
use crate::estate::Undertaker;
use crate::fork::{self, Door};
use crate::garbage;
use crate::gate::Gate;
use crate::housekeeping::{Housekeeper, Job};
use crate::options::Options;
use crate::readers::Readers;
use crate::reading::Reading;
use crate::removal;
use crate::values::Values;
use crate::writer::Writer;

pub(crate) type OpenStores = HashMap<Identity, OpenStore>;

/// A store that is open in this process, or is being closed.
pub(crate) struct OpenStore {
    pub(crate) shared: Weak<Shared>,
    read_only: bool,
    open: Weak<()>,
}

/// The stores that are open in this process.
pub(crate) static OPEN: Mutex<Option<OpenStores>> = Mutex::new(None);

impl Store {
    pub(crate) fn open_with(path: &Path, options: &Options) -> Result<Store> {
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

    fn open_directory(path: &Path, options: &Options) -> Result<Store> {
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
        store.keep_reserve();
        store.mourn_the_dead()?;
        if store.read_one(garbage::is_there)? {
            store.wake(Job::Sweep);
        }
        if store.read_one(removal::is_unfinished)? {
            store.wake(Job::Clear);
        }
        Ok(store)
    }

    fn open_directory_to_read(path: &Path, options: &Options) -> Result<Store> {
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
            Ok(reader.is_true(&store)?.then_some(()))
        })?;
        Ok(store)
    }

    /// SQLite would take what it needs to write for what it has to read.
    fn must_be_open_to_write(&self) -> Result<()> {
        match self.shared.together {
            Ok(_) => Ok(()),
            Err(_) => Err(Error::new(
                ErrorKind::Misuse,
                "this process has the store open for reading only: drop all that belongs to it first, or open it to write \
                 before, which serves those who only read as well",
            )),
        }
    }
}

/// The store that is open in this process already. One that is being closed, for reading only or beside one that is to be, is
/// waited for: closing its files takes POSIX locks from the process.
fn found(open: &OpenStores, identity: Identity, options: &Options) -> Result<Option<Store>> {
    let Some(entry) = open.get(&identity) else {
        return Ok(None);
    };
    if let Some(shared) = entry.shared.upgrade() {
        let store = Store {
            shared,
            timeout: options.timeout,
            stop: None,
            read_only: options.read_only,
        };
        // A new directory may get the number of one that was removed while it was open here.
        return Ok(Some(store).filter(Store::is_intact));
    }
    if !entry.read_only && !options.read_only {
        return Ok(None);
    }
    let deadline = Deadline::after(options.timeout);
    while entry.open.strong_count() > 0 {
        if deadline.is_past() {
            return Err(timed_out(
                "this process to close the store",
                options.timeout,
            ));
        }
        clock::sleep(Duration::from_millis(1));
    }
    Ok(None)
}

fn keep(open: &mut OpenStores, shared: Shared, options: &Options) -> Store {
    let shared = Arc::new(shared);
    open.retain(|_, entry| entry.open.strong_count() > 0);
    open.insert(
        shared.identity,
        OpenStore {
            shared: Arc::downgrade(&shared),
            read_only: options.read_only,
            open: Arc::downgrade(&shared.open),
        },
    );
    Store {
        shared,
        timeout: options.timeout,
        stop: None,
        read_only: options.read_only,
    }
}

impl Shared {
    fn open(directory: Directory, identity: Identity, options: &Options) -> Result<Self> {
        let failed = |source| {
            Error::io(
                format!("can't open the store {}", directory.path().display()),
                source,
            )
        };
        let lock = |name: &str| FileLock::open(directory.lock(name)).map_err(failed);

        // One process at a time creates or upgrades.
        let opening = lock("open")?;
        let deadline = Deadline::after(options.timeout);
        if !opening.lock(Mode::Exclusive, deadline).map_err(failed)? {
            return Err(timed_out(
                "another process that is opening the store",
                options.timeout,
            ));
        }
        directory.create_database()?;
        let first = connection::open(&directory.database(), Role::Writer, options.durability)?;
        catalog::prepare(&first)?;
        let owners = Owners::open(&directory.owners(), directory.lock("owners")).map_err(failed)?;
        let owners = Arc::new(owners);
        let board = Arc::new(board::open(&directory, &owners, &first)?);
        opening.unlock().map_err(failed)?;
        let eras = Eras::open(&directory.lock("eras")).map_err(failed)?;
        let bell = Doorbell::open(directory.bell()).map_err(failed)?;

        Ok(Shared {
            door: Door::default(),
            writer: Writer::new(
                Gate::new(&board).map_err(failed)?,
                first,
                options.durability,
            ),
            readers: Readers::default(),
            housekeeper: Housekeeper::new(Some(lock("checkpoint")?)),
            values: Values::new(directory.clone(), Some(eras)).map_err(failed)?,
            owners,
            undertaker: Undertaker::default(),
            together: Ok(Together { bell, board }),
            put_off: Arc::default(),
            waiting: AtomicBool::new(false),
            durability: options.durability.into(),
            identity,
            directory,
            open: Arc::default(),
        })
    }

    fn open_to_read(directory: Directory, identity: Identity, options: &Options) -> Result<Self> {
        let reading = Reading::open(&directory, options.timeout)?;
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::NotFound => Error::new(
                ErrorKind::ReadOnly,
                "whoever copied the store left out its directories: let a user who may write open it once, which makes them",
            ),
            _ => Error::reading("can't read the store", source),
        };
        let owners = Owners::open(&directory.owners(), directory.lock("owners")).map_err(failed)?;
        Ok(Shared {
            door: Door::default(),
            writer: Writer::nobody(options.durability),
            readers: Readers::default(),
            housekeeper: Housekeeper::new(None),
            values: Values::new(directory.clone(), None).map_err(failed)?,
            owners: Arc::new(owners),
            undertaker: Undertaker::default(),
            together: Err(reading),
            put_off: Arc::default(),
            waiting: AtomicBool::new(false),
            durability: options.durability.into(),
            identity,
            directory,
            open: Arc::default(),
        })
    }
}
