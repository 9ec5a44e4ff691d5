//! What a user of one process relies on; `tests/` at the top has what takes several.
#![allow(clippy::unwrap_used)]

mod bounds;
mod by_others;
mod claims;
mod iteration;
mod large_values;
mod opening;
mod unreadable;
mod waiting;

use std::time::Duration;

use diskette_deque::{Deque, WhenFull};
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

fn numbers(store: &Store, count: u32) -> Deque<u32> {
    let deque = Deque::new(store, "numbers").unwrap();
    deque.extend(0..count).unwrap();
    deque
}

fn bounded(store: &Store, max_len: usize, when_full: WhenFull) -> Deque<u32> {
    let options = Deque::options().max_len(max_len).when_full(when_full);
    options.new(store, "bounded").unwrap()
}
