use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::UNIX_EPOCH;

use diskette_ipc::{OwnerId, clock, fork};
use diskette_store::{Access, Codec, Db, Error, ErrorKind, Result, Store, Stored, Transaction};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::deque::Deque;
use crate::order::Inner;
use crate::positions::End;
use crate::sql;
use crate::unreadable::name_the_item;

/// An item of a deque in the hands of this process; made by [`Deque::claim_front`].
///
/// It keeps its place in the deque, where nobody else sees it, until it is completed, which removes
/// it, or released, which gives it back. Dropping a claim releases it.
///
/// # Process safety
///
/// A claim belongs to the process that made it. In a forked child it is a copy: reading the item
/// works, completing fails with [`is_misuse`](Error::is_misuse), dropping does nothing.
///
/// # Crashes
///
/// If the process dies, the item is back in its place at once, for the first who looks or waits. Its
/// work may be done twice then, unless all of it is in the transaction that completes the claim.
///
/// # Example
///
/// ```
/// # use std::time::Duration;
/// # use diskette::Deque;
/// # let dir = tempfile::tempdir()?;
/// let todo = Deque::<String>::open(dir.path().join("todo"))?;
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
    item: T,
    deliveries: u32,
    encode: fn(&Store, &T) -> Result<Stored>,
    held: Option<Held>,
}

/// The row of a claimed item.
struct Held {
    inner: Arc<Inner>,
    store: Store,
    owner: OwnerId,
    /// Tells the claims of an owner apart.
    token: i64,
    /// Where the row was; it may have been renumbered since.
    pos: i64,
    /// The process that made it.
    generation: u64,
}

impl<T, C, A> Deque<T, C, A>
where
    T: Serialize + DeserializeOwned,
    C: Codec,
    A: Access,
{
    /// Claims the first item if there is one. Within a transaction that is rolled back the claim is
    /// void: the item never left its place.
    ///
    /// # Errors
    ///
    /// Those of [`pop_front`](Self::pop_front).
    pub fn try_claim_front(&self) -> Result<Option<Claim<T>>> {
        self.doing("try_claim_front", self.claim(End::Front))
    }

    /// Claims the last item if there is one. Otherwise like [`try_claim_front`](Self::try_claim_front).
    ///
    /// # Errors
    ///
    /// Those of [`pop_front`](Self::pop_front).
    pub fn try_claim_back(&self) -> Result<Option<Claim<T>>> {
        self.doing("try_claim_back", self.claim(End::Back))
    }

    /// The number of items that are claimed, by any process.
    ///
    /// # Errors
    ///
    /// Those of the database.
    pub fn claimed(&self) -> Result<usize> {
        self.doing(
            "claimed",
            self.inside().read_one(|db| self.inner.claimed(db)),
        )
    }

    /// Is there no item, neither in its place nor claimed? Then all work is done.
    ///
    /// # Errors
    ///
    /// Those of the database.
    pub fn is_idle(&self) -> Result<bool> {
        let sql = sql::ANY_OR_CLAIMED;
        let any = self
            .inside()
            .look(|db| db.query_one(sql, &self.inner.rows(), |_| Ok(())));
        self.doing("is_idle", any).map(|any| any.is_none())
    }

    pub(crate) fn claim(&self, end: End) -> Result<Option<Claim<T>>> {
        static NEXT: AtomicI64 = AtomicI64::new(1);
        let owner = self.store().claimant()?;
        let token = NEXT.fetch_add(1, Ordering::Relaxed);
        let found = self.take_ahead(|db, ahead| {
            let found = db.query_one(sql::item_at(end), &self.inner.rows(), |row| {
                let before = u32::try_from(row.opt_int(4)?.unwrap_or(0)).unwrap_or(u32::MAX);
                Ok((row.int(0)?, before, ahead.value::<C>(db, row, 2, 1)?))
            })?;
            let Some((pos, before, item)) = found else {
                return Ok(Some(None));
            };
            let Some(item) = item else {
                return Ok(None);
            };
            let since = unix_millis();
            let params = [
                owner.as_i64().into(),
                token.into(),
                since.into(),
                pos.into(),
            ];
            db.execute(sql::CLAIM, &params)?;
            db.execute(sql::DELETE, &[pos.into()])?;
            Ok(Some(Some((pos, before, item))))
        });
        let found = found.map_err(|error| name_the_item(error, end))?;
        Ok(found.map(|(pos, before, item)| Claim {
            item,
            deliveries: before.saturating_add(1),
            encode: Store::store_value::<C, T, T>,
            held: Some(Held {
                inner: Arc::clone(&self.inner),
                store: self.store().clone(),
                owner,
                token,
                pos,
                generation: fork::generation(),
            }),
        }))
    }
}

