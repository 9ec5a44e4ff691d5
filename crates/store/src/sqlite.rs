//! The engine of a store in a directory: an SQLite database, and what the processes of one machine share besides.

#[cfg(feature = "postgres")]
mod arrival;
mod backup;
mod board;
mod catalog;
mod check;
mod commons;
mod compact;
mod connection;
pub(crate) mod directory;
mod estate;
mod following;
pub(crate) mod fork;
mod garbage;
mod gate;
mod group;
mod housekeeping;
pub(crate) mod memory;
mod moved;
#[cfg(feature = "postgres")]
mod moving;
mod open_stores;
mod opening;
#[cfg(feature = "postgres")]
mod promotion;
pub(crate) mod readers;
pub(crate) mod reading;
mod reserve;
mod shards;
mod stats;
pub(crate) mod turns;
pub(crate) mod value_file;
pub(crate) mod values;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use diskette_ipc::{Board, Doorbell, Mutex, Owners};
use diskette_vfs::LogLocks;
use rusqlite::Connection;

use crate::error::{Error, Result, removed};
use crate::kind::Kind;
use crate::options::{AtomicDurability, Durability, Options};
use crate::sqlite::commons::Commons;
use crate::sqlite::connection::Role;
use crate::sqlite::directory::{Directory, Identity};
use crate::sqlite::following::Following;
use crate::sqlite::fork::Door;
use crate::sqlite::housekeeping::Housekeeper;
use crate::sqlite::memory::Shelves;
use crate::sqlite::readers::Readers;
use crate::sqlite::reading::Reading;
use crate::sqlite::values::Values;
use crate::sqlite::writer::Writer;
use crate::store::{PutOff, Store, Ways};

pub(crate) use moved::Moved;
#[cfg(feature = "postgres")]
pub(crate) use moving::NewFiles;
#[cfg(all(test, feature = "postgres"))]
pub(crate) use moving::{Files, Reach};
#[cfg(feature = "postgres")]
pub use promotion::Promoted;
pub(crate) use shards::Shard;

/// A store in a directory: what a [`Store`] is that stands on this engine.
#[derive(Clone)]
pub(crate) struct Sqlite {
    shared: Arc<Shared>,
    ways: Ways,
}

/// What all handles of a database in this process share.
pub(crate) struct Shared {
    directory: Directory,
    identity: Identity,
    durability: AtomicDurability,
    /// `None`: the store is open for reading only.
    log_locks: Option<LogLocks>,
    door: Door,
    writer: Writer,
    readers: Readers,
    memory: Shelves,
    housekeeper: Housekeeper,
    values: Values,
    /// Of these this process gives back the claims of the dead.
    kinds: Arc<Mutex<Vec<&'static Kind>>>,
    commons: Arc<Commons>,
    /// What there is in place of a board and a bell if it is open for reading only.
    reading: Option<Reading>,
    /// Which shard it is, if it is one.
    shard: Option<Shard>,
    put_off: Arc<Mutex<Vec<PutOff>>>,
    /// What was told on the board when it was last seen that the store hasn't moved.
    here: AtomicU64,
    /// What it has moved to, once that is open here.
    following: Following,
    waiting: AtomicBool,
    /// Last: once it is gone, so are all the files that were open.
    open: Arc<()>,
}

impl Sqlite {
    /// The directory.
    pub(crate) fn path(&self) -> &Path {
        self.shared.directory.path()
    }

    pub(crate) fn durability(&self) -> Durability {
        self.shared.durability.get()
    }

    pub(crate) fn ways(&self) -> &Ways {
        &self.ways
    }

    pub(crate) fn going(&self, ways: Ways) -> Self {
        Sqlite {
            shared: Arc::clone(&self.shared),
            ways,
        }
    }

    /// The same as any store, for what concerns this place.
    pub(crate) fn store(&self) -> Store {
        Store::from(self.clone()).staying()
    }

    pub(crate) fn identity(&self) -> Identity {
        self.shared.identity
    }

