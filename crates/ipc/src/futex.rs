//! Sleeping until another process changes a word of shared memory, in the kernel's own way.

use std::mem::MaybeUninit;
use std::ptr::{from_ref, null_mut};
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use nix::errno::Errno;
use nix::libc;
use nix::time::{ClockId, clock_gettime};

use crate::clock::{self, Deadline};

/// A word, and what it is while nothing has happened.
pub(crate) type Watched<'w> = (&'w AtomicU32, u32);

/// Sleeps while each of the words is as expected: until a [`wake`] at one of them, a signal, or `timeout`. The kernel compares them
/// as it puts the thread to sleep; here nobody looks at them.
pub(crate) fn wait_any(words: &[Watched<'_>], timeout: Duration) {
    match *words {
        [] => clock::sleep(timeout),
        [word] => drop(wait(word, timeout)),
        _ => match wait_at_all(words, timeout) {
            Ok(()) | Err(Errno::EAGAIN | Errno::EINTR | Errno::ETIMEDOUT) => {}
            Err(_) => wait_in_turn(words, timeout),
        },
    }
}

/// Wakes all that wait at `word`, in any process. May be called in a signal handler.
pub(crate) fn wake(word: &AtomicU32) {
    wake_some(word, i32::MAX);
}

/// Wakes one of those that wait at `word`.
pub(crate) fn wake_one(word: &AtomicU32) {
    wake_some(word, 1);
}

/// Sleeps at one word.
fn wait((word, expected): Watched<'_>, timeout: Duration) -> Result<(), Errno> {
    let time = timespec(timeout);
    // SAFETY: the word and the time are valid for as long as the call lasts.
    let result = unsafe {
        libc::syscall(
            libc::SYS_futex,
            from_ref(word),
            libc::FUTEX_WAIT, // not PRIVATE: the word is shared between processes
            expected,
            from_ref(&time),
            null_mut::<u32>(),
            0,
        )
    };
    Errno::result(result).map(drop)
}

/// Sleeps at all of them, where the kernel can: since Linux 5.16, and at no more than 128.
fn wait_at_all(words: &[Watched<'_>], timeout: Duration) -> Result<(), Errno> {
    /// `struct futex_waitv`
    #[repr(C)]
    struct Waiter {
        expected: u64,
        word: u64,
        flags: u32,
        reserved: u32,
    }
    const SIZE_U32: u32 = 2; // and not PRIVATE

    let waiters: Vec<Waiter> = words
        .iter()
        .map(|&(word, expected)| Waiter {
            expected: expected.into(),
            word: from_ref(word).addr() as u64,
            flags: SIZE_U32,
            reserved: 0,
        })
        .collect();
    let until = Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC)?).saturating_add(timeout);
    // The kernel's own, of 64 bits everywhere.
    let until = [
        i64::try_from(until.as_secs()).unwrap_or(i64::MAX),
        until.subsec_nanos().into(),
    ];
    // SAFETY: the words, the array and the time are valid for as long as the call lasts.
    let result = unsafe {
        libc::syscall(
            libc::SYS_futex_waitv,
            waiters.as_ptr(),
            waiters.len() as libc::c_uint,
            0,
            until.as_ptr(),
            libc::CLOCK_MONOTONIC,
        )
    };
    Errno::result(result).map(drop)
}

/// Sleeps at the first of them, and asks the kernel now and then about the others.
fn wait_in_turn(words: &[Watched<'_>], timeout: Duration) {
    const LOOK: Duration = Duration::from_millis(5);
    let deadline = Deadline::after(timeout);
    while !deadline.is_past() {
        let left = deadline.remaining().unwrap_or(Duration::MAX);
        let mut pause = left.min(LOOK);
        for &word in words {
            if wait(word, pause) != Err(Errno::ETIMEDOUT) {
                return;
            }
            pause = Duration::ZERO;
        }
    }
}

fn wake_some(word: &AtomicU32, most: i32) {
    // SAFETY: the word is valid; the kernel only takes its address.
    unsafe {
        libc::syscall(libc::SYS_futex, from_ref(word), libc::FUTEX_WAKE, most);
    }
}

fn timespec(duration: Duration) -> libc::timespec {
    // SAFETY: all zeroes is a valid timespec (some targets have padding that cannot be named).
    let mut time: libc::timespec = unsafe { MaybeUninit::zeroed().assume_init() };
    time.tv_sec = libc::time_t::try_from(duration.as_secs()).unwrap_or(libc::time_t::MAX);
    time.tv_nsec = duration.subsec_nanos().into();
    time
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::SeqCst;
    use std::thread;

    use super::*;

    /// What kernels have to do that can't wait at several words, and that these tests don't run on.
    #[test]
    fn whoever_waits_in_turn_hears_of_each_word() {
        const HOUR: Duration = Duration::from_secs(3600);
        for changed in 0..3 {
            let words = [const { AtomicU32::new(0) }; 3];
            let watched = words.each_ref().map(|word| (word, 0));
            thread::scope(|scope| {
                let waits = scope.spawn(|| wait_in_turn(&watched, HOUR));
                wait_in_turn(&watched, Duration::from_millis(20)); // until its time is up
                assert!(!waits.is_finished());
                words[changed].store(1, SeqCst);
                wake(&words[changed]);
            });
            // And whoever comes late doesn't sleep.
            wait_in_turn(&watched, HOUR);
            wait_any(&watched, HOUR);
        }
    }
}
