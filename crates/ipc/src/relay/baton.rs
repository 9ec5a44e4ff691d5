//! The lock in the hands of a thread.

use std::cell::Cell;
use std::fmt;
use std::thread;
use std::time::{Duration, Instant};

use super::{Doing, Errands, FREE, HELD, Relay};
use crate::clock;

/// The lock, until it is dropped.
#[must_use = "it is given back when this is dropped"]
pub struct Baton<'r, E: Errands> {
    pub(super) relay: &'r Relay<E>,
    pub(super) has_served: Cell<bool>,
}

impl<'r, E: Errands> Baton<'r, E> {
    /// Of who has the lock.
    pub(super) fn new(relay: &'r Relay<E>) -> Self {
        Baton {
            relay,
            has_served: Cell::new(false),
        }
    }

    /// Does what those who wait have left, in the order in which they came.
    pub fn errands(&self) -> Doing<'_, E> {
        Doing::new(self)
    }
}

impl<E: Errands> Drop for Baton<'_, E> {
    fn drop(&mut self) {
        if !self.relay.change(HELD, FREE) {
            self.relay.give_back();
        }
        if self.has_served.get() {
            let_the_served_run();
        }
    }
}

/// Some of them are awake, and wait for this thread's processor. Without this they would come back later than the others, each time.
fn let_the_served_run() {
    const OFTEN: Duration = Duration::from_micros(300);
    thread_local! {
        static LAST: Cell<Option<Instant>> = const { Cell::new(None) };
    }
    let now = clock::now();
    if LAST.get().is_none_or(|last| now - last > OFTEN) {
        LAST.set(Some(now));
        thread::yield_now();
    }
}

impl<E: Errands> fmt::Debug for Baton<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Baton").field(self.relay).finish()
    }
}
