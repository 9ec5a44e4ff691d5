//! Sleeping until another process changes a word of shared memory, in the kernel's own way.

use std::mem::MaybeUninit;
use std::ptr::{from_ref, null_mut};
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use nix::libc;

/// Sleeps while `word` is `expected`: until a [`wake`], a signal, or `timeout`.
pub(crate) fn wait(word: &AtomicU32, expected: u32, timeout: Duration) {
    // SAFETY: all zeroes is a valid timespec (some targets have padding that cannot be named).
    let mut time: libc::timespec = unsafe { MaybeUninit::zeroed().assume_init() };
    time.tv_sec = libc::time_t::try_from(timeout.as_secs()).unwrap_or(libc::time_t::MAX);
    time.tv_nsec = timeout.subsec_nanos().into();
    // SAFETY: the word and the time are valid for as long as the call lasts.
    unsafe {
        libc::syscall(
            libc::SYS_futex,
            from_ref(word),
            libc::FUTEX_WAIT, // not PRIVATE: the word is shared between processes
            expected,
            from_ref(&time),
            null_mut::<u32>(),
            0,
        );
    }
}

/// Wakes all that wait at `word`, in any process.
pub(crate) fn wake(word: &AtomicU32) {
    wake_some(word, i32::MAX);
}

/// Wakes one of those that wait at `word`.
pub(crate) fn wake_one(word: &AtomicU32) {
    wake_some(word, 1);
}

fn wake_some(word: &AtomicU32, most: i32) {
    // SAFETY: the word is valid; the kernel only takes its address.
    unsafe {
        libc::syscall(libc::SYS_futex, from_ref(word), libc::FUTEX_WAKE, most);
    }
}
