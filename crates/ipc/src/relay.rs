//! A lock for the threads of one process, which have it in turns, and do for each other what is to be done with it.

mod baton;
mod errands;
mod waiter;

use std::cell::Cell;
use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::Ordering::{AcqRel, Relaxed, SeqCst};
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crate::clock::{self, Deadline};
use crate::futex;
use crate::{ArcMutexGuard, Mutex};

pub use baton::Baton;
use errands::Left;
pub use errands::{Doing, Errand, Errands, Served};
use waiter::{AWAKE, DONE, GIVEN, LOOKS, WAITS, Waiter};

/// A lock that the threads of one process take and give back again and again. Waking a thread takes longer than most
/// of what is done under such a lock. So a thread that waits may leave what it has to do, an *errand*, and whoever has the lock
/// does it, among others, as one piece of work. And for those who wait for the lock itself it is kept for a *turn*: each time
/// that the thread which had it comes back at once, the lock is still there, and nobody was woken.
///
/// That who has a lock does what others have queued is *flat combining*: Hendler, Incze, Shavit and Tzafrir, 2010.
///
/// # Fairness
///
/// Who waits is served in the order of arrival, whether by an errand or by a turn. All have had their turn within a round, or
/// somewhat later: by the time for which the lock is held and what it takes to wake a thread, for each that was before.
///
/// # Cost
///
/// Two atomic writes while nobody waits. Nobody sleeps with a clock but the first who waits, and only while the lock is
/// kept for a thread that is expected back; then it lies idle for no longer than it takes that one to [look](Self::LOOK).
/// Who has left an errand stays awake for a moment, since most are done by then.
///
/// # Example
///
/// ```
/// use diskette_ipc::{Deadline, Errands, Relay, Served};
/// use std::cell::Cell;
/// use std::time::Duration;
///
/// struct Sums;
///
/// impl Errands for Sums {
///     type Tool = Cell<u64>;
///     type Done = ();
///     type End = ();
/// }
///
/// let relay = Relay::<Sums>::new(Duration::from_millis(1), Duration::from_millis(20));
/// let baton = relay.try_take().expect("it is free");
/// assert!(relay.try_take().is_none());
/// assert!(relay.take(Deadline::after(Duration::from_millis(5))).is_none());
///
/// let sum = Cell::new(3);
/// std::thread::scope(|scope| {
///     scope.spawn(|| {
///         let add = &mut |sum: &Cell<u64>| sum.set(sum.get() + 4);
///         let taken = relay.take_or_leave(add, Deadline::after(Duration::from_secs(60)));
///         assert!(matches!(taken, Some(Served::Done(Some(())))));
///     });
///     while !relay.is_waited_for() {}
///     let mut doing = baton.errands();
///     while doing.next(&sum).is_some() {}
///     doing.end(&());
/// });
/// assert_eq!(sum.get(), 7);
/// ```
pub struct Relay<E: Errands> {
    /// [`HELD`] and [`WAITED_FOR`]. While somebody waits it changes under the mutex only.
    word: AtomicU32,
    queue: Arc<Mutex<Queue<E>>>,
    turn: Duration,
    round: Duration,
}

const FREE: u32 = 0;
const HELD: u32 = 1;
/// The queue isn't empty.
const WAITED_FOR: u32 = 2;

/// Those who wait at a [`Relay`].
pub struct Queue<E: Errands> {
    waiters: VecDeque<Queued<E>>,
    turn: Turn,
    /// When it was last given back while somebody waited.
    given_back: Instant,
}

struct Queued<E: Errands> {
    waiter: Arc<Waiter<E>>,
    errand: Option<Left<E>>,
}

#[derive(Debug)]
struct Turn {
    /// The number of a thread, or 0 while that isn't known.
    of: u64,
    ends: Instant,
    /// Whether the thread is expected to come back at once.
    returns: bool,
}

impl<E: Errands> Relay<E> {
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
    pub fn try_take(&self) -> Option<Baton<'_, E>> {
        self.change(FREE, HELD).then(|| Baton::new(self))
    }

    /// Waits for it until `deadline`. `None`: the time is up.
    pub fn take(&self, deadline: Deadline) -> Option<Baton<'_, E>> {
        if let Some(waiter) = self.take_or_queue(None) {
            self.wait(&waiter, deadline)?;
        }
        Some(Baton::new(self))
    }

    /// The same, or until another thread has done the errand. `None`: the time is up, and it wasn't begun.
    pub fn take_or_leave(
        &self,
        errand: &mut Errand<'_, E>,
        deadline: Deadline,
    ) -> Option<Served<'_, E>> {
        // SAFETY: this doesn't return before the errand is back from the queue undone, or is done, and nobody reaches it any more.
        let left = unsafe { Left::new(errand) };
        let Some(waiter) = self.take_or_queue(Some(left)) else {
            return Some(Served::Baton(Baton::new(self)));
        };
        Some(match self.wait(&waiter, deadline)? {
            GIVEN => Served::Baton(Baton::new(self)),
            _ => Served::Done(waiter.end.get().cloned()),
        })
    }

    /// Whether anybody waits.
    pub fn is_waited_for(&self) -> bool {
        self.word.load(Relaxed) & WAITED_FOR != 0
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        match self.is_waited_for() {
            true => self.queue.lock().waiters.len(),
            false => 0,
        }
    }

    /// Nobody comes or goes while this is held.
    pub fn keep_still(&self) -> ArcMutexGuard<Queue<E>> {
        self.queue.lock_arc()
    }

    /// In a forked child, that has none of the threads but one, which doesn't have the lock: it is free.
    pub fn forget_all(&self, queue: &mut Queue<E>) {
        queue.waiters.clear();
        self.word.store(FREE, SeqCst);
    }
}

