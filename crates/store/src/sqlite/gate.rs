//! The gate that the writers of all processes pass, ahead of SQLite's own lock, which would let them
//! sleep and starve.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use diskette_ipc::{Board, Custody, Deadline, Hold, Slots, Taken};

/// For so long after a hand-over a process may pass again and again while others wait. A hand-over costs a wake-up and
/// SQLite's page cache, so that a shorter turn costs throughput; a longer one costs those who wait.
pub(crate) const TURN: Duration = Duration::from_millis(3);

/// A lock on the board.
pub(crate) struct Gate(Slots);

impl Gate {
    /// Its number on the board, where structures have positive ones.
    pub(crate) const OF_A_STORE: i64 = -1;

    pub(crate) fn new(board: &Arc<Board>, number: i64) -> io::Result<Self> {
        Ok(Gate(board.slots(number, 1)?.held_briefly(TURN)))
    }

    /// Passes if nobody is inside.
    pub(crate) fn try_enter(&self) -> io::Result<Option<Hold>> {
        self.0.try_take(1)
    }

    /// `None`: the time is up.
    pub(crate) fn enter(&self, deadline: Deadline) -> io::Result<Option<Hold>> {
        match self.0.take(1, deadline, Custody::Any)? {
            Taken::Held(hold) => Ok(Some(hold)),
            _ => Ok(None),
        }
    }
}
