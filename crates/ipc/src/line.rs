//! A word of shared memory at which threads wait until somebody rings.

use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use crate::clock::Deadline;
use crate::futex::{self, Watched};
use crate::mapping::Shared;
use crate::stop::Stop;

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

    /// To sleep at, marked as waited for; `None` if it was rung since.
    fn watched(&self, seen: Seen) -> Option<Watched<'_>> {
        let waited_for = seen.0 | WAITED_FOR;
        loop {
            let now = self.0.load(SeqCst);
            if now & !WAITED_FOR != seen.0 {
                return None;
            }
            // A waiter that is killed leaves the bit behind: the next ring makes one needless wake, and clears it.
            let marked = now == waited_for
                || self
                    .0
                    .compare_exchange(now, waited_for, SeqCst, SeqCst)
                    .is_ok();
            if marked {
                return Some((&self.0, waited_for));
            }
        }
    }
}

/// As for [`Doorbell::wait_any`](crate::Doorbell::wait_any), with `poll` for the safety poll. Doesn't look at the words after it
/// has slept.
pub(crate) fn wait_any<'w>(
    lines: impl IntoIterator<Item = (&'w Line, Seen)>,
    stops: impl IntoIterator<Item = &'w Stop>,
    deadline: Deadline,
    poll: Duration,
) -> bool {
    let lines = lines.into_iter().map(|(line, seen)| line.watched(seen));
    let stops = stops.into_iter().map(|stop| Some(stop.watched()));
    let Some(words) = lines.chain(stops).collect::<Option<Vec<_>>>() else {
        return true; // one was rung
    };
    let left = deadline.remaining().unwrap_or(Duration::MAX).min(poll);
    if left.is_zero() {
        return false;
    }
    futex::wait_any(&words, left);
    !deadline.is_past()
}
