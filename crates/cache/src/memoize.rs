//! Values that are computed once, and again when they are due: by one thread of one process, whoever else asks.

use diskette_ipc::{Deadline, random};
use diskette_store::{Access, Codec, Db, Error, ErrorKind, Keeping, Like, Result, Store};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::cache::Cache;
use crate::early;
use crate::flight::{self, Flight, Pilot};
use crate::fresh::Fresh;
use crate::known::Known;
use crate::part::Part;
use crate::reach::Reach;
use crate::sql;

/// What is to do for who asks for a value.
pub(crate) enum Turn<V> {
    /// Nothing: here it is.
    Done(V),
    /// To compute it; this is the value that is there until then, if there is one.
    Compute(Flight, Option<V>),
}

impl<K, V, C, A> Cache<K, V, C, A>
where
    V: Serialize + DeserializeOwned,
    C: Codec,
    A: Reach<Access = Store>,
{
    /// The value of a key; computed, if it is not there or not [fresh](Fresh) any more, by this call or by another that is at it
    /// already. Whatever else asks for it meanwhile waits, asleep, or gets the old value where that may be given.
    ///
    /// To compute for many keys, with one function, and to refresh values in the background, see [`Memoized`](crate::Memoized).
    ///
    /// # Process safety
    ///
    /// Of all threads of all processes one computes at a time. `compute` runs outside of any transaction and may use the store, and
    /// other memoized values.
    ///
    /// # Crashes
    ///
    /// If the process that computes dies, or `compute` panics, one of those who wait takes over at once.
    ///
    /// # Errors
    ///
    /// - [`is_deadlock`](Error::is_deadlock): this thread computes that value already, or it would wait for one that waits, over
    ///   others or not, for what this one computes;
    /// - [`is_timeout`](Error::is_timeout): the other didn't come to an end within the store's timeout;
    /// - [`is_misuse`](Error::is_misuse) within a transaction of this thread;
    /// - those of [`get`](Self::get) and [`insert`](Self::insert).
    ///
    /// # Cost
    ///
    /// That of [`get`](Self::get); two transactions around `compute`.
    ///
    /// # Example
    ///
    /// ```
    /// use std::time::Duration;
    /// use diskette::{Cache, Store};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # std::env::set_current_dir(&dir)?;
    /// let store = Store::open("store")?;
    /// let squares = Cache::<u64, u64>::new(&store, "squares")?;
    /// for _ in 0..3 {
    ///     assert_eq!(squares.memoize(&7, Duration::from_secs(60), || 7 * 7)?, 49);
    /// }
    /// let stats = squares.stats()?;
    /// assert_eq!((stats.hits, stats.misses), (2, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn memoize<Q>(
        &self,
        key: &Q,
        fresh: impl Into<Fresh>,
        compute: impl FnOnce() -> V,
    ) -> Result<V>
    where
        Q: Like<K> + ?Sized,
    {
        self.try_memoize(key, fresh, || Ok(compute()))
    }

    /// The same for what may fail: an error is kept for nobody, and the next to ask, or one of those who wait, computes again. To
    /// keep errors for a time, make the `Result` the value.
    ///
    /// # Errors
    ///
    /// Those of `compute`, and of [`memoize`](Self::memoize).
    pub fn try_memoize<Q, E>(
        &self,
        key: &Q,
        fresh: impl Into<Fresh>,
        compute: impl FnOnce() -> Result<V, E>,
    ) -> Result<V, E>
    where
        Q: Like<K> + ?Sized,
        E: From<Error>,
    {
        let fresh = fresh.into();
        let turn = self.doing("memoize", || self.turn(&self.key(key)?, &fresh, Pilot::me))?;
        match turn {
            Turn::Done(value) => Ok(value),
            Turn::Compute(flight, _) => self.compute(flight, &fresh, compute),
        }
    }

    /// Computes a value and keeps it, for all who wait.
    pub(crate) fn compute<E: From<Error>>(
        &self,
        mut flight: Flight,
        fresh: &Fresh,
        compute: impl FnOnce() -> Result<V, E>,
    ) -> Result<V, E> {
        let key = flight.key().to_owned();
        let part = self.part(&key);
        let begun = part.inner.timeline.now();
        let value = flight.fly(compute)?;
        let took = part.inner.timeline.now() - begun;
        self.doing("memoize", || {
            let stored = part.encode::<C, V, _>(&key, &value)?;
            part.put_in_turns(stored, |db, stored, now| {
                let found = part.live(db, &key, now)?;
                let terms = fresh.terms();
                let begun = terms.begin(&part.inner.timeline, now);
                if !part.put(db, &key, found, stored, Some(&begun), now)? {
                    return Ok(None);
                }
                let until = fresh.until(now).into();
                db.run(sql::MEMO, &[until, took.into(), key.as_slice().into()])?;
                flight.land(db).map(Some)
            })
        })?;
        Ok(value)
    }

    /// The value, or the right to compute it: by this thread, or another as `pilot` says.
    pub(crate) fn turn(
        &self,
        key: &[u8],
        fresh: &Fresh,
        pilot: impl Fn(&Store) -> Result<Pilot>,
    ) -> Result<Turn<V>> {
        self.part(key).turn::<C, V>(key, fresh, pilot)
    }
}

