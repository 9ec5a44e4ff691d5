//! The gate that the writers of all processes pass, ahead of SQLite's own lock, which would let them
//! sleep and starve.

use std::io;
use std::time::{Duration, Instant};

use diskette_ipc::clock::{self, Deadline};
use diskette_ipc::{FileLock, Mode};
use parking_lot::Mutex;

/// For so long a process may pass again and again while others wait. A hand-over costs a wake-up, so
/// that a shorter turn costs throughput; a longer one costs those who wait.
const TURN: Duration = Duration::from_millis(2);

/// A lock that whoever is at it may take again at once, which is fast, but only for a [`TURN`]: then it
/// goes to one who waits. All wait in front of `next`, but for the one who has it, who waits for `gate`.
/// The kernel frees both with the process.
pub(crate) struct Gate {
    gate: FileLock,
    next: FileLock,
    turn: Mutex<Option<Instant>>,
}

impl Gate {
    pub(crate) fn new(gate: FileLock, next: FileLock) -> Self {
        Gate {
            gate,
            next,
            turn: Mutex::new(None),
        }
    }

    /// `false`: the time is up. Called by one thread of the process at a time.
    pub(crate) fn enter(&self, deadline: impl FnOnce() -> Deadline) -> io::Result<bool> {
        let mut turn = self.turn.lock();
        let now = clock::now();
        let over =
            turn.is_some_and(|since| now.duration_since(since) > TURN) && self.is_wanted()?;
        if !over && self.gate.try_lock(Mode::Exclusive)? {
            // Nobody waited at the end of the turn, so another one begins.
            if turn.is_none_or(|since| now.duration_since(since) > TURN) {
                *turn = Some(now);
            }
            return Ok(true);
        }
        *turn = None;
        let deadline = deadline();
        if !self.next.lock(Mode::Exclusive, deadline)? {
            return Ok(false);
        }
        let entered = self.gate.lock(Mode::Exclusive, deadline);
        self.next.unlock()?;
        entered
    }

    pub(crate) fn leave(&self) {
        // An unlock can't fail on an open file.
        let _ = self.gate.unlock();
    }

    /// Is the directory with the gate still there?
    pub(crate) fn is_linked(&self) -> io::Result<bool> {
        self.gate.is_linked()
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
