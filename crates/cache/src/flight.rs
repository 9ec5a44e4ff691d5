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
use diskette_store::{Access, Db, Error, ErrorKind, Result, Store, Value};

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
    let row = [key.into(), me.owner.as_i64().into(), me.thread.into()];
    let is_circle = |db: &Db<'_>| db.query_one(sql::CIRCLE, &row, |_| Ok(()));
    if store.read_one(is_circle)?.is_none() {
        return Ok(());
    }
    let leave = |db: &Db<'_>| match is_circle(db)? {
        None => Ok(false),
        Some(()) => wait_for(db, None, me).map(|()| true),
    };
    match store.one_by_one(leave)? {
        false => Ok(()),
        true => Err(Error::new(
            ErrorKind::Deadlock,
            "the value is computed by this thread already, or by one that waits for a value that this thread computes",
        )),
    }
}
