//! Spreading a cache over another number of databases.
//!
//! It is done alone, in this order, of which each step may be the last of a process that is killed:
//!
//! 1. what others left who were killed at it goes;
//! 2. another set of databases is made and filled, and written down so that no power cut takes it;
//! 3. the cache's row names the new set: from here on that is the cache;
//! 4. the old one goes, once no power cut can bring the row back that named it.
//!
//! Whoever opens the cache next, alone, removes what is left of the set that isn't named.

use std::error::Error as _;
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use diskette_ipc::Deadline;
use diskette_store::entries::{Gone, PAGE, own, unreadable};
use diskette_store::{Access, Error, ErrorKind, Result, Row, Store, Structure, Value};

use crate::cache::Cache;
use crate::config::Asked;
use crate::hash;
use crate::policy::Policy;
use crate::recorded::{Recorded, check, draw};
use crate::shards::{Shard, Shards, Spread};
use crate::sql;
use crate::way::Way;

/// No more entries are moved together after so many bytes.
const BYTES: usize = 1024 * 1024;

impl<K, V, C> Cache<K, V, C, Shards> {
    /// Spreads the cache over another number of shards, 1 to 256, with all that is known of its entries. Nobody else may have it
    /// open meanwhile, in this process or another; it waits for them as long as the store's timeout says. Limits are divided
    /// anew: what doesn't fit into its shard then goes by the policy. What comes from the first of the shards is the oldest then, for SIEVE too.
    ///
    /// # Errors
    ///
    /// [`is_misuse`](Error::is_misuse) when this process has other handles of it, those in a [`Memoized`](crate::Memoized) and for an
    /// [`Upkeep`](crate::Upkeep) among them; [`is_timeout`](Error::is_timeout) when another has;
    /// [`is_invalid_input`](Error::is_invalid_input) for a number of shards that can't be;
    /// [`is_corrupt`](Error::is_corrupt) when a value's file is damaged, which the error names;
    /// [`is_disk_full`](Error::is_disk_full). The cache stays as it was; open it anew.
    ///
    /// # Crashes
    ///
    /// Whoever is killed at it leaves the cache as it was before or as it is afterwards, whole. What he leaves besides goes when the
    /// cache is opened by somebody who is alone.
    ///
    /// # Cost
    ///
    /// Reads and writes all entries, in transactions of at most 256 entries; takes as much room again on the disk.
    ///
    /// # Example
    ///
    /// ```
    /// use diskette::{Cache, Store};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # std::env::set_current_dir(&dir)?;
    /// let store = Store::open("store")?;
    /// let cache = Cache::<String, u32>::options().shards(2).new(&store, "cache")?;
    /// cache.insert("answer", &42)?;
    /// let cache = cache.reshard(3)?;
    /// assert_eq!((cache.shards(), cache.get("answer")?), (3, Some(42)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reshard(self, shards: u32) -> Result<Self> {
        let structure = Arc::clone(&self.access.0.structure);
        let spread = Arc::try_unwrap(self.access.0).map_err(|_| {
            Error::new(
                ErrorKind::Misuse,
                "this process has other handles of it: drop them first, those in a `Memoized` and for an `Upkeep` among them",
            )
        });
        let reshard = || spread?.reshard(shards);
        structure.doing("reshard", reshard()).map(Self::of_spread)
    }
}

