//! Threads that do the same side by side, without changing the same memory.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

use lock_api::{GuardNoSend, RawMutex as _, RawRwLock};

use crate::mutex::RawMutex;

/// Several of a thing, each on a cache line of its own: each thread has one of them, alone or with a few others.
///
/// # Example
///
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
///
/// let count = diskette_ipc::Lanes::<AtomicU64>::default();
/// std::thread::scope(|scope| {
///     for _ in 0..4 {
///         scope.spawn(|| count.mine().fetch_add(1, Relaxed));
///     }
/// });
/// assert_eq!(count.iter().map(|count| count.load(Relaxed)).sum::<u64>(), 4);
/// ```
#[derive(Debug, Default)]
pub struct Lanes<T>([Lane<T>; LANES]);

const LANES: usize = 8;

/// Memory goes from one core to another by so many bytes.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Lane<T>(T);

impl<T> Lanes<T> {
    /// That of this thread, always the same.
    #[must_use]
    pub fn mine(&self) -> &T {
        &self.0[lane()].0
    }

    /// All of them, always in the same order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|lane| &lane.0)
    }
}

/// A lock of which readers don't slow each other down, and that can be held over a fork as a [`Mutex`](crate::Mutex) can. A writer
/// takes longer, as it locks out each lane by itself.
///
/// A thread that reads must not read again, or write, before it has let go.
///
/// # Fairness
///
/// None: for what is held shortly.
///
/// # Example
///
/// ```
/// let squares = diskette_ipc::LaneLock::new(vec![0, 1, 4]);
/// assert_eq!(squares.read().get(2), Some(&4));
/// squares.write().push(9);
/// assert_eq!(squares.into_inner(), [0, 1, 4, 9]);
/// ```
pub type LaneLock<T> = lock_api::RwLock<RawLaneLock, T>;

/// What a writer has in hand of a [`LaneLock`] in an `Arc`, which it keeps.
pub type ArcLaneWriteGuard<T> = lock_api::ArcRwLockWriteGuard<RawLaneLock, T>;

/// What is behind a [`LaneLock`].
#[derive(Debug)]
pub struct RawLaneLock(Lanes<RawMutex>);

// SAFETY: a reader has the mutex of its lane, which it gives back in the same thread, since guards stay there; a writer has those of
// all lanes.
unsafe impl RawRwLock for RawLaneLock {
    #[allow(clippy::declare_interior_mutable_const, reason = "the trait wants it")]
    const INIT: Self = Self(Lanes([const { Lane(RawMutex::INIT) }; LANES]));
    type GuardMarker = GuardNoSend;

    fn lock_shared(&self) {
        self.0.mine().lock();
    }

    fn try_lock_shared(&self) -> bool {
        self.0.mine().try_lock()
    }

    unsafe fn unlock_shared(&self) {
        // SAFETY: this thread has locked it, as the caller says.
        unsafe { self.0.mine().unlock() }
    }

    fn lock_exclusive(&self) {
        // All take them in one order, so nobody waits in a circle.
        self.0.iter().for_each(|lane| lane.lock());
    }

    fn try_lock_exclusive(&self) -> bool {
        for (locked, lane) in self.0.iter().enumerate() {
            if !lane.try_lock() {
                // SAFETY: those before it were locked just now.
                self.0
                    .iter()
                    .take(locked)
                    .for_each(|lane| unsafe { lane.unlock() });
                return false;
            }
        }
        true
    }

    unsafe fn unlock_exclusive(&self) {
        // SAFETY: this thread has locked them all, as the caller says.
        self.0.iter().for_each(|lane| unsafe { lane.unlock() });
    }
}

fn lane() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static LANE: Cell<Option<usize>> = const { Cell::new(None) };
    }
    LANE.with(|known| {
        known.get().unwrap_or_else(|| {
            let new = NEXT.fetch_add(1, Ordering::Relaxed);
            known.set(Some(new));
            new
        })
    }) % LANES
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn who_reads_sees_nothing_half_written() {
        let both = LaneLock::new([0_u64; 2]);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for _ in 0..5_000 {
                        let mut both = both.write();
                        both[0] += 1;
                        both[1] += 1;
                    }
                });
            }
            for _ in 0..2 * LANES {
                scope.spawn(|| {
                    for _ in 0..1_000 {
                        let both = both.read();
                        assert_eq!(both[0], both[1]);
                    }
                });
            }
        });
        assert_eq!(both.into_inner(), [10_000; 2]);
    }

    #[test]
    fn a_writer_is_alone_and_readers_of_different_lanes_are_not() {
        let lock = LaneLock::new(());
        let reading = lock.read();
        assert!(lock.try_write().is_none());
        thread::scope(|scope| {
            let lanes = scope.spawn(|| {
                (0..LANES).any(|_| {
                    thread::scope(|scope| scope.spawn(|| lock.try_read().is_some()).join().unwrap())
                })
            });
            assert!(lanes.join().unwrap());
        });
        drop(reading);
        let writing = lock.try_write();
        assert!(writing.is_some());
        assert!(lock.try_read().is_none());
    }
}
