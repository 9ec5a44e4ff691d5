//! Handles of a store that has moved go on where it is now.
//!
//! A handle of a directory learns of a move as it is refused there ([`moved`](crate::sqlite)), and has what follows the store
//! opened, once for all handles of the process; from then on each call is done there. What was held or begun at the old place stays: it
//! has a handle that doesn't [follow](Store::staying).

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use diskette_ipc::{Clock, Reading, Stop};

use crate::engine::Engine;
use crate::error::{Error, ErrorKind, Result};
use crate::sqlite::directory::Identity;
use crate::store::{Store, Ways};
use crate::timeline::Timeline;

/// What follows a store that has moved.
pub(crate) struct Next {
    pub(crate) store: Store,
    pub(crate) timeline: Timeline,
}

/// Which store it is, wherever it has moved.
#[derive(Clone, Debug)]
pub(crate) struct Whose {
    pub(crate) identity: Identity,
    /// The identity of what follows it.
    pub(crate) next: Option<Arc<OnceLock<Identity>>>,
}

/// Work that is done once: taken out as it begins.
pub(crate) struct Once<W>(Option<W>);

/// For the structures.
#[doc(hidden)]
impl Store {
    /// The same store, which goes nowhere if it moves: then each call is an error ([`is_moved`](Error::is_moved)).
    #[must_use]
    pub fn staying(&self) -> Store {
        let ways = Ways {
            follows: false,
            ..self.ways().clone()
        };
        self.now().going(ways)
    }

    /// Calls `attempt` with a store that [stays](Self::staying) where it is, for what takes several steps; once more, at the new place,
    /// if it has moved meanwhile.
    ///
    /// # Errors
    ///
    /// Those of `attempt`, and of opening the new place.
    pub fn in_one_place<R>(&self, mut attempt: impl FnMut(&Store) -> Result<R>) -> Result<R> {
        let here = self.here()?;
        match attempt(&here.staying()) {
            Err(error) if error.is_moved() => match here.onward()? {
                Some(next) => attempt(&next.staying()),
                None => Err(error),
            },
            result => result,
        }
    }

    /// Refuses if it has moved and this handle doesn't follow it.
    ///
    /// # Errors
    ///
    /// [`is_moved`](Error::is_moved).
    pub fn must_be_here(&self) -> Result<()> {
        match self.now().engine() {
            Engine::Sqlite(sqlite) => sqlite.must_be_here(),
            #[cfg(feature = "postgres")]
            Engine::Postgres(_) => Ok(()),
        }
    }
}

impl Store {
    /// What follows it, as far as is known here.
    pub(crate) fn next(&self) -> Option<&Next> {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.next(),
            #[cfg(feature = "postgres")]
            Engine::Postgres(_) => None,
        }
    }

    /// The store where it is, as far as is known here.
    pub(crate) fn now(&self) -> Cow<'_, Store> {
        match self.next() {
            None => Cow::Borrowed(self),
            Some(next) => Cow::Owned(next.store.going(self.ways().clone())),
        }
    }

    /// What it stands on there, for calls that don't depend on the handle.
    pub(crate) fn engine_now(&self) -> &Engine {
        self.next()
            .map_or(self.engine(), |next| next.store.engine())
    }

    /// The store where it is.
    pub(crate) fn here(&self) -> Result<Cow<'_, Store>> {
        Ok(self.onward()?.map_or(Cow::Borrowed(self), Cow::Owned))
    }

    /// The store where it has moved; `None`: it hasn't, or isn't followed. Costs a look into shared memory, unless something was told
    /// there.
    ///
    /// # Errors
    ///
    /// Those of opening the new place: then whoever calls next tries again.
    pub(crate) fn onward(&self) -> Result<Option<Store>> {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.onward(),
            #[cfg(feature = "postgres")]
            Engine::Postgres(_) => Ok(None),
        }
    }

    /// Does `work` where the store is. Where it has moved from, it is refused before it begins.
    pub(crate) fn once<W, R, E: From<Error>>(
        &self,
        work: W,
        run: impl Fn(&Store, &mut Once<W>) -> Result<R, E>,
    ) -> Result<R, E> {
        let mut work = Once::new(work);
        let mut now = self.now();
        loop {
            let result = run(&now, &mut work);
            if result.is_ok() || work.0.is_none() {
                return result;
            }
            match now.onward()? {
                None => return result,
                Some(next) => now = Cow::Owned(next),
            }
        }
    }

    /// Calls `attempt` where the store is; it may be called again.
    pub(crate) fn again<R>(&self, attempt: impl Fn(&Store) -> Result<R>) -> Result<R> {
        let mut now = self.now();
        loop {
            match attempt(&now) {
                Err(error) if error.is_moved() => match now.onward()? {
                    None => return Err(error),
                    Some(next) => now = Cow::Owned(next),
                },
                result => return result,
            }
        }
    }

    pub(crate) fn whose(&self) -> Whose {
        let next = match self.engine() {
            Engine::Sqlite(sqlite) => Some(sqlite.identity_of_next()),
            #[cfg(feature = "postgres")]
            Engine::Postgres(_) => None,
        };
        Whose {
            identity: self.identity(),
            next: next.map(Arc::clone),
        }
    }
}

impl<W> Once<W> {
    pub(crate) fn new(work: W) -> Self {
        Once(Some(work))
    }

    /// To be called where nothing can send the caller elsewhere any more.
    pub(crate) fn begin(&mut self) -> Result<W> {
        let twice = || Error::new(ErrorKind::Misuse, "what is done once was begun twice");
        self.0.take().ok_or_else(twice)
    }
}

impl Whose {
    pub(crate) fn is(&self, store: &Store) -> bool {
        self.identity == store.identity() || self.now() == store.whose().now()
    }

    fn now(&self) -> Identity {
        let next = self.next.as_ref().and_then(|next| next.get());
        *next.unwrap_or(&self.identity)
    }
}

/// The clock of a store that may move.
pub(crate) struct StoreClock {
    pub(crate) here: Arc<dyn Clock>,
    pub(crate) store: Store,
}

impl StoreClock {
    fn ask<R>(&self, ask: impl FnOnce(&dyn Clock) -> R) -> R {
        match self.store.next().and_then(|next| next.store.clock().ok()) {
            None => ask(&*self.here),
            Some(there) => ask(&*there),
        }
    }
}

impl Clock for StoreClock {
    fn read(&self) -> Reading {
        self.ask(|clock| clock.read())
    }

    fn uptime(&self) -> (u64, Duration) {
        self.ask(|clock| clock.uptime())
    }

    fn sleep_until(&self, uptime: Duration) {
        self.ask(|clock| clock.sleep_until(uptime));
    }

    fn sleep_until_stopped(&self, uptime: Duration, stop: &Stop) {
        self.ask(|clock| clock.sleep_until_stopped(uptime, stop));
    }
}

impl fmt::Debug for StoreClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StoreClock").field(&self.here).finish()
    }
}
