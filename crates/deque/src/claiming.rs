//! Taking items into the hands of this process.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::UNIX_EPOCH;

use diskette_ipc::{clock, fork};
use diskette_store::{Access, Codec, Result, Store};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::claim::{Claim, Hold};
use crate::deque::Deque;
use crate::held::Held;
use crate::positions::End;
use crate::sql;
use crate::unreadable::name_the_item;

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
            let store = self.store().staying();
            let (owner, since) = (store.claimant()?, unix_millis());
            let params = [
                owner.as_i64().into(),
                token.into(),
                since.into(),
                pos.into(),
            ];
            db.run(sql::CLAIM, &params)?;
            db.run(sql::DELETE, &[pos.into()])?;
            Ok(Some(Some((pos, before, item, owner, store))))
        });
        let found = found.map_err(|error| name_the_item(error, end))?;
        Ok(found.map(|(pos, before, item, owner, store)| Claim {
            item,
            deliveries: before.saturating_add(1),
            encode: Store::store_value::<C, T, T>,
            hold: Hold(Some(Held {
                inner: Arc::clone(&self.inner),
                store,
                owner,
                token,
                pos,
                generation: fork::generation(),
            })),
        }))
    }
}

fn unix_millis() -> i64 {
    let since = clock::wall().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