impl Spread {
    fn reshard(self, shards: u32) -> Result<Self> {
        check(shards)?;
        let (home, structure, way, tenancy) = self.leave();
        // Refuses where nobody may write.
        structure.changes(&home)?;
        if !tenancy.be_alone(Deadline::after(home.timeout()))? {
            return Err(Error::new(
                ErrorKind::Timeout,
                format!(
                    "others have had it open for {:?}: end them, or allow a longer timeout",
                    home.timeout()
                ),
            ));
        }
        let before = home.read_one(|db| Recorded::find(db, &structure))?;
        home.remove_other_shards(before.set(&structure))?;
        if before.shards != shards {
            let after = Recorded {
                shards,
                set: draw()?,
                ..before
            };
            after.config.share(shards)?;
            let moved = move_all(&home, &structure, [&before, &after], &way);
            let switched = moved.and_then(|()| {
                structure.inside(&home).write(|db| {
                    let id = structure.id().into();
                    let row = [i64::from(shards).into(), after.set.into(), id];
                    db.run(sql::SET_SHARDS, &row)
                })
            });
            // If it fails, it is done by who opens it next.
            let _ = match home.read_one(|db| Recorded::find(db, &structure)) {
                Ok(current) => home.remove_other_shards(current.set(&structure)),
                Err(_) => home.remove_orphaned_shards(),
            };
            switched?;
        }
        drop(tenancy);
        Spread::open(&home, structure, None, Asked::default(), &way)
    }
}

/// Fills the databases of `after` with what those of `before` have.
fn move_all(
    home: &Store,
    structure: &Structure,
    [before, after]: [&Recorded; 2],
    way: &Way,
) -> Result<()> {
    let old = before.open(home, structure, way)?;
    let new = after.open(home, structure, way)?;
    let mut counts = [0; 4];
    for shard in &old {
        let expired = shard.move_entries(&new, after.config.policy)?;
        let id = shard.inner.structure.id().into();
        let found = shard.store.read_one(|db| {
            db.query_one(sql::COUNTS, &[id], |row| {
                Ok([row.int(0)?, row.int(1)?, row.int(2)?, row.int(3)?])
            })
        })?;
        for (all, more) in counts.iter_mut().zip(found.unwrap_or_default()) {
            *all += more;
        }
        counts[3] += expired;
    }
    for shard in &new {
        shard.count(std::mem::take(&mut counts))?;
        shard.part().make_room()?;
        shard.store.write_down()?;
    }
    Ok(())
}

/// All that is known of an entry.
struct Moving {
    id: i64,
    key: Vec<u8>,
    file: Option<i64>,
    value: Option<Vec<u8>>,
    expires: Option<i64>,
    idle: Option<i64>,
    stored: i64,
    used: Option<i64>,
    uses: i64,
    rank: Option<i64>,
    cost: i64,
    fresh: Option<i64>,
    took: Option<i64>,
    tag: Option<String>,
}

impl Moving {
    fn of(row: &Row<'_>) -> Result<Self> {
        Ok(Moving {
            id: row.int(0)?,
            file: row.opt_int(1)?,
            value: row.opt_blob(2)?.map(<[u8]>::to_vec),
            key: row.blob(3)?.to_owned(),
            expires: row.opt_int(4)?,
            idle: row.opt_int(5)?,
            stored: row.int(6)?,
            used: row.opt_int(7)?,
            uses: row.int(8)?,
            rank: row.opt_int(9)?,
            cost: row.int(10)?,
            fresh: row.opt_int(11)?,
            took: row.opt_int(12)?,
            tag: row.opt_text(13)?.map(str::to_owned),
        })
    }

    /// By a timeline that is so much ahead of the one that it was stored by.
    fn later(self, by: i64, policy: Policy) -> Self {
        let later = |time: Option<i64>| time.map(|time| time.saturating_add(by));
        Moving {
            expires: later(self.expires),
            stored: self.stored.saturating_add(by),
            used: later(self.used),
            rank: self.rank.map(|rank| policy.later(rank, by)),
            fresh: later(self.fresh),
            ..self
        }
    }
}

