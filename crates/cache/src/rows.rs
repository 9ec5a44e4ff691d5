//! What the methods are made of: each of these runs within one operation.

use std::sync::atomic::Ordering;

use diskette_store::entries::{Gone, Place, unreadable};
use diskette_store::{Access, Ahead, Codec, Db, Like, Result, Row, Stored};
use serde::de::DeserializeOwned;

use crate::cost::cost;
use crate::evict::{Admission, Going, Why};
use crate::inner::Inner;
use crate::part::Part;
use crate::sql;
use crate::terms::{Begun, Terms};

/// An entry that is there, as far as changing it needs it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    pub(crate) place: Place,
    pub(crate) cost: i64,
    expires: Option<i64>,
    uses: i64,
}

impl Found {
    /// Of a row that begins with `id, file, cost, expires, uses`.
    fn of(row: &Row<'_>) -> Result<Self> {
        Ok(Found {
            place: Place::of(row)?,
            cost: row.int(2)?,
            expires: row.opt_int(3)?,
            uses: row.int(4)?,
        })
    }

    fn lives(&self, now: i64) -> bool {
        self.expires.is_none_or(|expires| expires > now)
    }
}

impl Inner {
    /// Remembers when something expires.
    pub(crate) fn expires_at(&self, expires: Option<i64>) {
        if let Some(expires) = expires {
            self.next_expiry.fetch_min(expires, Ordering::Relaxed);
        }
    }

    /// Inserts or updates a value that is no file, unless a file is to go, or what has expired.
    fn put_inline(&self, db: &Db<'_>, key: &[u8], stored: &Stored, terms: &Terms) -> Result<bool> {
        let now = self.timeline.now();
        let terms = terms.begin(&self.timeline, now);
        let share = self.structure.share();
        let [first, end] = share.bounds();
        let row = [
            first,
            end,
            share.middle().into(),
            now.into(),
            share.structure().into(),
            key.into(),
            terms.until.expires.into(),
            terms.until.idle.into(),
            cost(key, stored, Some(&terms)).into(),
            terms.tag.into(),
            stored.value(),
        ];
        let put = db.execute(sql::PUT_INLINE, &row)? == 1;
        if put {
            self.expires_at(terms.until.expires);
        }
        Ok(put)
    }
}