impl<E: Errands> Relay<E> {
    fn change(&self, from: u32, to: u32) -> bool {
        self.word
            .compare_exchange(from, to, AcqRel, Relaxed)
            .is_ok()
    }

    /// Queues, unless the lock can be had.
    fn take_or_queue(&self, errand: Option<Left<E>>) -> Option<Arc<Waiter<E>>> {
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
        let word = match errand {
            Some(_) => AWAKE,
            None => WAITS,
        };
        let waiter = Arc::new(Waiter {
            thread: me,
            returns: LEFT.get().is_some_and(|left| now - left < Self::AT_ONCE),
            word: AtomicU32::new(word),
            end: OnceLock::new(),
        });
        queue.waiters.push_back(Queued {
            waiter: Arc::clone(&waiter),
            errand,
        });
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

    /// Whether it was [`GIVEN`] the lock, or its errand is [`DONE`]. `None`: the time is up.
    fn wait(&self, waiter: &Waiter<E>, deadline: Deadline) -> Option<u32> {
        waiter.stay_awake();
        let mut seen = None;
        loop {
            let state = waiter.word.load(SeqCst);
            if state == DONE {
                LEFT.set(Some(clock::now()));
            }
            if state == DONE || state == GIVEN {
                return Some(state);
            }
            let mut left = deadline.remaining().unwrap_or(Duration::MAX);
            if left.is_zero() {
                if self.leave(waiter) {
                    return None;
                }
                // It was given the lock, or its errand is being done.
                left = Duration::MAX;
            }
            let nap = match state {
                LOOKS => left.min(Self::LOOK),
                _ => left,
            };
            futex::wait_any(&[(&waiter.word, state)], nap);
            if state == LOOKS {
                self.look(&mut seen);
            }
        }
    }

    /// The first who waits takes the lock if it lies idle. If it has been held since the last look, the first waits until it is rung.
    fn look(&self, seen: &mut Option<Instant>) {
        let mut queue = self.queue.lock();
        let given_back = queue.given_back;
        let Some(Queued { waiter: first, .. }) = queue.waiters.front() else {
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

    /// Whether the waiter could leave: otherwise it was given the lock, or its errand is being done.
    fn leave(&self, waiter: &Waiter<E>) -> bool {
        let mut queue = self.queue.lock();
        let mut waiters = queue.waiters.iter();
        let Some(place) = waiters.position(|it| std::ptr::eq(&raw const *it.waiter, waiter)) else {
            return false;
        };
        drop(queue.waiters.remove(place));
        if queue.waiters.is_empty() {
            self.word.fetch_and(!WAITED_FOR, SeqCst);
        } else if !self.is_held() {
            Self::have_the_first_look(&queue);
        }
        true
    }

    /// What whoever has waited longest has left, if anything, while the turn of this thread lasts.
    fn next_errand(&self) -> Option<(Arc<Waiter<E>>, Left<E>)> {
        let mut queue = self.queue.lock();
        queue.waiters.front()?.errand.as_ref()?;
        let (me, now) = (me(), clock::now());
        if queue.turn.of != me || now >= queue.turn.ends + self.turn {
            queue.turn = self.turn(queue.waiters.len(), me, false);
        } else if now >= queue.turn.ends {
            return None;
        }
        let Queued { waiter, errand } = queue.waiters.pop_front()?;
        if queue.waiters.is_empty() {
            self.word.store(HELD, SeqCst);
        }
        Some((waiter, errand?))
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
    fn give(&self, queue: &mut Queue<E>) {
        let Some(Queued { waiter: first, .. }) = queue.waiters.pop_front() else {
            return;
        };
        queue.turn = self.turn(queue.waiters.len() + 1, first.thread, first.returns);
        self.word.store(
            match queue.waiters.is_empty() {
                true => HELD,
                false => HELD | WAITED_FOR,
            },
            SeqCst,
        );
        first.turns(GIVEN);
    }

    /// Whenever the lock is left free while somebody waits.
    fn have_the_first_look(queue: &Queue<E>) {
        if let Some(first) = queue.waiters.front() {
            first.waiter.turns(LOOKS);
        }
    }

    fn turn(&self, threads: usize, of: u64, returns: bool) -> Turn {
        let threads = u32::try_from(threads).unwrap_or(u32::MAX).max(1);
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

thread_local! {
    /// When this thread last gave one back for which others waited, or was told that its errand was done.
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

impl<E: Errands> fmt::Debug for Relay<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relay")
            .field("word", &self.word)
            .finish_non_exhaustive()
    }
}

impl<E: Errands> fmt::Debug for Queue<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("waiters", &self.waiters.len())
            .field("turn", &self.turn)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