impl Part<'_, Store> {
    fn turn<C: Codec, V: DeserializeOwned>(
        &self,
        key: &[u8],
        fresh: &Fresh,
        pilot: impl Fn(&Store) -> Result<Pilot>,
    ) -> Result<Turn<V>> {
        let Some((memo, value)) = self.find::<C, V>(key)? else {
            return self.wait_for_turn::<C, V>(key);
        };
        if self.is_due(&memo, fresh) {
            let flight = self.inside().write(|db| {
                let pilot = pilot(self.store())?;
                // Another may have landed since.
                let now = self.memo::<C, V>(db, key)?;
                let now = now.and_then(|(memo, _)| memo.good_until);
                match now == memo.good_until {
                    true => Flight::take_off(self.inner, db, key, pilot),
                    false => Ok(None),
                }
            })?;
            if let Some(flight) = flight {
                self.inner.count(None);
                return Ok(Turn::Compute(flight, Some(value)));
            }
        }
        self.inner.count(Some(memo.of));
        Ok(Turn::Done(value))
    }

    /// Takes off, or waits for who is in flight.
    fn wait_for_turn<C, V>(&self, key: &[u8]) -> Result<Turn<V>>
    where
        C: Codec,
        V: DeserializeOwned,
    {
        let store = self.store();
        let (structure, timeout) = (&self.inner.structure, store.timeout());
        let line = structure.arrivals();
        let mut waited = false;
        let turn = store.wait_for(structure, line, Deadline::after(timeout), |store| {
            // Of the many that are woken, most find their value there, or that it was another that came: no turn to write for
            // them.
            if waited {
                let memo = store.read_one(|db| self.memo::<C, V>(db, key))?;
                if memo.is_some() || store.read_one(|db| flight::is_in_the_air(db, key))? {
                    return Ok(memo.map(Err));
                }
            }
            let me = Pilot::me(store)?;
            let flight = structure.inside(store).write(|db| {
                if let Some(memo) = self.memo::<C, V>(db, key)? {
                    return Ok(Some(Err(memo)));
                }
                if let Some(flight) = Flight::take_off(self.inner, db, key, me)? {
                    return Ok(Some(Ok(flight)));
                }
                if flight::is_flying() {
                    flight::wait_for(db, Some(key), me)?;
                }
                Ok(None)
            })?;
            waited |= flight.is_none();
            if flight.is_none() && flight::is_flying() {
                flight::must_not_be_a_circle(store, key, me)?;
            }
            Ok(flight)
        });
        if waited && flight::is_flying() {
            // In vain, it says of this thread what was true once: a chain that leads nowhere.
            let inside = structure.inside(store);
            let _ = Pilot::me(store)
                .and_then(|me| inside.write_one(|db| flight::wait_for(db, None, me)));
        }
        match turn? {
            Some(Ok(flight)) => {
                self.inner.count(None);
                Ok(Turn::Compute(flight, None))
            }
            Some(Err((memo, value))) => {
                self.inner.count(Some(memo.of));
                Ok(Turn::Done(value))
            }
            None => Err(Error::new(
                ErrorKind::Timeout,
                format!(
                    "another has been computing it for {timeout:?}: try again, or allow a longer timeout by `Store::with_timeout`"
                ),
            )),
        }
    }

    /// The value that is there, for who may be about to write.
    fn memo<C, V>(&self, db: &Db<'_>, key: &[u8]) -> Result<Option<(Known, V)>>
    where
        C: Codec,
        V: DeserializeOwned,
    {
        self.look_up::<C, V>(db, key, &Keeping::default())
    }

    fn is_due(&self, memo: &Known, fresh: &Fresh) -> bool {
        let Some(good_until) = memo.good_until else {
            return false;
        };
        let left = good_until - self.inner.timeline.now();
        if left <= 0 {
            return true;
        }
        fresh.beta().is_some_and(|beta| {
            // Without a draw it is as if none were early.
            let random = random::number().map_or(1.0, |number| number as f64 / i64::MAX as f64);
            early::is_due(memo.took, left, beta, random)
        })
    }
}
