use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64};
use std::time::Duration;

use diskette_ipc::{Clock, Mutex, fork};
use diskette_store::{Access, Result, Store, Structure, Timeline};

use crate::config::Config;
use crate::sql::{self, KIND};
use crate::uses::Uses;

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
    pub(crate) store: Store,
    /// In which what is in memory was read.
    pub(crate) generation: AtomicU64,
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
            let row = [id, middle, policy, max_bytes, max_entries, 0.into()];
            db.run(sql::CREATE, &row)
        })
    }

    pub(crate) fn open(
        access: &impl Access,
        structure: &Arc<Structure>,
        clock: Option<Arc<dyn Clock>>,
        shards: u32,
    ) -> Result<Self> {
        let timeline = Timeline::open(access, clock)?;
        Ok(Inner {
            structure: Arc::clone(structure),
            uses: Uses::since(timeline.now()),
            timeline,
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
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.forget_what_was_inherited();
        if !self.uses.is_settled() {
            let store = self.store.with_timeout(LAST_WORDS);
            let _ = self.settle_all(&store);
        }
    }
}
