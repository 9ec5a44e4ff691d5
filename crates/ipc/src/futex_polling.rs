//! Sleeping until another process changes a word of shared memory, where the kernel has no call for it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::back_off;
use crate::clock::Deadline;

/// Sleeps while `word` is `expected`, at most for `timeout`.
pub(crate) fn wait(word: &AtomicU32, expected: u32, timeout: Duration) {
    let changed = || Ok((word.load(Ordering::SeqCst) != expected).then_some(()));
    let _ = back_off::repeat(Deadline::after(timeout), changed);
}

/// Nothing to do: those who wait look for themselves.
pub(crate) fn wake(_word: &AtomicU32) {}

/// Nothing to do either.
pub(crate) fn wake_one(_word: &AtomicU32) {}
