//! What a user of locks and barriers relies on; `tests/` at the top has more of what takes several processes.
#![allow(clippy::unwrap_used)]

mod barrier;
mod deadlocks;
mod fences;
mod locks;
mod misuse;
mod model;
mod owned;
mod rlocks;
mod rw_locks;
mod trouble;

use std::thread;
use std::time::Duration;

use diskette_store::Store;
use diskette_testkit::Place;

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(30);

fn store() -> (Place, Store) {
    Place::new().with(|path| Store::open(path))
}

/// For what looks into its files.
fn in_directory() -> (Place, Store) {
    Place::directory().with(|path| Store::open(path))
}

/// What another thread gets.
fn elsewhere<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    thread::scope(|scope| scope.spawn(work).join().unwrap())
}