impl<T> Claim<T> {
    /// How often the item was claimed, this time included: also by those who died of it, or gave it back.
    ///
    /// # Example
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use diskette::{Deque, Error, Store};
    /// # let dir = tempfile::tempdir()?;
    /// # let store = Store::open(dir.path())?;
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
        let Some(held) = self.held.as_ref() else {
            return Ok(());
        };
        let released = held
            .release(&held.store, Some(End::Back))
            .and_then(|found| found.then_some(()).ok_or_else(gone));
        held.inner.structure.doing("releasing a claim", released)?;
        self.held = None;
        Ok(())
    }

    /// Puts `item` to the back of the deque in place of the claimed one, as part of a transaction: the same work, as far as it
    /// has come, say. Its deliveries go on from those of the claimed one.
    ///
    /// # Errors
    ///
    /// Those of [`complete`](Self::complete), and of [`Deque::push_back`], but that it is never full.
    pub fn requeue(self, tx: &Transaction<'_>, item: &T) -> Result<()> {
        let Some(held) = self.held.as_ref() else {
            return Ok(());
        };
        let (inner, deliveries) = (Arc::clone(&held.inner), self.deliveries);
        let stored = (self.encode)(&held.store, item);
        let stored = inner.structure.doing("requeueing a claim", stored)?;
        self.complete(tx)?;
        let put = inner.structure.inside(tx).write(|db| {
            inner.put(db, End::Back, std::iter::once(stored))?;
            let pos = inner.edge(db, End::Back)?;
            db.execute(
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
    /// [`is_misuse`](Error::is_misuse) if the claim is no longer held: it was made in a transaction
    /// that was rolled back, or by another process (in a forked child).
    pub fn complete(mut self, tx: &Transaction<'_>) -> Result<()> {
        let Some(held) = self.held.as_ref() else {
            return Ok(());
        };
        let place = &held.inner.structure;
        let completed = held
            .must_be_ours()
            .and_then(|()| place.inside(tx).write(|db| held.complete(db)));
        place.doing("completing a claim", completed)?;
        if let Some(held) = self.held.take() {
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
    pub fn complete_now(mut self) -> Result<()> {
        let Some(held) = self.held.as_ref() else {
            return Ok(());
        };
        let inside = held.inner.structure.inside(&held.store);
        let completed = held
            .must_be_ours()
            .and_then(|()| inside.free(|db| held.complete(db)));
        held.inner
            .structure
            .doing("completing a claim", completed)?;
        self.held = None;
        Ok(())
    }

    /// Gives the item back to its place, and says whether that went well; dropping the claim does
    /// the same.
    ///
    /// # Errors
    ///
    /// [`is_misuse`](Error::is_misuse) within a transaction of this thread: the item goes back after its
    /// end. Those of [`Store::transaction`]: it goes back when this process ends.
    pub fn release(mut self) -> Result<()> {
        let Some(held) = self.held.as_ref() else {
            return Ok(());
        };
        let released = held.release(&held.store, None).map(drop);
        held.inner.structure.doing("releasing a claim", released)?;
        self.held = None;
        Ok(())
    }
}

impl<T> Drop for Claim<T> {
    fn drop(&mut self) {
        if let Some(held) = self.held.take() {
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

impl Held {
    fn must_be_ours(&self) -> Result<()> {
        match self.is_ours() {
            true => Ok(()),
            false => Err(not_held(
                "belongs to the process that this one was forked from",
            )),
        }
    }

    fn complete(&self, db: &Db<'_>) -> Result<()> {
        let (pos, file) = self.find(db)?.ok_or_else(gone)?;
        db.execute(sql::CLOSE_GAP, &[pos.into()])?;
        db.store().forget_value(db, file)?;
        self.inner.vacate(db, pos)?;
        self.inner.stay_in_the_middle(db, pos)?;
        db.ring(self.inner.structure.departures());
        Ok(())
    }

    /// Gives the item back to its place, or to an end; was it still held?
    fn release(&self, store: &Store, to: Option<End>) -> Result<bool> {
        if !self.is_ours() {
            return Ok(false);
        }
        let inner = &*self.inner;
        inner.structure.inside(store).write(|db| {
            // Without a row the item is back in its place already.
            let Some((pos, _)) = self.find(db)? else {
                return Ok(false);
            };
            inner.give_back(db, pos, to)?;
            Ok(true)
        })
    }

    /// Releases as soon as this thread is in no transaction. If that fails, the item is back when this
    /// process ends.
    fn give_back(self) {
        if self.is_ours() {
            let store = self.store.clone();
            store.when_free(move |store| {
                let _ = self.release(store, None);
            });
        }
    }

    fn find(&self, db: &Db<'_>) -> Result<Option<(i64, Option<i64>)>> {
        let (pos, owner, token) = (
            self.pos.into(),
            self.owner.as_i64().into(),
            self.token.into(),
        );
        let found = db.query_one(sql::HELD_AT, &[pos, owner, token], |row| {
            Ok((row.int(0)?, row.opt_int(1)?))
        })?;
        if found.is_some() {
            return Ok(found);
        }
        self.inner.find_claim(db, self.owner, self.token)
    }

    fn is_ours(&self) -> bool {
        self.generation == fork::generation()
    }
}

impl Inner {
    /// The position of a claim, and its file.
    pub(crate) fn find_claim(
        &self,
        db: &Db<'_>,
        owner: OwnerId,
        token: i64,
    ) -> Result<Option<(i64, Option<i64>)>> {
        let [first, end] = self.rows();
        let params = [first, end, owner.as_i64().into(), token.into()];
        db.query_one(sql::HELD, &params, |row| Ok((row.int(0)?, row.opt_int(1)?)))
    }

    /// Gives a claimed item back to its place, or to an end.
    pub(crate) fn give_back(&self, db: &Db<'_>, pos: i64, to: Option<End>) -> Result<()> {
        let to = match to {
            Some(end) => end.after(self.edge(db, end)?),
            None => pos,
        };
        db.execute(sql::GIVE_BACK, &[to.into(), pos.into()])?;
        db.execute(sql::CLOSE_GAP, &[pos.into()])?;
        if to != pos {
            self.vacate(db, pos)?;
            self.stay_in_the_middle(db, to)?;
        }
        db.ring(self.structure.arrivals());
        Ok(())
    }
}

fn unix_millis() -> i64 {
    let since = clock::wall().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

fn gone() -> Error {
    not_held(
        "was made in a transaction that was rolled back, is completed already, or was taken away",
    )
}

fn not_held(why: &str) -> Error {
    Error::new(
        ErrorKind::Misuse,
        format!("this claim {why}; nothing was changed: claim the item anew"),
    )
}
