//! A mutex for the threads of one process, that can be held over a fork.

use std::hint;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::time::{Duration, Instant};

use lock_api::GuardNoSend;

use crate::clock::{self, Deadline};
use crate::futex;

/// A mutex for the threads of one process. Unlike others it may be locked before a fork and unlocked after it,
/// on either side: it keeps no list of those who wait, to one of whom a child could hand it who isn't there.
///
/// # Fairness
///
/// None: for what is held shortly.
///
/// # Example
///
/// ```
/// let count = diskette_ipc::Mutex::new(0);
/// *count.lock() += 1;
/// assert_eq!(count.into_inner(), 1);
/// ```
pub type Mutex<T> = lock_api::Mutex<RawMutex, T>;

/// What a [`Mutex`] gives while it is locked.
pub type MutexGuard<'m, T> = lock_api::MutexGuard<'m, RawMutex, T>;

/// The same for one in an `Arc`, which it keeps.
pub type ArcMutexGuard<T> = lock_api::ArcMutexGuard<RawMutex, T>;

/// The word behind a [`Mutex`].
#[derive(Debug)]
pub struct RawMutex(AtomicU32);

const FREE: u32 = 0;
const LOCKED: u32 = 1;
/// And perhaps somebody waits.
const WAITED_FOR: u32 = 2;

/// Looks before a thread goes to sleep: most locks are held no longer.
const SPINS: usize = 100;

// SAFETY: only who has changed the word from FREE has the lock, and only an unlock makes it FREE again.
unsafe impl lock_api::RawMutex for RawMutex {
    #[allow(clippy::declare_interior_mutable_const, reason = "the trait wants it")]
    const INIT: Self = Self(AtomicU32::new(FREE));
    type GuardMarker = GuardNoSend;

    fn lock(&self) {
        let _ = self.lock_until(Deadline::never());
    }

    fn try_lock(&self) -> bool {
        self.0
            .compare_exchange(FREE, LOCKED, Acquire, Relaxed)
            .is_ok()
    }

    unsafe fn unlock(&self) {
        if self.0.swap(FREE, Release) == WAITED_FOR {
            futex::wake_one(&self.0);
        }
    }
}

// SAFETY: as above.
unsafe impl lock_api::RawMutexTimed for RawMutex {
    type Duration = Duration;
    type Instant = Instant;

    fn try_lock_for(&self, timeout: Duration) -> bool {
        self.lock_until(Deadline::after(timeout))
    }

    fn try_lock_until(&self, timeout: Instant) -> bool {
        self.try_lock_for(timeout.saturating_duration_since(clock::now()))
    }
}

impl RawMutex {
    fn lock_until(&self, deadline: Deadline) -> bool {
        use lock_api::RawMutex;
        for _ in 0..SPINS {
            if self.try_lock() {
                return true;
            }
            hint::spin_loop();
        }
        while self.0.swap(WAITED_FOR, Acquire) != FREE {
            let left = deadline.remaining().unwrap_or(Duration::MAX);
            if left.is_zero() {
                return false;
            }
            futex::wait_any(&[(&self.0, WAITED_FOR)], left);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_exclude_each_other_and_give_up_in_time() {
        let count = Mutex::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..10_000).for_each(|_| *count.lock() += 1));
            }
        });
        let held = count.lock();
        assert_eq!(*held, 40_000);
        std::thread::scope(|scope| {
            let waited = scope.spawn(|| count.try_lock_for(Duration::from_millis(5)).is_none());
            assert!(waited.join().is_ok_and(|in_vain| in_vain));
        });
    }
}
