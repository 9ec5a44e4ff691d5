//! Making room: what has expired goes first, then what the policy says, in small steps.

use std::sync::atomic::Ordering;

use diskette_store::entries::Place;
use diskette_store::{Access, Db, Error, ErrorKind, Result, Row};

use crate::cache::Cache;
use crate::config::{Config, Excess};
use crate::part::Part;
use crate::policy::Policy;
use crate::reach::Reach;
use crate::rows::Found;
use crate::sql;

/// At most so many entries go in one turn to write, so that nobody waits for long.
pub(crate) const STEP: i64 = 256;

/// At most so many that have expired go with what somebody writes.
const IN_PASSING: i64 = 32;

/// What others insert that expires sooner is looked for after so long at the latest, in microseconds.
const LOOK_AGAIN: i64 = 10_000_000;

/// An entry that goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Going {
    pub(crate) place: Place,
    pub(crate) cost: i64,
}

impl Going {
    /// Of a row that begins with `id, file, cost`.
    pub(crate) fn of(row: &Row<'_>) -> Result<Self> {
        Ok(Going {
            place: Place::of(row)?,
            cost: row.int(2)?,
        })
    }
}

impl From<Found> for Going {
    fn from(found: Found) -> Self {
        Going {
            place: found.place,
            cost: found.cost,
        }
    }
}

/// Why entries go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    Removed,
    Expired,
    Evicted,
}

/// Whether an entry may come in.
#[derive(Debug)]
pub(crate) enum Admission {
    /// There is room.
    Room,
    /// Room was made; the last to go was at this place.
    Made(i64),
    /// Some room was made, not enough yet: the entry is to wait for another turn to write.
    NotYet,
}

impl<K, V, C, A: Reach> Cache<K, V, C, A> {
    /// Removes what has expired; returns how many entries that were.
    ///
    /// # Errors
    ///
    /// Those of [`insert`](Self::insert).
    ///
    /// # Cost
    ///
    /// A turn to write for every 256 entries, between which others can write.
    pub fn expire(&self) -> Result<usize> {
        self.doing("expire", || self.sum(|part| part.expire()))
    }

    /// Removes what has expired, and then what the policy says, until the cache is within its limits; returns how many entries
    /// that were. Who inserts does this anyway.
    ///
    /// # Errors
    ///
    /// Those of [`insert`](Self::insert).
    ///
    /// # Cost
    ///
    /// That of [`expire`](Self::expire).
    pub fn cull(&self) -> Result<usize> {
        self.doing("cull", || self.sum(|part| part.make_room()))
    }

    /// Removes the entries that have a tag; returns how many.
    ///
    /// # Errors
    ///
    /// Those of [`insert`](Self::insert).
    ///
    /// # Cost
    ///
    /// That of [`expire`](Self::expire).
    pub fn evict_tag(&self, tag: &str) -> Result<usize> {
        self.doing("evict_tag", || self.sum(|part| part.evict_tag(tag)))
    }
}

