//! What this process does for a store beside its calls, one after the other, by a thread that is there while there is something to do.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};

use diskette_ipc::{Mutex, background, fork};

use crate::postgres::Postgres;
use crate::store::Store;

type Errand = (Store, Box<dyn FnOnce(&Store) + Send>);

#[derive(Default)]
pub(crate) struct Errands {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Errand>,
    /// The generation of forks of the thread that is at it: a child doesn't have its parent's, nor is this for it to do.
    busy: Option<u64>,
}

impl Postgres {
    /// Has something done soon, once.
    pub(crate) fn in_background(&self, errand: impl FnOnce(&Store) + Send + 'static) {
        let mut state = self.home().errands.state.lock();
        if state.busy.is_some_and(|busy| busy != fork::generation()) {
            *state = State::default();
        }
        state.waiting.push_back((self.store(), Box::new(errand)));
        if state.busy.is_none() {
            state.busy = Some(fork::generation());
            let home = self.at_home();
            if background::spawn("diskette-keeper", move || home.run_errands()).is_err() {
                // As if the process had ended.
                *state = State::default();
            }
        }
    }

    fn run_errands(&self) {
        loop {
            let mut state = self.home().errands.state.lock();
            let Some((store, errand)) = state.waiting.pop_front() else {
                state.busy = None;
                return;
            };
            drop(state);
            let _ = catch_unwind(AssertUnwindSafe(|| errand(&store)));
        }
    }
}
