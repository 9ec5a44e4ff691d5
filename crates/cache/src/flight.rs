//! Who computes a value, of all threads of all processes: one at a time, and another when that one dies.
//!
//! A flight is a row with the key, the process and the thread that computes. It goes when the value is stored, in the same
//! transaction, or when the thread gives up, or when its process dies: whoever waits is woken. Who waits while flying
//! says for what, so that a circle of those who wait for each other is seen by the last to come.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use diskette_ipc::{OwnerId, fork};
use diskette_store::{Db, Error, ErrorKind, Result, Store};

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

/// Is somebody computing this value?
pub(crate) fn is_in_the_air(db: &Db<'_>, key: &[u8]) -> Result<bool> {
    Ok(db
        .query_one(sql::PILOT, &[key.into()], |_| Ok(()))?
        .is_some())
}

/// Says for what this thread is about to wait; refuses if that one waits, over others or not, for this.
pub(crate) fn wait_in_line(db: &Db<'_>, key: &[u8], me: Pilot) -> Result<()> {
    let pilot_of = |key: &[u8]| {
        db.query_one(sql::PILOT, &[key.into()], |row| {
            Ok(Pilot {
                owner: OwnerId::from_i64(row.int(0)?),
                thread: row.int(1)?,
            })
        })
    };
    let mut awaited = Some(key.to_owned());
    // As many steps as there are flights would do; the rows of a damaged database may lead in circles.
    for _ in 0..10_000 {
        let Some(pilot) = awaited.map(|key| pilot_of(&key)).transpose()?.flatten() else {
            break;
        };
        if pilot == me {
            return Err(Error::new(
                ErrorKind::Deadlock,
                "the value is computed by this thread already, or by one that waits for a value that this thread computes",
            ));
        }
        let who = [pilot.owner.as_i64().into(), pilot.thread.into()];
        awaited = db.query_one(sql::AWAITED, &who, |row| Ok(row.blob(0)?.to_owned()))?;
    }
    await_key(db, Some(key), me)
}

/// Says that this thread waits no more.
pub(crate) fn wait_no_more(db: &Db<'_>, me: Pilot) -> Result<()> {
    await_key(db, None, me)
}

fn await_key(db: &Db<'_>, key: Option<&[u8]>, me: Pilot) -> Result<()> {
    let key = key.map_or(diskette_store::Value::Null, Into::into);
    db.run(
        sql::AWAIT,
        &[key, me.owner.as_i64().into(), me.thread.into()],
    )
}