impl<A: Access> Part<'_, A> {
    /// Removes all that has expired.
    pub(crate) fn expire(&self) -> Result<usize> {
        let now = self.inner.timeline.now();
        self.in_steps(|db| self.expire_some(db, now, STEP))
    }

    fn evict_tag(&self, tag: &str) -> Result<usize> {
        self.in_steps(|db| {
            let [first, end] = self.entries().all();
            let some = [first, end, tag.into(), STEP.into()];
            let going = db.query(sql::SOME_TAGGED, &some, Going::of)?;
            self.step(db, &going, Why::Removed)
        })
    }

    fn free_expired(&self) -> Result<usize> {
        let now = self.inner.timeline.now();
        self.in_steps(|db| self.expire_some(db, now, STEP))
    }

    /// Frees what has expired, then evicts until nothing is over a limit.
    pub(crate) fn make_room(&self) -> Result<usize> {
        let expired = self.free_expired()?;
        let evicted = self.in_steps(|db| {
            let config = self.inner.config(db)?;
            if config.policy == Policy::Refuse || !config.is_limited() {
                return Ok(Step::LAST);
            }
            let excess = self.excess(db, &config, 0, 0)?;
            let going = self.choose(db, config.policy, excess, None)?;
            let step = self.step(db, &going.entries, Why::Evicted)?;
            Ok(Step {
                is_last: going.are_enough,
                ..step
            })
        })?;
        Ok(expired + evicted)
    }

    /// Runs `step` in turns to write until it has nothing left to remove; returns how many entries that were in all.
    fn in_steps(&self, step: impl Fn(&Db<'_>) -> Result<Step>) -> Result<usize> {
        let mut all = 0;
        loop {
            let Step { gone, is_last } = self.inside().free(&step)?;
            all += gone;
            if is_last {
                return Ok(all);
            }
        }
    }

    fn step(&self, db: &Db<'_>, going: &[Going], why: Why) -> Result<Step> {
        self.shed(db, going, why)?;
        if let Some(last) = going.last() {
            self.entries().stay_in_the_middle(db, last.place.id)?;
        }
        Ok(Step {
            gone: going.len(),
            is_last: going.is_empty(),
        })
    }

    /// Removes some of what has expired, where it is known that there may be some.
    pub(crate) fn free_in_passing(&self) -> Result<()> {
        let now = self.inner.timeline.now();
        if now < self.inner.next_expiry.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.inside()
            .write(|db| self.expire_some(db, now, IN_PASSING))
            .map(drop)
    }

    fn expire_some(&self, db: &Db<'_>, now: i64, most: i64) -> Result<Step> {
        let id = self.inner.structure.id().into();
        let going = db.query(sql::EXPIRED, &[id, now.into(), most.into()], Going::of)?;
        let gone = self.step(db, &going, Why::Expired)?;
        let next = db.query_one(sql::NEXT_EXPIRY, &[id], |row| row.int(0))?;
        let next = next.unwrap_or(i64::MAX).min(now.saturating_add(LOOK_AGAIN));
        self.inner.next_expiry.store(next, Ordering::Relaxed);
        self.inner.timeline.keep(db)?;
        Ok(gone)
    }

    /// Makes room for an entry of this cost, in the place of the one that was found. What it takes is counted already.
    pub(crate) fn admit(
        &self,
        db: &Db<'_>,
        config: &Config,
        cost: i64,
        found: Option<Found>,
        now: i64,
    ) -> Result<Admission> {
        config.must_fit(cost, self.inner.shards)?;
        let more = i64::from(found.is_none());
        let by = cost - found.map_or(0, |found| found.cost);
        if (by, more) == (0, 0) {
            return Ok(Admission::Room);
        }
        if config.policy == Policy::Refuse {
            return self.admit_or_refuse(db, config, by, more, now);
        }
        if self.take_room(db, by, more)? {
            return Ok(Admission::Room);
        }
        let mut excess = self.excess(db, config, by, more)?;
        let id = self.inner.structure.id().into();
        let expired = db.query(sql::EXPIRED, &[id, now.into(), STEP.into()], Going::of)?;
        let own = found.map(|found| found.place.id);
        let expired = enough(expired, &mut excess, own);
        self.shed(db, &expired, Why::Expired)?;
        let evicted = self.choose(db, config.policy, excess, own)?;
        self.shed(db, &evicted.entries, Why::Evicted)?;
        if !evicted.are_enough {
            self.excess(db, config, -by, 0)?;
            return Ok(Admission::NotYet);
        }
        let last = evicted.entries.last().or(expired.last());
        Ok(last.map_or(Admission::Room, |last| Admission::Made(last.place.id)))
    }

    /// The same where nothing is evicted: looks before it writes, so that a refusal changes nothing.
    fn admit_or_refuse(
        &self,
        db: &Db<'_>,
        config: &Config,
        by: i64,
        more: i64,
        now: i64,
    ) -> Result<Admission> {
        let id = self.inner.structure.id().into();
        let would_be = || {
            let bytes = db.query_one(sql::BYTES, &[id], |row| row.int(0))?;
            let entries = self.entries().count(db)?;
            Ok::<_, Error>(config.excess(bytes.unwrap_or(0) + by, entries + more))
        };
        while !would_be()?.is_none() {
            if self.expire_some(db, now, STEP)?.is_last {
                return Err(Error::new(
                    ErrorKind::Full,
                    "it, or the shard of this key, is full, and its policy is to refuse; nothing was changed: remove something, \
                     raise its limit, or choose another policy",
                ));
            }
        }
        self.excess(db, config, by, more)?;
        Ok(Admission::Room)
    }

    /// Counts so many bytes more, if the cache is within its limits then, with so many more entries; is it?
    fn take_room(&self, db: &Db<'_>, by: i64, more: i64) -> Result<bool> {
        let [first, end] = self.entries().all();
        let id = self.inner.structure.id().into();
        let room = db.execute(sql::TAKE_ROOM, &[by.into(), id, first, end, more.into()])?;
        Ok(room == 1)
    }

    /// Counts so many bytes more; how far is the cache then over its limits, with so many more entries?
    fn excess(&self, db: &Db<'_>, config: &Config, by: i64, more: i64) -> Result<Excess> {
        let [first, end] = self.entries().all();
        let id = self.inner.structure.id().into();
        let totals = db.query_one(sql::ADD_BYTES, &[by.into(), id, first, end], |row| {
            Ok((row.int(0)?, row.int(1)?))
        })?;
        let (bytes, entries) = totals.ok_or_else(|| self.inner.structure.missing(db))?;
        Ok(config.excess(bytes, entries + more))
    }
}

/// What was removed in one turn to write.
#[derive(Clone, Copy, Debug)]
struct Step {
    gone: usize,
    is_last: bool,
}

impl Step {
    const LAST: Step = Step {
        gone: 0,
        is_last: true,
    };
}

impl Excess {
    pub(crate) fn take(&mut self, entry: &Going) {
        self.bytes = self.bytes.saturating_sub(entry.cost);
        self.entries -= 1;
    }
}

/// As many as it takes.
fn enough(all: Vec<Going>, excess: &mut Excess, own: Option<i64>) -> Vec<Going> {
    let mut some = Vec::new();
    for entry in all {
        if excess.is_none() {
            break;
        }
        if Some(entry.place.id) != own {
            excess.take(&entry);
            some.push(entry);
        }
    }
    some
}
