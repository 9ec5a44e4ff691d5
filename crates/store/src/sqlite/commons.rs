//! What a store and its shards have in common, so that many databases take no more threads, and few more open files, than one.

use std::sync::{Arc, Weak};

use diskette_ipc::{Board, Doorbell, Mutex, Owners};

#[cfg(feature = "postgres")]
use crate::sqlite::arrival::Arrival;
use crate::sqlite::directory::Directory;
use crate::sqlite::estate::Undertaker;
use crate::sqlite::housekeeping::Keeper;
use crate::sqlite::{Shared, Sqlite};

/// Of a directory with one store in it, and the databases below it. The threads end when nobody has it any more.
pub(crate) struct Commons {
    /// That of the store.
    pub(crate) directory: Directory,
    pub(crate) owners: Arc<Owners>,
    /// `None`: it is open for reading only.
    pub(crate) together: Option<Together>,
    pub(crate) undertaker: Undertaker,
    pub(crate) keeper: Keeper,
    pub(crate) members: Arc<Mutex<Vec<Weak<Shared>>>>,
    #[cfg(feature = "postgres")]
    pub(crate) arrival: Arrival,
}

/// In memory that other processes have as well.
pub(crate) struct Together {
    pub(crate) bell: Doorbell,
    pub(crate) board: Arc<Board>,
}

impl Commons {
    pub(crate) fn new(
        directory: Directory,
        owners: Arc<Owners>,
        together: Option<Together>,
    ) -> Self {
        Commons {
            directory,
            owners,
            together,
            undertaker: Undertaker::default(),
            keeper: Keeper::default(),
            members: Arc::default(),
            #[cfg(feature = "postgres")]
            arrival: Arrival::default(),
        }
    }

    pub(crate) fn join(&self, member: &Arc<Shared>) {
        let mut members = self.members.lock();
        members.retain(|member| member.strong_count() > 0);
        members.push(Arc::downgrade(member));
    }

    /// The databases that are open in this process; the store's own is the first, while it is open.
    pub(crate) fn members(&self) -> Vec<Sqlite> {
        let members = self.members.lock().clone();
        let open = members.iter().filter_map(Weak::upgrade);
        open.map(Sqlite::of).collect()
    }
}

impl Drop for Commons {
    fn drop(&mut self) {
        self.keeper.stop();
        self.undertaker.stop();
    }
}
