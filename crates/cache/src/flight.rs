//! Who computes a value, of all threads of all processes: one at a time, and another when that one dies.
//!
//! A flight is a row with the key, the process and the thread that computes. It goes when the value is stored, in the same
//! transaction, or when the thread gives up, or when its process dies: whoever waits is woken. Who waits while flying
//! says for what, so that a circle of those who wait for each other is seen by the last to come.
//!
//! A circle may lead through several caches, of which each thread has the turn of one. So each commits that it waits, and then looks: who
//! commits last sees what all others have said. It is one statement that looks, which sees one state, so that what it sees has been a circle.
//! If several see it, they look again one after the other: the first is told, and waits no more.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use diskette_ipc::{OwnerId, fork};
use diskette_store::{Access, Db, Error, ErrorKind, Result, Row, Store, Value};

use crate::inner::Inner;
use crate::sql;

/// The right to compute the value of a key; given back when it is dropped.
pub(crate) struct Flight {
    inner: Arc<Inner>,
    store: Store,
    key: Vec<u8>,
    pilot: Pilot,
    generation: u64,
    landed: bool,
}

/// A thread of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pilot {
    owner: OwnerId,
    thread: i64,
}

thread_local! {
    static THREAD: Cell<i64> = const { Cell::new(0) };
    /// How many values this thread computes, one within the other.
    static FLYING: Cell<usize> = const { Cell::new(0) };
}

impl Pilot {
    /// This thread.
    pub(crate) fn me(store: &Store) -> Result<Self> {
        if THREAD.get() == 0 {
            THREAD.set(Self::new_thread());
        }
        Ok(Pilot {
            owner: store.claimant()?,
            thread: THREAD.get(),
        })
    }

    /// A thread that is about to be started, and will [take over](Self::take_over).
    pub(crate) fn another(store: &Store) -> Result<Self> {
        Ok(Pilot {
            owner: store.claimant()?,
            thread: Self::new_thread(),
        })
    }

    fn of(row: &Row<'_>) -> Result<Self> {
        Ok(Pilot {
            owner: OwnerId::from_i64(row.int(0)?),
            thread: row.int(1)?,
        })
    }

    /// Makes this thread the one that was meant.
    pub(crate) fn take_over(self) {
        THREAD.set(self.thread);
    }

    fn new_thread() -> i64 {
        static NEXT: AtomicI64 = AtomicI64::new(1);
        NEXT.fetch_add(1, Ordering::Relaxed)
    }
}

impl Flight {
    /// Takes off, unless another is computing this value.
    pub(crate) fn take_off(
        inner: &Arc<Inner>,
        db: &Db<'_>,
        key: &[u8],
        pilot: Pilot,
    ) -> Result<Option<Self>> {
        let (cache, owner) = (inner.structure.id().into(), pilot.owner.as_i64().into());
        let row = [cache, key.into(), owner, pilot.thread.into()];
        if db.execute(sql::TAKE_OFF, &row)? == 0 {
            return Ok(None);
        }
        Ok(Some(Flight {
            inner: Arc::clone(inner),
            store: db.store().staying(),
            key: key.to_owned(),
            pilot,
            generation: fork::generation(),
            landed: false,
        }))
    }

    /// Ends the flight, in the transaction that stores the value.
    pub(crate) fn land(&mut self, db: &Db<'_>) -> Result<()> {
        remove(&self.inner, db, &self.key, self.pilot)?;
        self.landed = true;
        Ok(())
    }

    /// Computes the value.
    pub(crate) fn fly<R>(&self, compute: impl FnOnce() -> R) -> R {
        FLYING.set(FLYING.get() + 1);
        let _flying = Flying;
        compute()
    }

    pub(crate) fn key(&self) -> &[u8] {
        &self.key
    }

    pub(crate) fn pilot(&self) -> Pilot {
        self.pilot
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        // What a child inherits isn't its own to give back.
        if self.landed || self.generation != fork::generation() {
            return;
        }
        let (inner, key) = (Arc::clone(&self.inner), std::mem::take(&mut self.key));
        let pilot = self.pilot;
        // If it fails, the row goes with the process.
        self.store.when_free(move |store| {
            let removed = |db: &Db<'_>| remove(&inner, db, &key, pilot);
            let _ = inner.structure.inside(store).write(removed);
        });
    }
}

fn remove(inner: &Inner, db: &Db<'_>, key: &[u8], pilot: Pilot) -> Result<()> {
    let (owner, thread) = (pilot.owner.as_i64().into(), pilot.thread.into());
    db.run(sql::LAND, &[key.into(), owner, thread])?;
    db.ring(inner.structure.arrivals());
    Ok(())
}

/// This thread computes something, until this is dropped.
struct Flying;

impl Drop for Flying {
    fn drop(&mut self) {
        FLYING.set(FLYING.get() - 1);
    }
}

