use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use diskette_store::{Result, Store, Stored, Transaction};

use crate::held::{Held, gone};
use crate::positions::End;
use crate::sql;

/// An item of a deque in the hands of this process; made by [`Deque::claim_front`](crate::Deque::claim_front).
///
/// It keeps its place in the deque, where nobody else sees it, until it is completed, which removes
/// it, or released, which gives it back. Dropping a claim releases it.
///
/// # Process safety
///
/// A claim belongs to the process that made it. In a forked child it is a copy: reading the item
/// works, completing fails with [`is_misuse`](diskette_store::Error::is_misuse), dropping does nothing.
///
/// # Crashes
///
/// If the process dies, the item is back in its place at once, for the first who looks or waits. Its
/// work may be done twice then, unless all of it is in the transaction that completes the claim.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use diskette::Deque;
///
/// # let dir = tempfile::tempdir()?;
/// # std::env::set_current_dir(&dir)?;
/// let todo = Deque::<String>::open("todo")?;
/// todo.push_back("write")?;
///
/// let claim = todo.claim_front(Duration::ZERO)?.expect("there is one");
/// assert_eq!(*claim, "write");
/// assert_eq!((todo.len()?, todo.claimed()?), (0, 1));
/// drop(claim);
/// assert_eq!((todo.len()?, todo.claimed()?), (1, 0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a claim that is dropped gives its item back at once"]
pub struct Claim<T> {
    pub(crate) item: T,
    pub(crate) deliveries: u32,
    pub(crate) encode: fn(&Store, &T) -> Result<Stored>,
    pub(crate) hold: Hold,
}

/// What gives the item back when it is dropped; nothing, once that is done, or the item gone.
pub(crate) struct Hold(pub(crate) Option<Held>);

impl<T> Claim<T> {
    /// How often the item was claimed, this time included: also by those who died of it, or gave it back.
    ///
    /// # Example
    ///
    /// ```
    /// use std::time::Duration;
    /// use diskette::{Deque, Error, Store};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # std::env::set_current_dir(&dir)?;
    /// let store = Store::open("store")?;
    /// let todo = Deque::<String>::new(&store, "todo")?;
    /// let dead = Deque::<String>::new(&store, "dead letters")?;
    /// todo.push_back("kills its worker")?;
    /// # for _ in 0..3 { drop(todo.try_claim_front()?); }
    ///
    /// while let Some(claim) = todo.claim_front(Duration::ZERO)? {
    ///     if claim.deliveries() > 3 {
    ///         store.transaction(|tx| {
    ///             dead.within(tx).push_back(&*claim)?;
    ///             claim.complete(tx)
    ///         })?;
    ///         continue;
    ///     }
    ///     // … work
    /// #   unreachable!();
    /// }
    /// assert_eq!(dead.len()?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn deliveries(&self) -> u32 {
        self.deliveries
    }

    /// Gives the item to the back of the deque, so that those behind it are next.
    ///
    /// # Errors
    ///
    /// Those of [`complete`](Self::complete).
    pub fn release_back(mut self) -> Result<()> {
        let Some(held) = self.hold.0.as_ref() else {
            return Ok(());
        };
        let released = held
            .release(&held.store, Some(End::Back))
            .and_then(|found| found.then_some(()).ok_or_else(gone));
        held.inner.structure.doing("releasing a claim", released)?;
        self.hold.0 = None;
        Ok(())
    }

    /// Puts `item` to the back of the deque in place of the claimed one, as part of a transaction: the same work, as far as it
    /// has come, say. Its deliveries go on from those of the claimed one.
    ///
    /// # Errors
    ///
    /// Those of [`complete`](Self::complete), and of [`Deque::push_back`](crate::Deque::push_back), but that it is never full.
    pub fn requeue(self, tx: &Transaction<'_>, item: &T) -> Result<()> {
        let Some(held) = self.hold.0.as_ref() else {
            return Ok(());
        };
        let (inner, deliveries) = (Arc::clone(&held.inner), self.deliveries);
        let stored = (self.encode)(&held.store, item);
        let stored = inner.structure.doing("requeueing a claim", stored)?;
        self.complete(tx)?;
        let put = inner.structure.inside(tx).write(|db| {
            inner.put(db, End::Back, std::iter::once(stored))?;
            let pos = inner.edge(db, End::Back)?;
            db.run(
                sql::COUNT_DELIVERIES,
                &[i64::from(deliveries).into(), pos.into()],
            )?;
            Ok(())
        });
        inner.structure.doing("requeueing a claim", put)
    }

    /// Removes the item from the deque, as part of a transaction: the item is gone once that commits,
    /// and back in its place if it is rolled back.
    ///
    /// # Errors
    ///
    /// [`is_misuse`](diskette_store::Error::is_misuse) if the claim is no longer held: it was made in a transaction
    /// that was rolled back, or by another process (in a forked child).
    pub fn complete(mut self, tx: &Transaction<'_>) -> Result<()> {
        let Some(held) = self.hold.0.as_ref() else {
            return Ok(());
        };
        let place = &held.inner.structure;
        let completed = held
            .must_be_ours()
            .and_then(|()| place.inside(tx).write(|db| held.complete(db)));
        place.doing("completing a claim", completed)?;
        if let Some(held) = self.hold.0.take() {
            tx.on_rollback(move |_| held.give_back());
        }
        Ok(())
    }

    /// Removes the item from the deque, in a transaction of its own.
    ///
    /// # Errors
    ///
    /// Those of [`complete`](Self::complete) and [`Store::transaction`]: then the item goes back to its
    /// place.
    pub fn complete_now(self) -> Result<()> {
        self.into_inner().map(drop)
    }

    /// Removes the item from the deque, in a transaction of its own, and returns it: from here on nobody but the caller has it.
    ///
    /// # Errors
    ///
    /// Those of [`complete_now`](Self::complete_now).
    ///
    /// # Example
    ///
    /// ```
    /// use diskette::{Deque, Store};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # std::env::set_current_dir(&dir)?;
    /// let store = Store::open("store")?;
    /// let todo = Deque::<String>::new(&store, "todo")?;
    /// todo.push_back("write")?;
    /// if let Some(claim) = todo.try_claim_front()? {
    ///     let item: String = claim.into_inner()?;
    ///     assert_eq!(item, "write");
    /// }
    /// assert!(todo.is_idle()?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn into_inner(mut self) -> Result<T> {
        let Some(held) = self.hold.0.as_ref() else {
            return Ok(self.item);
        };
        let inside = held.inner.structure.inside(&held.store);
        let completed = held
            .must_be_ours()
            .and_then(|()| inside.free(|db| held.complete(db)));
        held.inner
            .structure
            .doing("completing a claim", completed)?;
        self.hold.0 = None;
        Ok(self.item)
    }

    /// Gives the item back to its place, and says whether that went well; dropping the claim does
    /// the same.
    ///
    /// # Errors
    ///
    /// [`is_misuse`](diskette_store::Error::is_misuse) within a transaction of this thread: the item goes back after its
    /// end. Those of [`Store::transaction`]: it goes back when this process ends.
    pub fn release(mut self) -> Result<()> {
        let Some(held) = self.hold.0.as_ref() else {
            return Ok(());
        };
        let released = held.release(&held.store, None).map(drop);
        held.inner.structure.doing("releasing a claim", released)?;
        self.hold.0 = None;
        Ok(())
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if let Some(held) = self.0.take() {
            held.give_back();
        }
    }
}

impl<T> Deref for Claim<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.item
    }
}

impl<T: fmt::Debug> fmt::Debug for Claim<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Claim").field(&self.item).finish()
    }
}
