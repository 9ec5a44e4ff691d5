//! A lock for the threads of one process, which have it in turns.

use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Relaxed, SeqCst};
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::thread;
use std::time::{Duration, Instant};

use crate::clock::{self, Deadline};
use crate::futex;
use crate::{ArcMutexGuard, Mutex, MutexGuard};

/// A lock that the threads of one process take and give back again and again. Waking a thread takes longer than most
/// of what is done under such a lock. So while others wait, the one that has it goes on for a *turn*: each time that it comes back
/// at once, the lock is still there, and nobody was woken.
///
/// # Fairness
///
/// Who waits is served in the order of arrival. All have had their turn within a round, or somewhat later: by the time for which
/// the lock is held and what it takes to wake a thread, for each that was before.
///
/// # Cost
///
/// Two atomic writes while nobody waits. Nobody sleeps with a clock but the first who waits, and only while the lock is
/// kept for a thread that is expected back; then it lies idle for no longer than it takes that one to [look](Self::LOOK).
///
/// # Example
///
/// ```
/// use diskette_ipc::{Deadline, Relay};
/// use std::time::Duration;
///
/// let relay = Relay::new(Duration::from_millis(1), Duration::from_millis(20));
/// let baton = relay.try_take().expect("it is free");
/// assert!(relay.try_take().is_none());
/// assert!(relay.take(true, Deadline::after(Duration::from_millis(5))).is_none());
/// drop(baton);
/// assert!(relay.try_take().is_some());
/// ```
#[derive(Debug)]
pub struct Relay {
    /// [`HELD`] and [`WAITED_FOR`]. While somebody waits it changes under the mutex only.
    word: AtomicU32,
    queue: Arc<Mutex<Queue>>,
    turn: Duration,
    round: Duration,
}

const FREE: u32 = 0;
const HELD: u32 = 1;
/// The queue isn't empty.
const WAITED_FOR: u32 = 2;

/// Those who wait at a [`Relay`].
#[derive(Debug)]
pub struct Queue {
    waiters: VecDeque<Arc<Waiter>>,
    turn: Turn,
    /// When it was last given back while somebody waited.
    given_back: Instant,
}

#[derive(Debug)]
struct Turn {
    /// The number of a thread, or 0 while that isn't known.
    of: u64,
    ends: Instant,
    /// Whether the thread is expected to come back at once.
    returns: bool,
}

#[derive(Debug)]
struct Waiter {
    thread: u64,
    /// Whether it came back at once from when it had last had the lock.
    returns: bool,
    /// Whether it takes over what is [handed on](Baton::hand_on).
    joins: bool,
    word: AtomicU32,
}

/// What a waiter's word says. It changes under the mutex only.
const WAITS: u32 = 0;
/// It is the first, and looks now and then whether the lock lies idle.
const LOOKS: u32 = 1;
/// It has the lock.
const GIVEN: u32 = 2;
/// It waits, and is awake, since it comes next.
const NEXT: u32 = 3;

/// The lock, until it is dropped.
#[derive(Debug)]
#[must_use = "it is given back when this is dropped"]
pub struct Baton<'r> {
    relay: &'r Relay,
}

impl Relay {
    /// How often the first who waits looks whether the lock lies idle.
    pub const LOOK: Duration = Duration::from_micros(200);

    /// Who comes within this time comes at once.
    const AT_ONCE: Duration = Duration::from_micros(50);

    /// A free one. A turn lasts for `turn`, or for as long as those who wait can each have one as long within `round`.
    #[must_use]
    pub fn new(turn: Duration, round: Duration) -> Self {
        let now = clock::now();
        Self {
            word: AtomicU32::new(FREE),
            queue: Arc::new(Mutex::new(Queue {
                waiters: VecDeque::new(),
                turn: Turn {
                    of: 0,
                    ends: now,
                    returns: false,
                },
                given_back: now,
            })),
            turn,
            round,
        }
    }

