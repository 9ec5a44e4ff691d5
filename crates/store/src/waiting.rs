//! Waiting for what another process changes. Nobody polls.

use std::time::Duration;

use diskette_ipc::{Awaited, Deadline, Doorbell, Stop};
use smallvec::SmallVec;

use crate::engine::Listening;
use crate::error::Result;
use crate::store::Store;
use crate::structure::Structure;

/// The least time that a call with a deadline gives to its own turn to write.
const TURN: Duration = Duration::from_millis(20);

/// A line of the doorbell at which a structure rings.
#[derive(Clone, Copy)]
pub(crate) struct Place<'p> {
    pub(crate) store: &'p Store,
    structure: &'p Structure,
    line: usize,
    /// What comes is for any of those who wait there.
    alike: bool,
}

/// What an attempt came to.
#[doc(hidden)]
#[derive(Debug)]
pub enum Attempt<R> {
    /// What was waited for.
    Done(R),
    /// Nothing, and nothing will come by itself.
    NotYet,
    /// Nothing, but after so long something may be there that nobody rings for.
    NotBefore(Duration),
}

impl<R> From<Option<R>> for Attempt<R> {
    fn from(found: Option<R>) -> Self {
        found.map_or(Attempt::NotYet, Attempt::Done)
    }
}

/// For the structures.
#[doc(hidden)]
impl Store {
    /// Calls `attempt` whenever the line of the doorbell was rung, with a [hurried](Self::hurried) store, until it succeeds;
    /// `None` when the time is up. Where nobody has rung for a while, it looks itself for claims of the dead.
    ///
    /// # Errors
    ///
    /// Those of `attempt`, and of giving claims back; [`is_stopped`](crate::Error::is_stopped) in place of a wait.
    pub fn wait_for<R>(
        &self,
        structure: &Structure,
        line: usize,
        deadline: Deadline,
        mut attempt: impl FnMut(&Store) -> Result<Option<R>>,
    ) -> Result<Option<R>> {
        let place = Place::new(self, structure, line);
        place.wait(deadline, |store, _| attempt(store).map(Attempt::from))
    }

    /// The same for what comes into a structure and is for any of those who wait there, where `attempt` may say when it is to be called
    /// again though nobody has rung. It is told whether to take what there is without a look before, which is for who probably comes in
    /// vain: he needs no turn to write then.
    ///
    /// # Errors
    ///
    /// Those of [`wait_for`](Self::wait_for).
    pub fn wait_for_arrivals<R>(
        &self,
        structure: &Structure,
        deadline: Deadline,
        attempt: impl FnMut(&Store, bool) -> Result<Attempt<R>>,
    ) -> Result<Option<R>> {
        let mut place = Place::new(self, structure, structure.arrivals());
        place.alike = true;
        place.wait(deadline, attempt)
    }

    /// The same, where `attempt` may say when it is to be called again though nobody has rung.
    ///
    /// # Errors
    ///
    /// Those of [`wait_for`](Self::wait_for).
    pub fn wait_by_time<R>(
        &self,
        structure: &Structure,
        line: usize,
        deadline: Deadline,
        mut attempt: impl FnMut(&Store) -> Result<Attempt<R>>,
    ) -> Result<Option<R>> {
        Place::new(self, structure, line).wait(deadline, |store, _| attempt(store))
    }

    /// The same store, with no more time for its turn to write than there is.
    pub fn hurried(&self, deadline: Deadline) -> Store {
        let timeout = self.timeout();
        let left = deadline.remaining().map_or(timeout, |left| left.max(TURN));
        self.with_timeout(timeout.min(left))
    }
}

