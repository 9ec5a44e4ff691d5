//! Waiting for what another process changes. Nobody polls.

use std::time::Duration;

use diskette_ipc::{Awaited, Deadline, Doorbell, Stop};

use crate::error::Result;
use crate::store::Store;
use crate::structure::Structure;

/// The least time that a call with a deadline gives to its own turn to write.
const TURN: Duration = Duration::from_millis(20);

/// A line of the doorbell at which a structure rings.
#[derive(Clone, Copy)]
pub(crate) struct Place<'p> {
    pub(crate) store: &'p Store,
    pub(crate) structure: &'p Structure,
    pub(crate) line: usize,
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
        self.wait_by_time(structure, line, deadline, |store| {
            attempt(store).map(Attempt::from)
        })
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
        let place = Place {
            store: self,
            structure,
            line,
        };
        wait_at(&[place], deadline, || attempt(&self.hurried(deadline)))
    }

    /// The same store, with no more time for its turn to write than there is.
    pub fn hurried(&self, deadline: Deadline) -> Store {
        let timeout = self.timeout();
        let left = deadline.remaining().map_or(timeout, |left| left.max(TURN));
        self.with_timeout(timeout.min(left))
    }
}

/// Calls `attempt` whenever something was rung for, as [`Store::wait_for`] does.
pub(crate) fn wait_at<R>(
    places: &[Place<'_>],
    deadline: Deadline,
    mut attempt: impl FnMut() -> Result<Attempt<R>>,
) -> Result<Option<R>> {
    let listen = |place: &Place<'_>| {
        place.store.must_be_writable()?;
        place.store.listen(place.line)
    };
    let _listeners = places.iter().map(listen).collect::<Result<Vec<_>>>()?;
    let stops: Vec<&Stop> = places
        .iter()
        .filter_map(|place| place.store.stop())
        .collect();
    let mut overslept = false;
    loop {
        let awaited = places.iter().map(Place::look).collect::<Result<Vec<_>>>()?;
        let given_back = match overslept {
            true => places.iter().try_for_each(|place| {
                let store = place.store.hurried(deadline);
                store.give_back_from_the_dead(place.structure)
            }),
            false => Ok(()),
        };
        let look_again = match given_back.and_then(|()| attempt()) {
            Ok(Attempt::NotYet) => deadline,
            Ok(Attempt::NotBefore(time)) => deadline.min(time),
            Err(error) if error.is_timeout() && deadline.is_past() => return Ok(None),
            Ok(Attempt::Done(found)) => return Ok(Some(found)),
            Err(error) => return Err(error),
        };
        if deadline.is_past() {
            return Ok(None);
        }
        for place in places {
            place.store.may_wait()?;
        }
        // What it says is about the sooner of the two.
        let _ = Doorbell::wait_any(&awaited, &stops, look_again);
        if deadline.is_past() {
            return Ok(None);
        }
        overslept = awaited.iter().all(|it| it.bell.seen(it.line) == it.seen);
    }
}

impl<'p> Place<'p> {
    fn look(&self) -> Result<Awaited<'p>> {
        let (bell, line) = (self.store.bell()?, self.line);
        let seen = bell.seen(line);
        Ok(Awaited { bell, line, seen })
    }
}
