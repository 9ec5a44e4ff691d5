//! The gate that the writers of all processes pass, ahead of SQLite's own lock, which would let them
//! sleep and starve.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use diskette_ipc::clock::{self, Deadline};
use diskette_ipc::{Doorbell, FileLock, Mode};
use parking_lot::Mutex;

/// For so long a process may pass again and again while others wait. A hand-over costs a wake-up and
/// SQLite's page cache, so that a shorter turn costs throughput; a longer one costs those who wait.
const TURN: Duration = Duration::from_millis(3);

/// Who writes again within this time is at it, and wakes nobody until the turn is over.
const PAUSE: Duration = Duration::from_micros(100);

/// The first in the queue looks for itself after this time: the one who was at it may have stopped,
/// or died.
const LOOK: Duration = Duration::from_millis(1);

/// The line of the doorbell at which the first in the queue waits.
const LINE: usize = 0;

/// A lock that whoever is at it may take again at once, which is fast, but only for a [`TURN`]: then it
/// goes to the one who has waited longest. All wait for `next`, in the kernel's order, but for the one
/// who has it, who waits for `gate`. The kernel frees both with the process.
pub(crate) struct Gate {
    gate: FileLock,
    next: FileLock,
    bell: Arc<Doorbell>,
    pace: Mutex<Pace>,
}

/// How this process has been passing.
#[derive(Clone, Copy, Default)]
struct Pace {
    /// When its turn began.
    turn: Option<Instant>,
    /// When it last came.
    last: Option<Instant>,
    /// Does it write again and again?
    busy: bool,
    /// Is its turn over?
    over: bool,
    /// Has it just begun to write, or another turn?
    fresh: bool,
}

impl Gate {
    pub(crate) fn new(gate: FileLock, next: FileLock, bell: Arc<Doorbell>) -> Self {
        Gate {
            gate,
            next,
            bell,
            pace: Mutex::default(),
        }
    }

    /// `false`: the time is up. Called by one thread of the process at a time.
    pub(crate) fn enter(&self, deadline: impl FnOnce() -> Deadline) -> io::Result<bool> {
        let mut pace = self.pace.lock();
        pace.come(clock::now());
        let yields = pace.over && self.is_wanted()?;
        if !yields && self.gate.try_lock(Mode::Exclusive)? {
            return Ok(true);
        }
        let deadline = deadline();
        if !self.next.lock(Mode::Exclusive, deadline)? {
            return Ok(false);
        }
        let entered = self.wait_as_first(deadline);
        self.next.unlock()?;
        *pace = Pace::default();
        pace.come(clock::now());
        entered
    }

    pub(crate) fn leave(&self) {
        // An unlock can't fail on an open file.
        let _ = self.gate.unlock();
        let pace = *self.pace.lock();
        if pace.over || !pace.busy {
            self.bell.ring(LINE);
        }
    }

    /// Was the directory with the gate removed?
    pub(crate) fn is_removed(&self) -> bool {
        !self.gate.is_linked().unwrap_or(false)
    }

    /// The same, looked at after a pause and once a turn: who writes again and again need not ask each
    /// time.
    pub(crate) fn is_seen_removed(&self) -> bool {
        self.pace.lock().fresh && self.is_removed()
    }

    fn wait_as_first(&self, deadline: Deadline) -> io::Result<bool> {
        loop {
            let seen = self.bell.seen(LINE);
            if self.gate.try_lock(Mode::Exclusive)? {
                return Ok(true);
            }
            if deadline.is_past() {
                return Ok(false);
            }
            let _ = self.bell.wait(LINE, seen, deadline.min(LOOK));
        }
    }

    /// Does another process wait?
    fn is_wanted(&self) -> io::Result<bool> {
        if !self.next.try_lock(Mode::Exclusive)? {
            return Ok(true);
        }
        self.next.unlock()?;
        Ok(false)
    }
}

impl Pace {
    fn come(&mut self, now: Instant) {
        // A turn that ended with nobody waiting is followed by another one.
        let another = self.over || self.turn.is_none();
        if another {
            self.turn = Some(now);
        }
        self.busy = self
            .last
            .is_some_and(|last| now.duration_since(last) < PAUSE);
        self.fresh = another || !self.busy;
        self.over = self
            .turn
            .is_some_and(|began| now.duration_since(began) > TURN);
        self.last = Some(now);
    }
}
