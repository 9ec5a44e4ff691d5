use std::mem;
use std::time::Duration;

use diskette_ipc::{Deadline, Mutex};

use crate::held::Held;

/// Where a claim comes back to whose handler drops it, or whose transaction is rolled back: the worker says how it ends.
pub(crate) struct Home {
    state: Mutex<State>,
    /// When its time is up.
    until: Mutex<Deadline>,
}

enum State {
    /// Nothing has come back.
    Out,
    Back(Held),
    /// The worker waits for it no more.
    Closed,
}

impl Home {
    pub(crate) fn new(limit: Option<Duration>) -> Self {
        let until = limit.map_or(Deadline::never(), Deadline::after);
        Home {
            state: Mutex::new(State::Out),
            until: Mutex::new(until),
        }
    }

    pub(crate) fn receive(&self, held: Held) {
        let mut state = self.state.lock();
        match *state {
            State::Closed => {
                drop(state);
                held.give_back();
            }
            _ => *state = State::Back(held),
        }
    }

    /// What has come back. What comes later is given back as if there were no worker.
    pub(crate) fn close(&self) -> Option<Held> {
        match mem::replace(&mut *self.state.lock(), State::Closed) {
            State::Back(held) => Some(held),
            State::Out | State::Closed => None,
        }
    }

    pub(crate) fn renew(&self, limit: Duration) {
        *self.until.lock() = Deadline::after(limit);
    }

    pub(crate) fn until(&self) -> Deadline {
        *self.until.lock()
    }
}
