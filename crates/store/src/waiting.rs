//! Waiting for what another process changes. Nobody polls.

use std::time::Duration;

use diskette_ipc::Deadline;

use crate::error::Result;
use crate::store::Store;
use crate::structure::Structure;

/// The least time that a call with a deadline gives to its own turn to write.
const TURN: Duration = Duration::from_millis(20);

/// For the structures.
#[doc(hidden)]
impl Store {
    /// Calls `attempt` whenever the line of the doorbell was rung, with a [hurried](Self::hurried) store, until it succeeds;
    /// `None` when the time is up. Where nobody has rung for a while, it looks itself for claims of the dead.
    ///
    /// # Errors
    ///
    /// Those of `attempt`, and of giving claims back.
    pub fn wait_for<R>(
        &self,
        structure: &Structure,
        line: usize,
        deadline: Deadline,
        mut attempt: impl FnMut(&Store) -> Result<Option<R>>,
    ) -> Result<Option<R>> {
        let _listener = self.board().listen();
        let bell = self.bell();
        let mut overslept = false;
        loop {
            let seen = bell.seen(line);
            let store = self.hurried(deadline);
            let given_back = match overslept {
                true => store.give_back_from_the_dead(structure),
                false => Ok(()),
            };
            match given_back.and_then(|()| attempt(&store)) {
                Ok(None) => {}
                Err(error) if error.is_timeout() && deadline.is_past() => return Ok(None),
                result => return result,
            }
            if !bell.wait(line, seen, deadline) || deadline.is_past() {
                return Ok(None);
            }
            overslept = bell.seen(line) == seen;
        }
    }

    /// The same store, with no more time for its turn to write than there is.
    pub fn hurried(&self, deadline: Deadline) -> Store {
        let timeout = self.timeout();
        let left = deadline.remaining().map_or(timeout, |left| left.max(TURN));
        self.with_timeout(timeout.min(left))
    }
}
