use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::UNIX_EPOCH;

use diskette_ipc::{OwnerId, clock, fork};
use diskette_store::{Access, Codec, Db, Error, ErrorKind, Result, Store, Transaction};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::deque::Deque;
use crate::order::Inner;
use crate::positions::End;
use crate::sql;

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
/// # use diskette_deque::Deque;
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
            .read_one(|db| db.query_one(sql, &self.inner.rows(), |_| Ok(())));
        self.doing("is_idle", any).map(|any| any.is_none())
    }

    pub(crate) fn claim(&self, end: End) -> Result<Option<Claim<T>>> {
        static NEXT: AtomicI64 = AtomicI64::new(1);
        let owner = self.store().claimant()?;
        let token = NEXT.fetch_add(1, Ordering::Relaxed);
        let found = self.take_ahead(|db, ahead| {
            let found = db.query_one(sql::item_at(end), &self.inner.rows(), |row| {
                Ok((row.int(0)?, ahead.value::<C>(db, row, 2, 1)?))
            })?;
            let Some((pos, item)) = found else {
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
            Ok(Some(Some((pos, item))))
        })?;
        Ok(found.map(|(pos, item)| Claim {
            item,
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
        place.doing("completing a claim", held.complete(tx))?;
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
    pub fn complete_now(self) -> Result<()> {
        match self.held.as_ref().map(|held| held.store.clone()) {
            Some(store) => store.transaction(|tx| self.complete(tx)),
            None => Ok(()),
        }
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
        let released = held.release(&held.store);
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
    fn complete(&self, tx: &Transaction<'_>) -> Result<()> {
        if !self.is_ours() {
            return Err(not_held(
                "belongs to the process that this one was forked from",
            ));
        }
        self.inner.structure.must_be_in(tx.store())?;
        tx.write(|db| {
            let Some((pos, file)) = self.find(db)? else {
                return Err(not_held(
                    "was made in a transaction that was rolled back, or is completed already",
                ));
            };
            db.execute(sql::CLOSE_GAP, &[pos.into()])?;
            db.store().forget_value(db, file)?;
            self.inner.vacate(db, pos)?;
            self.inner.stay_in_the_middle(db, pos)?;
            db.ring(self.inner.structure.departures());
            Ok(())
        })
    }

    fn release(&self, store: &Store) -> Result<()> {
        if !self.is_ours() {
            return Ok(());
        }
        store.write(|db| {
            // Without a row the item is back in its place already.
            if let Some((pos, _)) = self.find(db)? {
                db.execute(sql::GIVE_BACK, &[pos.into()])?;
                db.execute(sql::CLOSE_GAP, &[pos.into()])?;
                db.ring(self.inner.structure.arrivals());
            }
            Ok(())
        })
    }

    /// Releases as soon as this thread is in no transaction. If that fails, the item is back when this
    /// process ends.
    fn give_back(self) {
        if self.is_ours() {
            let store = self.store.clone();
            store.when_free(move |store| {
                let _ = self.release(store);
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
        let [first, end] = self.inner.rows();
        db.query_one(sql::HELD, &[first, end, owner, token], |row| {
            Ok((row.int(0)?, row.opt_int(1)?))
        })
    }

    fn is_ours(&self) -> bool {
        self.generation == fork::generation()
    }
}

fn unix_millis() -> i64 {
    let since = clock::wall().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

fn not_held(why: &str) -> Error {
    Error::new(
        ErrorKind::Misuse,
        format!("this claim {why}; nothing was changed: claim the item anew"),
    )
}