    /// Takes it if it is free and nobody waits.
    pub fn try_take(&self) -> Option<Baton<'_>> {
        self.change(FREE, HELD).then(|| Baton { relay: self })
    }

    /// Waits for it until `deadline`, and `joins`, perhaps, in what another thread has begun; see
    /// [`hand_on`](Baton::hand_on). `None`: the time is up.
    pub fn take(&self, joins: bool, deadline: Deadline) -> Option<Baton<'_>> {
        if let Some(waiter) = self.take_or_queue(joins) {
            self.wait(&waiter, deadline)?;
        }
        Some(Baton { relay: self })
    }

    /// Whether anybody waits.
    pub fn is_waited_for(&self) -> bool {
        self.word.load(Relaxed) & WAITED_FOR != 0
    }

    /// Nobody comes or goes while this is held.
    pub fn keep_still(&self) -> ArcMutexGuard<Queue> {
        self.queue.lock_arc()
    }

    /// In a forked child, that has none of the threads but one, which doesn't have the lock: it is free.
    pub fn forget_all(&self, queue: &mut Queue) {
        queue.waiters.clear();
        self.word.store(FREE, SeqCst);
    }
}

/// The lock on its way to the next: given when this is dropped.
#[derive(Debug)]
pub struct Handing<'r> {
    relay: &'r Relay,
    queue: MutexGuard<'r, Queue>,
}

impl<'r> Baton<'r> {
    /// Gives it to whoever has waited longest, if that one [joins](Relay::take) in what this thread has begun.
    ///
    /// # Errors
    ///
    /// The baton itself, if nobody waits, or the first doesn't join in.
    pub fn hand_on(self) -> Result<Handing<'r>, Self> {
        let relay = self.relay;
        let queue = relay.queue.lock();
        if queue.waiters.front().is_none_or(|first| !first.joins) {
            return Err(self);
        }
        std::mem::forget(self);
        Ok(Handing { relay, queue })
    }
}

impl Drop for Handing<'_> {
    fn drop(&mut self) {
        LEFT.set(Some(clock::now()));
        self.relay.give(&mut self.queue);
        // So that it wakes up while the one before it is at work.
        if let Some(next) = self.queue.waiters.front()
            && next.joins
            && next.word.swap(NEXT, SeqCst) != NEXT
        {
            futex::wake_one(&next.word);
        }
    }
}

impl Drop for Baton<'_> {
    fn drop(&mut self) {
        if !self.relay.change(HELD, FREE) {
            self.relay.give_back();
        }
    }
}

impl Relay {
    fn change(&self, from: u32, to: u32) -> bool {
        self.word
            .compare_exchange(from, to, AcqRel, Relaxed)
            .is_ok()
    }

    /// Queues, unless the lock can be had.
    fn take_or_queue(&self, joins: bool) -> Option<Arc<Waiter>> {
        let mut queue = self.queue.lock();
        let me = me();
        if !queue.waiters.is_empty() {
            if !self.is_held() && queue.turn.of == me {
                self.word.store(HELD | WAITED_FOR, SeqCst);
                return None;
            }
        } else if self.take_or_mark() {
            return None;
        }
        let now = clock::now();
        if queue.waiters.is_empty() && queue.turn.ends <= now {
            queue.turn = self.turn(1, 0, false);
        }
        let waiter = Arc::new(Waiter {
            thread: me,
            returns: LEFT.get().is_some_and(|left| now - left < Self::AT_ONCE),
            joins,
            word: AtomicU32::new(WAITS),
        });
        queue.waiters.push_back(Arc::clone(&waiter));
        Some(waiter)
    }

    /// Takes the lock, or marks it as waited for. Until then it changes beside the mutex.
    fn take_or_mark(&self) -> bool {
        loop {
            if self.change(FREE, HELD) {
                return true;
            }
            if self.change(HELD, HELD | WAITED_FOR) {
                return false;
            }
        }
    }

    /// `None`: the time is up.
    fn wait(&self, waiter: &Waiter, deadline: Deadline) -> Option<()> {
        let mut seen = None;
        loop {
            let state = waiter.word.load(SeqCst);
            if state == GIVEN {
                return Some(());
            }
            let left = deadline.remaining().unwrap_or(Duration::MAX);
            if left.is_zero() && self.leave(waiter) {
                return None;
            }
            let nap = match state {
                LOOKS => left.min(Self::LOOK),
                _ => left,
            };
            if state != NEXT || !waiter.is_soon_called(state) {
                futex::wait_any(&[(&waiter.word, state)], nap);
            }
            if state == LOOKS {
                self.look(&mut seen);
            }
        }
    }