impl Shard {
    /// Copies the entries, in their order; says how many had expired, and are left out.
    fn move_entries(&self, to: &[Shard], policy: Policy) -> Result<i64> {
        let share = self.inner.structure.share();
        let (mut from, end) = (share.rows().start, share.rows().end);
        let mut expired = 0;
        loop {
            let page = self.page(from, end)?;
            let Some(last) = page.last() else {
                return Ok(expired);
            };
            from = last.id + 1;
            let mut shares: Vec<_> = to.iter().map(|_| Vec::new()).collect();
            for entry in page {
                match self.inner.lives(entry.expires) {
                    true => shares[hash::shard(own(&entry.key), to.len())].push(entry),
                    false => expired += 1,
                }
            }
            for (shard, entries) in to.iter().zip(shares) {
                let by = shard.inner.timeline.at(UNIX_EPOCH) - self.inner.timeline.at(UNIX_EPOCH);
                let entries = entries.into_iter().map(|entry| entry.later(by, policy));
                shard.take_in(&entries.collect::<Vec<_>>(), &self.store)?;
            }
        }
    }

    fn page(&self, from: i64, end: i64) -> Result<Vec<Moving>> {
        self.store.read_one(|db| {
            let (mut page, mut bytes) = (Vec::new(), 0);
            db.query_each(
                sql::MOVING,
                &[from.into(), end.into(), PAGE.into()],
                |row| {
                    let entry = Moving::of(row)?;
                    bytes += entry.value.as_ref().map_or(0, Vec::len);
                    page.push(entry);
                    Ok(match bytes > BYTES {
                        true => ControlFlow::Break(()),
                        false => ControlFlow::Continue(()),
                    })
                },
            )?;
            Ok(page)
        })
    }

    /// Appends entries of another shard, in one transaction. Their files are copied before it.
    fn take_in(&self, entries: &[Moving], from: &Store) -> Result<()> {
        if entries.is_empty() {
            return Ok(());
        }
        let mut files = Vec::new();
        for entry in entries {
            files.push(match entry.file {
                None => None,
                Some(file) => {
                    let copied = from
                        .open_file(file)
                        .and_then(|mut value| self.store.store_stream(&mut value));
                    Some(copied.map_err(|error| unreadable(damaged(error), &entry.key))?)
                }
            });
        }
        let share = self.inner.structure.share();
        let ids = share.rows();
        self.part().inside().write(|db| {
            for (entry, file) in entries.iter().zip(files) {
                let key = [&share.beginning(), own(&entry.key)].concat();
                let row = [
                    ids.start.into(),
                    ids.end.into(),
                    share.middle().into(),
                    share.structure().into(),
                    key.as_slice().into(),
                    file.as_ref().map_or(Value::Null, |file| file.file()),
                    entry.value.as_deref().map_or(Value::Null, Value::Blob),
                    entry.expires.into(),
                    entry.idle.into(),
                    entry.stored.into(),
                    entry.used.into(),
                    entry.uses.into(),
                    entry.rank.into(),
                    entry.cost.into(),
                    entry.fresh.into(),
                    entry.took.into(),
                    entry.tag.as_deref().into(),
                ];
                db.run(sql::MOVE_IN, &row)?;
                if let Some(file) = file {
                    file.link(db)?;
                }
            }
            Ok(())
        })
    }

    /// Counts the bytes of all entries, and `[hits, misses, evicted, expired]` of others.
    fn count(&self, [hits, misses, evicted, expired]: [i64; 4]) -> Result<()> {
        self.part().inside().write(|db| {
            let (entries, none) = (self.part().entries(), Gone::default());
            let [first, end] = entries.all();
            let id = || self.inner.structure.id().into();
            db.run(sql::COUNT_BYTES, &[first, end, id()])?;
            db.run(sql::COUNT_READS, &[hits.into(), misses.into(), id()])?;
            let row = [0.into(), evicted.into(), expired.into(), id()];
            db.run(sql::SHED, &[&entries.without(none)[..], &row].concat())
        })
    }
}

/// A value that isn't whole is found by its checksum, once it is read to its end.
fn damaged(error: Error) -> Error {
    let source = error
        .source()
        .and_then(<dyn std::error::Error>::downcast_ref);
    match source.is_some_and(|error: &io::Error| error.kind() == io::ErrorKind::InvalidData) {
        true => Error::new(ErrorKind::Corrupt, error.to_string()).caused_by(error),
        false => error,
    }
}