impl<A: Access> Part<'_, A> {
    /// The entry of a key, if it hasn't expired; else what was left of it goes.
    pub(crate) fn live(&self, db: &Db<'_>, key: &[u8], now: i64) -> Result<Option<Found>> {
        let found = db.query_one(sql::FOUND, &[key.into()], Found::of)?;
        self.bury(db, found, now)
    }

    fn bury(&self, db: &Db<'_>, found: Option<Found>, now: i64) -> Result<Option<Found>> {
        match found {
            Some(found) if !found.lives(now) => {
                self.shed(db, &[found.into()], Why::Expired)?;
                Ok(None)
            }
            found => Ok(found),
        }
    }

    /// Inserts or updates.
    pub(crate) fn store_entry(&self, key: &[u8], stored: Stored, terms: &Terms) -> Result<()> {
        self.free_in_passing()?;
        // By itself, without a transaction around it, as long as no file comes or goes and there is no limit.
        if !stored.is_file() && !self.inner.is_known_to_be_limited() {
            let inner = &**self.inner;
            let put = self.inside().write_one(|db| {
                let limited = inner.config(db)?.is_limited();
                Ok(!limited && inner.put_inline(db, key, &stored, terms)?)
            })?;
            if put {
                return Ok(());
            }
        }
        self.put_in_turns(stored, |db, stored, now| {
            let found = self.live(db, key, now)?;
            let terms = terms.begin(&self.inner.timeline, now);
            let put = self.put(db, key, found, stored, Some(&terms), now)?;
            Ok(put.then_some(()))
        })
    }

    /// Runs `put`, which puts a value somewhere, in as many turns to write as it takes to make room: it says nothing if there
    /// isn't enough yet.
    pub(crate) fn put_in_turns<R>(
        &self,
        stored: Stored,
        mut put: impl FnMut(&Db<'_>, &mut Option<Stored>, i64) -> Result<Option<R>>,
    ) -> Result<R> {
        let mut stored = Some(stored);
        loop {
            let done = self
                .inside()
                .write(|db| put(db, &mut stored, self.inner.timeline.now()))?;
            if let Some(done) = done {
                return Ok(done);
            }
        }
    }

    /// Puts a value in the place of the one that was found, or at the end; on these terms, or those that it has. Is there room
    /// for it? Else some was made.
    pub(crate) fn put(
        &self,
        db: &Db<'_>,
        key: &[u8],
        found: Option<Found>,
        stored: &mut Option<Stored>,
        terms: Option<&Begun<'_>>,
        now: i64,
    ) -> Result<bool> {
        let Some(new) = stored.as_ref() else {
            return Ok(true);
        };
        let config = self.inner.config(db)?;
        let cost = cost(key, new, terms);
        let admission = match config.is_limited() {
            true => self.admit(db, &config, cost, found, now)?,
            false => Admission::Room,
        };
        if matches!(admission, Admission::NotYet) {
            return Ok(false);
        }
        let uses = match config.is_limited() {
            true => config.policy.stored(found.map(|found| found.uses)),
            false => 0,
        };
        let expires = terms.and_then(|terms| terms.until.expires);
        let idle = terms.and_then(|terms| terms.until.idle).into();
        let tag = terms.and_then(|terms| terms.tag).into();
        let (file, value) = (new.file(), new.value());
        match (found, terms) {
            (Some(found), None) => {
                let id = found.place.id.into();
                let row = [now.into(), cost.into(), file, value, uses.into(), id];
                db.run(sql::SET_VALUE, &row)?;
            }
            (Some(found), Some(_)) => {
                let (expires, id) = (expires.into(), found.place.id.into());
                let until = [now.into(), expires, idle];
                let row = [cost.into(), tag, file, value, uses.into(), id];
                db.run(sql::SET, &[&until[..], &row].concat())?;
            }
            (None, _) => {
                let [first, end] = self.entries().all();
                let share = self.entries().share();
                let (middle, cache) = (share.middle().into(), share.structure().into());
                let place = [first, end, middle, now.into(), cache, key.into()];
                let rank = match config.is_limited() {
                    true => config.policy.rank(uses, now, now),
                    false => None,
                };
                let until = [expires.into(), idle];
                let row = [cost.into(), tag, file, value, uses.into(), rank.into()];
                db.run(sql::ADD, &[&place[..], &until, &row].concat())?;
            }
        }
        if let Some(new) = stored.take() {
            new.link(db)?;
        }
        self.inner.expires_at(expires);
        let replaced = found.and_then(|found| found.place.file);
        self.store().forget_value(db, replaced)?;
        if let Admission::Made(last) = admission {
            self.entries().stay_in_the_middle(db, last)?;
        }
        Ok(true)
    }

    /// Removes an entry.
    pub(crate) fn take(&self, db: &Db<'_>, found: Found) -> Result<()> {
        self.shed(db, &[found.into()], Why::Removed)?;
        self.entries().stay_in_the_middle(db, found.place.id)
    }

    /// Removes entries. Places stay as they are: see [`Entries::stay_in_the_middle`].
    pub(crate) fn shed(&self, db: &Db<'_>, going: &[Going], why: Why) -> Result<()> {
        if going.is_empty() {
            return Ok(());
        }
        let (entries, mut gone) = (self.entries(), Gone::default());
        for entry in going {
            entries.drop_row(db, entry.place, &mut gone)?;
        }
        let bytes: i64 = match self.inner.config(db)?.is_limited() {
            true => going.iter().map(|entry| entry.cost).sum(),
            false => 0,
        };
        let counted = |this| if why == this { gone.rows } else { 0 };
        let (evicted, expired) = (counted(Why::Evicted), counted(Why::Expired));
        let id = self.inner.structure.id().into();
        let counts = [bytes.into(), evicted.into(), expired.into(), id];
        db.run(sql::SHED, &[&entries.without(gone)[..], &counts].concat())
    }

    /// A value on its way to a key.
    pub(crate) fn encode<C, V, W>(&self, key: &[u8], value: &W) -> Result<Stored>
    where
        C: Codec,
        V: DeserializeOwned,
        W: Like<V> + ?Sized,
    {
        self.entries().encode::<C, V, W>(key, value)
    }

    /// The entry of a key and its value, for a turn in which it is taken; no value: it is to be read before the next.
    pub(crate) fn find_ahead<C: Codec, V: DeserializeOwned>(
        &self,
        db: &Db<'_>,
        key: &[u8],
        now: i64,
        ahead: &mut Ahead<V>,
    ) -> Result<Option<(Found, Option<V>)>> {
        let mut value = None;
        let found = db.query_one(sql::FIND_FOUND, &[key.into()], |row| {
            let found = Found::of(row)?;
            if found.lives(now) {
                let read = ahead.value::<C>(db, row, 5, 1);
                value = read.map_err(|error| unreadable(error, key))?;
            }
            Ok(found)
        })?;
        let found = self.bury(db, found, now)?;
        Ok(found.map(|found| (found, value)))
    }
}