    /// Keeps `then` until the transaction of this thread has ended; gives it back if there is none.
    pub(crate) fn put_off<F: FnOnce(&Store) + Send + 'static>(&self, then: F) -> Option<F> {
        if !self.writer().is_mine() {
            return Some(then);
        }
        self.shared.put_off.lock().push(Box::new(then));
        self.shared.waiting.store(true, Ordering::Release);
        None
    }

    fn do_what_was_put_off(&self, store: &Store) {
        if self.shared.waiting.swap(false, Ordering::Acquire) {
            let put_off = std::mem::take(&mut *self.shared.put_off.lock());
            for then in put_off {
                then(store);
            }
        }
    }

    /// Who is alive.
    pub(crate) fn owners(&self) -> &Arc<Owners> {
        &self.shared.commons.owners
    }

    /// # Errors
    ///
    /// [`is_read_only`](crate::Error::is_read_only).
    pub(crate) fn bell(&self) -> Result<&Doorbell> {
        let together = self.commons().together.as_ref();
        let bell = together.map(|together| &together.bell);
        bell.ok_or_else(reading::refused)
    }

    /// # Errors
    ///
    /// [`is_read_only`](crate::Error::is_read_only).
    pub(crate) fn board(&self) -> Result<&Arc<Board>> {
        self.shared.board().ok_or_else(reading::refused)
    }

    /// See the methods of [`Store`] with these names.
    pub(crate) fn removals(&self) -> Result<u64> {
        match self.is_for_reading() {
            true => Ok(Store::UNKNOWN),
            false => self
                .board()?
                .removals()
                .map_err(|error| removed().caused_by(error)),
        }
    }

    /// Who has passed the gate, which is on the board, knows it to be there.
    pub(crate) fn removals_in_turn(&self) -> Result<u64> {
        Ok(self.board()?.removals_after_look())
    }

    pub(crate) fn tell_removed(&self, structure: i64) -> Result<()> {
        let told = self.board()?.remove(self.number_on_board(structure));
        told.map_err(|error| Error::io("can't tell others that it is removed", error))
    }

    pub(crate) fn tell_changed(&self) -> Result<()> {
        let told = self.board()?.tell_changed();
        told.map_err(|error| removed().caused_by(error))
    }

    pub(crate) fn writer(&self) -> &Writer {
        &self.shared.writer
    }
}

impl Sqlite {
    fn of(shared: Arc<Shared>) -> Self {
        Sqlite {
            ways: Ways {
                read_only: shared.board().is_none(),
                ..Ways::of(&Options::default())
            },
            shared,
        }
    }

    fn timeout(&self) -> Duration {
        self.ways.timeout
    }

    fn is_read_only(&self) -> bool {
        self.ways.read_only
    }

    fn directory(&self) -> &Directory {
        &self.shared.directory
    }

    fn door(&self) -> &Door {
        &self.shared.door
    }

    fn readers(&self) -> &Readers {
        &self.shared.readers
    }

    fn housekeeper(&self) -> &Housekeeper {
        &self.shared.housekeeper
    }

    fn values(&self) -> &Values {
        &self.shared.values
    }

    pub(crate) fn is_for_reading(&self) -> bool {
        self.reading().is_some()
    }

    /// What there is instead of a board where nobody in this process may write.
    fn reading(&self) -> Option<&Reading> {
        self.shared.reading.as_ref()
    }

    fn is_intact(&self) -> bool {
        self.shared.is_intact()
    }

    pub(crate) fn kinds(&self) -> &Mutex<Vec<&'static Kind>> {
        &self.shared.kinds
    }

    fn commons(&self) -> &Arc<Commons> {
        &self.shared.commons
    }

    fn shard(&self) -> Option<Shard> {
        self.shared.shard
    }

    /// Opens a connection of its own.
    fn connect(&self, role: Role) -> Result<Connection> {
        match self.reading() {
            Some(reading) => reading.connect(),
            None => connection::open(
                &self.directory().database(),
                self.shared.log_locks.as_ref(),
                role,
                self.durability(),
            ),
        }
    }
}

impl Shared {
    /// `None`: it is open for reading only.
    fn board(&self) -> Option<&Arc<Board>> {
        let together = self.commons.together.as_ref();
        together.map(|together| &together.board)
    }

    /// Whether the files that are open here are those of the directory.
    fn is_intact(&self) -> bool {
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

/// For tests, where nobody has it open.
#[cfg(all(test, feature = "postgres"))]
pub(crate) fn connect_to(database: &Path) -> Result<Connection> {
    connection::open(database, None, Role::Writer, Durability::Process)
}
