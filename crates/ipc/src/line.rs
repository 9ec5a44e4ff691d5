//! A word of shared memory at which threads wait until somebody rings.

use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use crate::clock::Deadline;
use crate::futex;
use crate::mapping::Shared;

/// A counter of rings in the upper 31 bits; the lowest says that somebody waits.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct Line(AtomicU32);

// SAFETY: it is one atomic.
unsafe impl Shared for Line {}

/// The state of a line at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen(u32);

const WAITED_FOR: u32 = 1;
const ONE_RING: u32 = 2;

impl Line {
    pub(crate) fn ring(&self) {
        let rung = |word: u32| Some(word.wrapping_add(ONE_RING) & !WAITED_FOR);
        let before = self.0.fetch_update(SeqCst, SeqCst, rung);
        if before.is_ok_and(|word| word & WAITED_FOR != 0) {
            futex::wake(&self.0);
        }
    }

    pub(crate) fn seen(&self) -> Seen {
        Seen(self.0.load(SeqCst) & !WAITED_FOR)
    }

    /// As for [`Doorbell::wait`](crate::Doorbell::wait), with `poll` for the safety poll. Doesn't look at the word after it has
    /// slept.
    pub(crate) fn wait(&self, seen: Seen, deadline: Deadline, poll: Duration) -> bool {
        let waited_for = seen.0 | WAITED_FOR;
        loop {
            let now = self.0.load(SeqCst);
            if now & !WAITED_FOR != seen.0 {
                return true;
            }
            let left = deadline.remaining().unwrap_or(Duration::MAX);
            let left = left.min(poll);
            if left.is_zero() {
                return false;
            }
            // A waiter that is killed leaves the bit behind: the next ring makes one needless wake, and clears it.
            let marked = now == waited_for
                || self
                    .0
                    .compare_exchange(now, waited_for, SeqCst, SeqCst)
                    .is_ok();
            if marked {
                futex::wait(&self.0, waited_for, left);
                return !deadline.is_past();
            }
        }
    }
}