/// Is somebody computing this value?
pub(crate) fn is_in_the_air(db: &Db<'_>, key: &[u8]) -> Result<bool> {
    Ok(db
        .query_one(sql::PILOT, &[key.into()], |_| Ok(()))?
        .is_some())
}

/// Does this thread compute something, for which others may wait?
pub(crate) fn is_flying() -> bool {
    FLYING.get() > 0
}

/// Says for what this thread waits, if for anything.
pub(crate) fn wait_for(db: &Db<'_>, key: Option<&[u8]>, me: Pilot) -> Result<()> {
    let key = key.map_or(Value::Null, Into::into);
    db.run(
        sql::AWAIT,
        &[key, me.owner.as_i64().into(), me.thread.into()],
    )
}

/// Refuses to wait for who waits, over others or not, for this thread. To be called when [`wait_for`] is committed.
pub(crate) fn must_not_be_a_circle(store: &Store, key: &[u8], me: Pilot) -> Result<()> {
    let pilots = |db: &Db<'_>| db.query(sql::PILOTS, &[key.into()], Pilot::of);
    let circle = store.read_one(pilots)?;
    if !circle.contains(&me) {
        return Ok(());
    }
    for pilot in circle {
        // As soon as that is heard of, who waits for him computes the value himself.
        if !store.is_alive(pilot.owner)? {
            return Ok(());
        }
    }
    let leave = |db: &Db<'_>| match pilots(db)?.contains(&me) {
        false => Ok(false),
        true => wait_for(db, None, me).map(|()| true),
    };
    match store.one_by_one(leave)? {
        false => Ok(()),
        true => Err(Error::new(
            ErrorKind::Deadlock,
            "the value is computed by this thread already, or by one that waits for a value that this thread computes",
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
    use std::thread;
    use std::time::Duration;

    use diskette_store::Access;
    use diskette_testkit::asleep;

    use super::*;
    use crate::cache::Cache;
    use crate::fresh::Fresh;

    /// A circle was seen, and an error, where one of those who waited had just been killed.
    #[test]
    fn who_is_dead_is_in_no_circle() -> std::result::Result<(), Box<dyn std::error::Error>> {
        let dir = tempfile::tempdir()?;
        let store = Store::options().timeout(Duration::from_millis(10));
        let store = store.open(dir.path())?;
        let cache = Cache::<u32, u32>::new(&store, "cache")?;
        let in_the_air = || {
            let keys = |db: &Db<'_>| {
                db.query("SELECT key FROM cache_flights", &[], |row| {
                    Ok(row.blob(0)?.to_owned())
                })
            };
            store.read_one(keys).map(|keys| keys.concat())
        };
        let mut second = Ok(Vec::new());
        cache.memoize(&2, Fresh::forever(), || {
            second = in_the_air();
            0
        })?;
        cache.remove(&2)?;
        let (second, mut waited) = (second?, Ok(0));
        cache.memoize(&1, Fresh::forever(), || {
            let dead = "INSERT INTO cache_flights (cache, key, owner, thread, awaits) SELECT cache, $1, 7, 1, key FROM cache_flights";
            store.write(|db| db.execute(dead, &[second.as_slice().into()])).unwrap();
            waited = cache.memoize(&2, Fresh::forever(), || 0);
            0
        })?;
        assert!(waited.is_err_and(|error| error.is_timeout()));
        Ok(())
    }

    /// Who waited for a value and then computed it himself was held to wait for it on: others who did so later saw a circle that wasn't there.
    #[test]
    fn who_takes_over_waits_no_more() -> std::result::Result<(), Box<dyn std::error::Error>> {
        let dir = tempfile::tempdir()?;
        let store = Store::open(dir.path())?;
        let cache = Cache::<u32, u32>::new(&store, "cache")?;
        let awaited = || {
            let count = "SELECT count(*) FROM cache_flights WHERE awaits IS NOT NULL";
            store.read_one(|db| db.query_one(count, &[], |row| row.int(0)))
        };
        let within = || {
            let value = cache.memoize(&2, Fresh::forever(), || 2).unwrap();
            assert_eq!(awaited().unwrap(), Some(0));
            value
        };
        thread::scope(|scope| {
            let mut other = None;
            let give_up = || {
                cache.memoize(&2, Fresh::forever(), || {
                    let waits = || cache.memoize(&1, Fresh::forever(), within);
                    other = Some(asleep(scope, || (), waits));
                    assert_eq!(awaited().unwrap(), Some(1));
                    resume_unwind(Box::new("gives up"))
                })
            };
            assert!(catch_unwind(AssertUnwindSafe(give_up)).is_err());
            assert_eq!(other.unwrap().join().unwrap().unwrap(), 2);
        });
        Ok(())
    }
}
