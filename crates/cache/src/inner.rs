use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use diskette_ipc::{Clock, Mutex, fork};
use diskette_store::{Access, Db, Result, Store, Structure, Timeline};

use crate::config::Config;
use crate::sql::{self, KIND};
use crate::uses::{Due, Use, Uses};

/// What all handles of a cache share that were cloned from one.
#[derive(Debug)]
pub struct Inner {
    pub(crate) structure: Arc<Structure>,
    pub(crate) timeline: Timeline,
    pub(crate) uses: Uses,
    /// As it was when the catalog had changed so often.
    pub(crate) config: Mutex<Option<(u64, Config)>>,
    /// Nothing expires before.
    pub(crate) next_expiry: AtomicI64,
    /// How many parts the cache has.
    pub(crate) shards: u32,
    store: Store,
    /// In which what is in memory was read.
    generation: AtomicU64,
}

/// The last handle waits no longer than this to write down what was read.
const LAST_WORDS: Duration = Duration::from_millis(100);

impl Inner {
    /// The structure of this name; made, with these limits, if there is none.
    pub(crate) fn structure(
        access: &impl Access,
        name: &str,
        codec: &'static str,
        config: Config,
    ) -> Result<Arc<Structure>> {
        Structure::open(access, &KIND, name, codec, |db, structure| {
            config.check()?;
            let share = structure.share();
            let [max_bytes, max_entries] = config.limits().map(Into::into);
            let (id, middle) = (share.structure().into(), share.middle().into());
            let policy = config.policy.name().into();
            let row = [id, middle, policy, max_bytes, max_entries, i64::MIN.into()];
            db.run(sql::CREATE, &row)
        })
    }

    pub(crate) fn open(
        access: &impl Access,
        structure: &Arc<Structure>,
        clock: Option<Arc<dyn Clock>>,
        shards: u32,
    ) -> Result<Self> {
        let uses = Uses::default();
        uses.oldest.store(i64::MIN, Ordering::Relaxed);
        Ok(Inner {
            structure: Arc::clone(structure),
            timeline: Timeline::open(access, clock)?,
            uses,
            config: Mutex::default(),
            next_expiry: AtomicI64::new(i64::MIN),
            shards,
            store: access.store().clone(),
            generation: fork::generation().into(),
        })
    }

    /// Whether an entry with this expiry is still there.
    pub(crate) fn lives(&self, expires: Option<i64>) -> bool {
        expires.is_none_or(|expires| expires > self.timeline.now())
    }

    /// Takes down that something was looked for, and found or not.
    pub(crate) fn count(self: &Arc<Self>, found: Option<Use>) {
        let [hits, misses] = &*self.uses.counts;
        let Some(found) = found else {
            return misses.add();
        };
        hits.add();
        if self.store.is_read_only() {
            return;
        }
        let due = self.uses.note(found, || self.timeline.now());
        if due == Due::Soon {
            self.forget_what_was_inherited();
        }
        if due == Due::Soon && !self.uses.is_on_its_way.swap(true, Ordering::AcqRel) {
            let inner = Arc::downgrade(self);
            self.store.in_background(move |store| {
                if let Some(inner) = inner.upgrade() {
                    inner.uses.is_on_its_way.store(false, Ordering::Release);
                    let _ = inner.structure.inside(store).write(|db| inner.settle(db));
                }
            });
        }
    }

    /// What a child inherits is its parent's to write down.
    fn forget_what_was_inherited(&self) {
        let generation = fork::generation();
        if self.generation.swap(generation, Ordering::AcqRel) != generation {
            self.uses.forget();
        }
    }

    /// Writes down what this process has read.
    pub(crate) fn settle(&self, db: &Db<'_>) -> Result<()> {
        self.forget_what_was_inherited();
        let config = self.config(db)?;
        for (id, times) in self.uses.take() {
            let found = db.query_one(sql::STANDING, &[id.into()], |row| {
                Ok((row.int(0)?, row.int(1)?))
            })?;
            let Some((uses, stored)) = found else {
                continue;
            };
            // What was read before was another, in the same place.
            let times: Vec<i64> = times.into_iter().filter(|&at| at >= stored).collect();
            let Some(&at) = times.iter().max() else {
                continue;
            };
            let count = i64::try_from(times.len()).unwrap_or(i64::MAX);
            let uses = config.policy.read(uses, count);
            db.run(sql::USED, &[at.into(), uses.into(), id.into()])?;
        }
        let [hits, misses] = [0, 1].map(|n| &self.uses.counts[n]);
        let (some, none) = (hits.unsettled(), misses.unsettled());
        if some + none > 0 {
            let counts = [some, none].map(|count| i64::try_from(count).unwrap_or(0).into());
            let [some_more, none_more] = counts;
            db.run(
                sql::COUNT_READS,
                &[some_more, none_more, self.structure.id().into()],
            )?;
            self.uses.settle(db, [some, none]);
        }
        let id = self.structure.id().into();
        let oldest = db.query_one(sql::OLDEST_RANK, &[id], |row| row.int(0))?;
        self.uses
            .oldest
            .store(oldest.unwrap_or(i64::MIN), Ordering::Relaxed);
        self.timeline.keep(db)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.forget_what_was_inherited();
        if !self.uses.is_settled() {
            let store = self.store.with_timeout(LAST_WORDS);
            let _ = self.structure.inside(&store).write(|db| self.settle(db));
        }
    }
}
