//! Sleeping until another process changes a word of shared memory, where the kernel has no call for it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::back_off;
use crate::clock::Deadline;

/// A word, and what it is while nothing has happened.
pub(crate) type Watched<'w> = (&'w AtomicU32, u32);

/// Sleeps while each of the words is as expected, at most for `timeout`.
pub(crate) fn wait_any(words: &[Watched<'_>], timeout: Duration) {
    let has_changed = |(word, expected): &Watched<'_>| word.load(Ordering::SeqCst) != *expected;
    let changed = || Ok(words.iter().any(has_changed).then_some(()));
    let _ = back_off::repeat(Deadline::after(timeout), changed);
}

/// Nothing to do: those who wait look for themselves.
pub(crate) fn wake(_word: &AtomicU32) {}

/// Nothing to do either.
pub(crate) fn wake_one(_word: &AtomicU32) {}