/// Calls `attempt` whenever something was rung for, as [`Store::wait_for_arrivals`] does, with the stores of the places, which stay where
/// they are. If one moves, it is waited for anew.
pub(crate) fn wait_at<R>(
    places: &[Place<'_>],
    deadline: Deadline,
    mut attempt: impl FnMut(&[Store], bool) -> Result<Attempt<R>>,
) -> Result<Option<R>> {
    loop {
        let stores = places.iter().map(|place| Ok(place.store.here()?.staying()));
        let stores = stores.collect::<Result<SmallVec<[Store; 1]>>>()?;
        let here = places.iter().zip(&stores);
        let here = here.map(|(&place, store)| Place { store, ..place });
        let here: SmallVec<[Place<'_>; 1]> = here.collect();
        match wait_here(&here, deadline, |at_once| attempt(&stores, at_once)) {
            Err(error) if error.is_moved() => {
                let mut goes_on = false;
                for (place, store) in places.iter().zip(&stores) {
                    if store.must_be_here().is_err() {
                        goes_on |= place.store.onward()?.is_some();
                    }
                }
                if !goes_on {
                    return Err(error);
                }
            }
            result => return result,
        }
    }
}

fn wait_here<R>(
    places: &[Place<'_>],
    deadline: Deadline,
    mut attempt: impl FnMut(bool) -> Result<Attempt<R>>,
) -> Result<Option<R>> {
    let listening = places.iter().map(Place::listen);
    let mut listening = listening.collect::<Result<Vec<_>>>()?;
    let stops: Vec<&Stop> = places
        .iter()
        .filter_map(|place| place.store.stop())
        .collect();
    let (mut overslept, mut called) = (false, true);
    loop {
        let awaited = places.iter().map(Place::look);
        let mut awaited = awaited.collect::<Result<Vec<_>>>()?;
        let mut looks = listening.iter_mut().zip(&mut awaited);
        let expects = looks.try_fold(true, |all, (it, awaited)| {
            it.look(awaited, called).map(|expects| all && expects)
        });
        let left = match expects {
            Err(left) => left,
            Ok(expects) => {
                let given_back = match overslept {
                    true => places
                        .iter()
                        .try_for_each(|place| place.give_back(deadline)),
                    false => Ok(()),
                };
                let left = match given_back.and_then(|()| attempt(called || expects)) {
                    Ok(Attempt::NotYet) => None,
                    Ok(Attempt::NotBefore(left)) => Some(left),
                    Err(error) if error.is_timeout() && deadline.is_past() => return Ok(None),
                    Ok(Attempt::Done(found)) => return Ok(Some(found)),
                    Err(error) => return Err(error),
                };
                listening.iter_mut().for_each(|it| it.in_vain(left));
                left
            }
        };
        (overslept, called) = (false, false);
        if deadline.is_past() {
            return Ok(None);
        }
        for place in places {
            place.store.may_wait()?;
            place.store.must_be_here()?;
        }
        let mut just_told = false;
        for it in &mut listening {
            just_told |= it.tell()?;
        }
        if just_told {
            continue; // what came until then nobody rang for
        }
        // What it says is about the sooner of the two.
        let look_again = left.map_or(deadline, |left| deadline.min(left));
        let _ = Doorbell::wait_any(&awaited, &stops, look_again);
        if deadline.is_past() {
            return Ok(None);
        }
        overslept = awaited.iter().all(|it| it.bell.seen(it.line) == it.seen);
    }
}

impl<'p> Place<'p> {
    pub(crate) fn new(store: &'p Store, structure: &'p Structure, line: usize) -> Self {
        Place {
            store,
            structure,
            line,
            alike: false,
        }
    }

    /// Waits at this one place, with a hurried store.
    fn wait<R>(
        self,
        deadline: Deadline,
        mut attempt: impl FnMut(&Store, bool) -> Result<Attempt<R>>,
    ) -> Result<Option<R>> {
        let hurried = |stores: &[Store]| stores.first().unwrap_or(self.store).hurried(deadline);
        wait_at(&[self], deadline, |stores, at_once| {
            attempt(&hurried(stores), at_once)
        })
    }

    fn listen(&self) -> Result<Listening> {
        self.store.must_be_writable()?;
        self.store.listen(self.line, self.alike)
    }

    fn look(&self) -> Result<Awaited<'p>> {
        let (bell, line) = (self.store.bell()?, self.line);
        let seen = bell.seen(line);
        Ok(Awaited { bell, line, seen })
    }

    fn give_back(&self, deadline: Deadline) -> Result<()> {
        let store = self.store.hurried(deadline);
        store.give_back_from_the_dead(self.structure)
    }
}
