use std::iter::Sum;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use diskette_store::entries::read_value;
use diskette_store::{Access, Codec, Like, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::cache::Cache;
use crate::part::Part;
use crate::reach::Reach;
use crate::sql;
use crate::uses::Use;

/// An entry with all that is known of it; made by [`Cache::get_with_meta`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Meta<V> {
    /// The value.
    pub value: V,
    /// When it expires, by the time of day as it is set now.
    pub expires: Option<SystemTime>,
    /// After how long without a read, if that is how it expires.
    pub idle: Option<Duration>,
    /// Its tag.
    pub tag: Option<String>,
    /// When it was inserted or last replaced.
    pub stored: SystemTime,
    /// When it was last read, as far as the policy or its expiry made somebody write that down; else when it was stored.
    pub used: SystemTime,
    /// What it counts for of the limit in bytes.
    pub cost: u64,
}

/// What was done with a cache; made by [`Cache::stats`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CacheStats {
    /// How often [`get`](Cache::get) found something, over all processes since the cache was made. What other processes have
    /// read of late is not in it yet.
    pub hits: u64,
    /// How often it found nothing.
    pub misses: u64,
    /// The part of the hits of this process, through this handle and those cloned from it.
    pub hits_here: u64,
    /// The part of the misses.
    pub misses_here: u64,
    /// How many entries were evicted to make room.
    pub evicted: u64,
    /// How many were freed that had expired.
    pub expired: u64,
    /// How many there are, those that have expired and aren't freed yet among them.
    pub entries: u64,
    /// What they count for: see [`max_bytes`](Cache::max_bytes).
    pub bytes: u64,
}

impl<K, V, C, A: Reach> Cache<K, V, C, A> {
    /// The value of a key, and all that is known of it: when it expires, its tag, when it was stored and used.
    ///
    /// # Errors
    ///
    /// Those of [`get`](Self::get).
    pub fn get_with_meta<Q>(&self, key: &Q) -> Result<Option<Meta<V>>>
    where
        Q: Like<K> + ?Sized,
        V: DeserializeOwned,
        C: Codec,
    {
        self.doing("get_with_meta", || {
            let key = self.key(key)?;
            let part = self.part(&key);
            let timeline = &part.inner.timeline;
            let found = part.inside().look(|db| {
                db.query_one(sql::META, &[key.as_slice().into()], |row| {
                    let expires = row.opt_int(3)?;
                    if !part.inner.lives(expires) {
                        return Ok(None);
                    }
                    let micros = |idle: i64| Duration::from_micros(idle.unsigned_abs());
                    let meta = Meta {
                        value: read_value::<V, C>(part.store(), row, &key)?,
                        expires: expires.map(|expires| timeline.wall(expires)),
                        idle: row.opt_int(4)?.map(micros),
                        tag: row.opt_text(8)?.map(str::to_owned),
                        stored: timeline.wall(row.int(7)?),
                        used: timeline.wall(row.int(6)?),
                        cost: u64::try_from(row.int(9)?).unwrap_or(0),
                    };
                    Ok(Some((Use::of(row)?, meta)))
                })
            })?;
            let found = found.flatten();
            part.inner.count(found.as_ref().map(|(of, _)| *of));
            Ok(found.map(|(_, meta)| meta))
        })
    }

    /// How often it was asked, how often it had an answer, and what it holds. Reads that are written down at this very moment may be
    /// counted twice.
    ///
    /// # Errors
    ///
    /// Those of the database.
    ///
    /// # Cost
    ///
    /// Goes through all entries where there is no limit, since their bytes aren't counted then.
    pub fn stats(&self) -> Result<CacheStats> {
        self.doing("stats", || {
            let all = self.parts().map(|part| part.stats());
            all.sum::<Result<CacheStats>>()
        })
    }
}

impl<A: Access> Part<'_, A> {
    fn stats(&self) -> Result<CacheStats> {
        let [hits, misses] = &*self.inner.uses.counts;
        let uncommitted = [hits.uncommitted(), misses.uncommitted()];
        let id = self.inner.structure.id().into();
        self.inside().read(|db| {
            let number = |number: i64| u64::try_from(number).unwrap_or(0);
            let counts = db.query_one(sql::COUNTS, &[id], |row| {
                Ok([row.int(0)?, row.int(1)?, row.int(2)?, row.int(3)?].map(number))
            })?;
            let counts = counts.ok_or_else(|| self.inner.structure.missing(db))?;
            let bytes = match self.inner.read_config(db)?.is_limited() {
                true => db.query_one(sql::BYTES, &[id], |row| row.int(0))?,
                false => db.query_one(sql::SUM_BYTES, &self.entries().all(), |row| row.int(0))?,
            };
            Ok(CacheStats {
                hits: counts[0] + uncommitted[0],
                misses: counts[1] + uncommitted[1],
                hits_here: hits.here.load(Ordering::Relaxed),
                misses_here: misses.here.load(Ordering::Relaxed),
                evicted: counts[2],
                expired: counts[3],
                entries: number(self.entries().count(db)?),
                bytes: number(bytes.unwrap_or(0)),
            })
        })
    }
}

/// Of all parts of a cache.
impl Sum for CacheStats {
    fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
        parts.fold(CacheStats::default(), |all, part| CacheStats {
            hits: all.hits + part.hits,
            misses: all.misses + part.misses,
            hits_here: all.hits_here + part.hits_here,
            misses_here: all.misses_here + part.misses_here,
            evicted: all.evicted + part.evicted,
            expired: all.expired + part.expired,
            entries: all.entries + part.entries,
            bytes: all.bytes + part.bytes,
        })
    }
}
