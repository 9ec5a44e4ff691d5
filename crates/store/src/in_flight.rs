//! The value files that are neither surely linked nor surely gone: those in the will of this process.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::io;

use diskette_ipc::Mutex;
use diskette_ipc::Owners;

#[derive(Default)]
pub(crate) struct InFlight(Mutex<State>);

#[derive(Default)]
struct State {
    files: BTreeSet<i64>,
    /// Unlinked by their rows, but still wanted by a snapshot.
    put_off: Vec<i64>,
}

impl InFlight {
    /// Puts a file in the will: `id`, or a new one.
    pub(crate) fn begin(&self, owners: &Owners, id: Option<i64>) -> io::Result<i64> {
        let mut state = self.0.lock();
        let id = id.unwrap_or_else(new_id);
        owners.bequeath(id)?;
        state.files.insert(id);
        Ok(id)
    }

    /// The file is surely linked, or surely gone. The will is emptied with the last one; a longer will
    /// than need be does no harm.
    pub(crate) fn end(&self, owners: &Owners, id: i64) {
        let mut state = self.0.lock();
        if state.files.remove(&id) && state.files.is_empty() {
            let _ = owners.settled_all();
        }
    }

    pub(crate) fn files(&self) -> BTreeSet<i64> {
        self.0.lock().files.clone()
    }

    pub(crate) fn put_off(&self, id: i64) {
        self.0.lock().put_off.push(id);
    }

    pub(crate) fn take_put_off(&self) -> Vec<i64> {
        std::mem::take(&mut self.0.lock().put_off)
    }
}

/// A number that no other file has: 63 random bits, and the file is created as new.
fn new_id() -> i64 {
    i64::from_ne_bytes((RandomState::new().hash_one(0) >> 1).to_ne_bytes())
}
