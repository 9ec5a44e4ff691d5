//! The stores that are open in this process.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use diskette_ipc::Mutex;
use diskette_ipc::clock::{self, Deadline};

use crate::error::{Result, timed_out};
use crate::options::Options;
use crate::sqlite::directory::Identity;
use crate::sqlite::{Shared, Sqlite};
use crate::store::Ways;

pub(crate) type OpenStores = HashMap<Identity, OpenStore>;

/// A store that is open in this process, or is being closed.
pub(crate) struct OpenStore {
    pub(crate) shared: Weak<Shared>,
    read_only: bool,
    open: Weak<()>,
}

/// The stores that are open in this process.
pub(crate) static OPEN: Mutex<Option<OpenStores>> = Mutex::new(None);

impl OpenStore {
    pub(crate) fn store(&self, options: &Options) -> Option<Sqlite> {
        let ways = Ways::of(options);
        self.shared.upgrade().map(|shared| Sqlite { shared, ways })
    }
}

/// The store that is open in this process already. One that is being closed, for reading only or beside one that is to be, is
/// waited for: closing its files takes POSIX locks from the process.
pub(crate) fn found(
    open: &OpenStores,
    identity: Identity,
    options: &Options,
) -> Result<Option<Sqlite>> {
    let Some(entry) = open.get(&identity) else {
        return Ok(None);
    };
    if let Some(store) = entry.store(options) {
        store.shared.memory.allow(options.memory);
        // A new directory may get the number of one that was removed while it was open here.
        return Ok(Some(store).filter(Sqlite::is_intact));
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

pub(crate) fn keep(open: &mut OpenStores, shared: Shared, options: &Options) -> Sqlite {
    let shared = Arc::new(shared);
    shared.memory.allow(options.memory);
    shared.commons.join(&shared);
    open.retain(|_, entry| entry.open.strong_count() > 0);
    open.insert(
        shared.identity,
        OpenStore {
            shared: Arc::downgrade(&shared),
            read_only: options.read_only,
            open: Arc::downgrade(&shared.open),
        },
    );
    Sqlite {
        shared,
        ways: Ways::of(options),
    }
}
