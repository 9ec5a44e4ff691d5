//! A thread that waits.

use std::sync::OnceLock;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::Duration;

use super::Errands;
use crate::clock::Deadline;
use crate::futex;

pub(super) struct Waiter<E: Errands> {
    pub(super) thread: u64,
    /// Whether it came back at once from when it had last had the lock.
    pub(super) returns: bool,
    pub(super) word: AtomicU32,
    /// How its errand has ended.
    pub(super) end: OnceLock<E::End>,
}

/// What a waiter's word says. It changes under the mutex only, or by who has taken its errand, but that it falls asleep.
pub(super) const AWAKE: u32 = 0;
pub(super) const WAITS: u32 = 1;
/// It is the first, and looks now and then whether the lock lies idle.
pub(super) const LOOKS: u32 = 2;
/// It has the lock.
pub(super) const GIVEN: u32 = 3;
/// Its errand was done.
pub(super) const DONE: u32 = 4;

impl<E: Errands> Waiter<E> {
    /// Who has left an errand stays awake for so long: to sleep and to be woken takes longer than most.
    const LONGEST_AWAKE: Duration = Duration::from_micros(150);

    /// For a moment, in which most errands are done, and in which the processor is anybody's who has something to do.
    pub(super) fn stay_awake(&self) {
        let moment = Deadline::after(Self::LONGEST_AWAKE);
        while self.word.load(SeqCst) == AWAKE {
            if moment.is_past() {
                let _ = self.word.compare_exchange(AWAKE, WAITS, SeqCst, SeqCst);
                return;
            }
            thread::yield_now();
        }
    }

    pub(super) fn turns(&self, state: u32) {
        let before = self.word.swap(state, SeqCst);
        if before != AWAKE && before != state {
            futex::wake_one(&self.word);
        }
    }
}
