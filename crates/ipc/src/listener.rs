//! Whether anybody listens at the doorbell: so that most changes needn't ring it.

use std::sync::Arc;
use std::sync::atomic::{Ordering::SeqCst, fence};

use crate::board::Board;
use crate::fork;

/// Somebody who waits at the doorbell of the board's store, or is about to; until this is dropped.
#[derive(Debug)]
#[must_use = "who drops it listens no longer"]
pub struct Listener {
    board: Arc<Board>,
    generation: u64,
}

impl Board {
    /// Has those ring the doorbell who ring it only if [somebody listens](Self::is_listened_to). To be called before the look at
    /// what one waits for.
    pub fn listen(self: &Arc<Self>) -> Listener {
        if self.is_intact() {
            self.header().listeners.fetch_add(1, SeqCst);
        }
        Listener {
            board: Arc::clone(self),
            generation: fork::generation(),
        }
    }

    /// Whether anybody may listen: to be called after the change that they wait for, and soon after something was taken on this
    /// board, since it doesn't look whether the file is still there.
    #[must_use]
    pub fn is_listened_to(&self) -> bool {
        // Who comes after this look finds the change.
        fence(SeqCst);
        self.header().listeners.load(SeqCst) > 0
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if self.generation == fork::generation() && self.board.is_intact() {
            let fewer = |listeners: u32| listeners.checked_sub(1);
            let _ = self
                .board
                .header()
                .listeners
                .fetch_update(SeqCst, SeqCst, fewer);
        }
    }
}