    /// The first who waits takes the lock if it lies idle. If it has been held since the last look, the first waits until it is rung.
    fn look(&self, seen: &mut Option<Instant>) {
        let mut queue = self.queue.lock();
        let given_back = queue.given_back;
        let Some(first) = queue.waiters.front() else {
            return;
        };
        if first.word.load(SeqCst) != LOOKS {
            return;
        }
        if !self.is_held() {
            if clock::now() - given_back >= Self::AT_ONCE {
                self.give(&mut queue);
            }
        } else if seen.replace(given_back) == Some(given_back) {
            first.word.store(WAITS, SeqCst);
        }
    }

    /// Whether the waiter could leave: otherwise it was given the lock.
    fn leave(&self, waiter: &Waiter) -> bool {
        let mut queue = self.queue.lock();
        if waiter.word.load(SeqCst) == GIVEN {
            return false;
        }
        queue
            .waiters
            .retain(|it| !std::ptr::eq(&raw const **it, waiter));
        if queue.waiters.is_empty() {
            self.word.fetch_and(!WAITED_FOR, SeqCst);
        } else if !self.is_held() {
            Self::have_the_first_look(&queue);
        }
        true
    }

    /// While somebody waits.
    fn give_back(&self) {
        let mut queue = self.queue.lock();
        let (me, now) = (me(), clock::now());
        LEFT.set(Some(now));
        queue.given_back = now;
        if queue.turn.of != me {
            queue.turn.of = me;
            queue.turn.returns = false;
        }
        if queue.waiters.is_empty() {
            // Who waited has left since.
            self.word.store(FREE, SeqCst);
        } else if queue.turn.returns && now < queue.turn.ends {
            self.word.store(WAITED_FOR, SeqCst);
            Self::have_the_first_look(&queue);
        } else {
            self.give(&mut queue);
        }
    }

    /// Begins the turn of the first who waits.
    fn give(&self, queue: &mut Queue) {
        let Some(first) = queue.waiters.pop_front() else {
            return;
        };
        queue.turn = self.turn(queue.waiters.len(), first.thread, first.returns);
        self.word.store(
            match queue.waiters.is_empty() {
                true => HELD,
                false => HELD | WAITED_FOR,
            },
            SeqCst,
        );
        first.word.store(GIVEN, SeqCst);
        futex::wake_one(&first.word);
    }

    /// Whenever the lock is left free while somebody waits.
    fn have_the_first_look(queue: &Queue) {
        if let Some(first) = queue.waiters.front()
            && first.word.swap(LOOKS, SeqCst) != LOOKS
        {
            futex::wake_one(&first.word);
        }
    }

    fn turn(&self, waiting: usize, of: u64, returns: bool) -> Turn {
        let threads = u32::try_from(waiting + 1).unwrap_or(u32::MAX);
        Turn {
            of,
            ends: clock::now() + self.turn.min(self.round / threads),
            returns,
        }
    }

    fn is_held(&self) -> bool {
        self.word.load(SeqCst) & HELD != 0
    }
}

impl Waiter {
    /// Stays awake for a moment; says whether its word has changed meanwhile.
    fn is_soon_called(&self, state: u32) -> bool {
        let moment = Deadline::after(Relay::AT_ONCE);
        while self.word.load(SeqCst) == state {
            if moment.is_past() {
                return false;
            }
            thread::yield_now();
        }
        true
    }
}

thread_local! {
    /// When this thread last gave one back for which others waited.
    static LEFT: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// A number of this thread, never 0.
fn me() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    thread_local! {
        static NUMBER: Cell<u64> = Cell::new(NEXT.fetch_add(1, Relaxed));
    }
    NUMBER.with(Cell::get)
}

#[cfg(test)]
mod tests;
