//! What the threads of a worker have in hand.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use diskette_ipc::Mutex;

use crate::held::{Ending, Held};
use crate::home::Home;

#[derive(Default)]
pub(super) struct Desks(Mutex<All>);

#[derive(Default)]
struct All {
    /// By the number of the thread.
    busy: BTreeMap<usize, Desk>,
    /// Nothing is begun any more, and nobody waits for what was.
    closed: bool,
}

/// A job that a thread has in hand.
struct Desk {
    /// The claim, for who ends it over the head of the thread.
    twin: Held,
    home: Arc<Home>,
    /// It is beyond its limit, and another thread has taken the place of this one.
    is_lost: bool,
}

impl Desks {
    /// Not if nothing is to be begun any more.
    pub(super) fn sit_down(&self, number: usize, twin: Held, home: &Arc<Home>) -> bool {
        let mut desks = self.0.lock();
        if !desks.closed {
            let desk = Desk {
                twin,
                home: Arc::clone(home),
                is_lost: false,
            };
            desks.busy.insert(number, desk);
        }
        !desks.closed
    }

    /// Was the thread lost meanwhile?
    pub(super) fn get_up(&self, number: usize) -> bool {
        let desk = self.0.lock().busy.remove(&number);
        desk.is_some_and(|desk| desk.is_lost)
    }

    pub(super) fn next_late(&self) -> Duration {
        let desks = self.0.lock();
        let in_time = desks.busy.values().filter(|desk| !desk.is_lost);
        let left = in_time.filter_map(|desk| desk.home.until().remaining());
        left.min().unwrap_or(Duration::MAX)
    }

    /// The jobs that are beyond their limit now; their threads are lost from here on.
    pub(super) fn late(&self) -> Vec<String> {
        let mut desks = self.0.lock();
        let all = desks.busy.values_mut();
        let late = all.filter(|desk| !desk.is_lost && desk.home.until().is_past());
        late.map(|desk| {
            desk.is_lost = true;
            let inner = &desk.twin.inner;
            format!("{} of {}", inner.job(desk.twin.row), inner.structure.name())
        })
        .collect()
    }

    /// Releases what is still in hand: what its threads do with it is refused from then on.
    pub(super) fn hand_back(&self) {
        let mut desks = self.0.lock();
        desks.closed = true;
        let busy = std::mem::take(&mut desks.busy);
        drop(desks);
        for desk in busy.into_values().filter(|desk| !desk.is_lost) {
            let Held {
                inner, store, row, ..
            } = &desk.twin;
            let id = inner.job(*row);
            let ending = Ending::Release { counts: false };
            match desk.twin.end(store, ending) {
                Ok(()) => tracing::warn!(%id, "released: the grace time is over"),
                Err(error) if error.is_overtaken() || error.is_moved() => {} // it has just ended
                Err(error) => tracing::warn!(%id, %error, "could not be released"),
            }
        }
    }
}
