//! Reads that are to be written down, gathered in memory until somebody writes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64};

use diskette_ipc::Mutex;
use diskette_store::{Db, Result, Row};

use crate::policy::Policy;

/// What a process has read of a cache and not yet written down: what it takes with it when it is killed.
#[derive(Debug, Default)]
pub(crate) struct Uses {
    notes: Mutex<Vec<Note>>,
    policy: Mutex<Option<Policy>>,
    /// The least rank there was; `i64::MIN`: not known.
    pub(crate) oldest: AtomicI64,
    pub(crate) counts: Arc<[Tally; 2]>,
    pub(crate) is_on_its_way: AtomicBool,
}

/// A number that is counted here, and how much of it is in the store.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) here: AtomicU64,
    settled: AtomicU64,
    /// How much of what is settled isn't committed yet.
    under_way: AtomicU64,
}

/// A read of an entry.
#[derive(Clone, Copy, Debug)]
struct Note {
    id: i64,
    at: i64,
}

/// An entry that was found, as far as its use matters.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Use {
    id: i64,
    idle: Option<i64>,
    uses: i64,
    used: i64,
}

impl Use {
    /// Of a row that begins with `id, file, value, expires, idle, uses, used`.
    pub(crate) fn of(row: &Row<'_>) -> Result<Self> {
        Ok(Use {
            id: row.int(0)?,
            idle: row.opt_int(4)?,
            uses: row.int(5)?,
            used: row.int(6)?,
        })
    }
}

impl Use {
    pub(crate) fn to_numbers(self) -> [i64; 4] {
        [self.id, self.idle.unwrap_or(-1), self.uses, self.used]
    }

    pub(crate) fn of_numbers([id, idle, uses, used]: [i64; 4]) -> Self {
        let idle = Some(idle).filter(|&idle| idle >= 0);
        Use {
            id,
            idle,
            uses,
            used,
        }
    }
}

/// When what was noted has to be written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    Whenever,
    Soon,
}

/// So many notes are written down in the background, if nobody writes.
const MANY: usize = 1024;

/// More are not kept.
const MOST: usize = 4 * MANY;

impl Uses {
    /// From now on. What rank is the least is known of one policy, and not of the next.
    pub(crate) fn go_by(&self, policy: Option<Policy>) {
        let before = std::mem::replace(&mut *self.policy.lock(), policy);
        if before != policy {
            self.oldest.store(i64::MIN, Relaxed);
        }
    }

    /// Takes down a read, if it matters.
    pub(crate) fn note(&self, of: Use, now: impl FnOnce() -> i64) -> Due {
        let policy = *self.policy.lock();
        if policy.is_none() && of.idle.is_none() {
            return Due::Whenever;
        }
        let now = now();
        let oldest = Some(self.oldest.load(Relaxed)).filter(|&oldest| oldest != i64::MIN);
        let aged = |part: i64| {
            let gone = now.saturating_sub(of.used);
            of.idle.is_some_and(|idle| gone > idle / part)
        };
        if !aged(16) && !policy.is_some_and(|policy| policy.notes(of.uses, of.used, oldest, now)) {
            return Due::Whenever;
        }
        let mut notes = self.notes.lock();
        if notes.len() == MOST {
            notes.clear();
        }
        notes.push(Note { id: of.id, at: now });
        match notes.len() >= MANY || aged(4) {
            true => Due::Soon,
            false => Due::Whenever,
        }
    }

    /// What was noted: of each entry, when it was read.
    pub(crate) fn take(&self) -> BTreeMap<i64, Vec<i64>> {
        let notes = std::mem::take(&mut *self.notes.lock());
        let mut all = BTreeMap::<_, Vec<_>>::new();
        for Note { id, at } in notes {
            all.entry(id).or_default().push(at);
        }
        all
    }

    /// As if nothing had been read.
    pub(crate) fn forget(&self) {
        self.notes.lock().clear();
        self.is_on_its_way.store(false, Release);
        for tally in &*self.counts {
            tally.settled.store(tally.here.load(Relaxed), Relaxed);
            tally.under_way.store(0, Relaxed);
        }
    }

    /// So many hits and misses are in the store once this is committed.
    pub(crate) fn settle(&self, db: &Db<'_>, settled: [u64; 2]) {
        let each = move |counts: &[Tally; 2], what: fn(&Tally, u64)| {
            for (tally, count) in counts.iter().zip(settled) {
                what(tally, count);
            }
        };
        each(&self.counts, Tally::settle);
        let [committed, rolled_back] = [0, 1].map(|_| Arc::clone(&self.counts));
        db.on_commit(move |_| each(&committed, Tally::committed));
        db.on_rollback(move |_| each(&rolled_back, Tally::rolled_back));
    }

    pub(crate) fn is_settled(&self) -> bool {
        self.notes.lock().is_empty() && self.counts.iter().all(|tally| tally.unsettled() == 0)
    }
}

impl Tally {
    pub(crate) fn add(&self) {
        self.here.fetch_add(1, Relaxed);
    }

    /// How much is not in the store.
    pub(crate) fn unsettled(&self) -> u64 {
        self.here
            .load(Relaxed)
            .saturating_sub(self.settled.load(Relaxed))
    }

    /// How much is not in the store, or is there by a transaction that isn't committed.
    pub(crate) fn uncommitted(&self) -> u64 {
        self.unsettled() + self.under_way.load(Relaxed)
    }

    /// So much of it is in the store once the transaction is committed.
    fn settle(&self, count: u64) {
        self.under_way.fetch_add(count, Relaxed);
        self.settled.fetch_add(count, Relaxed);
    }

    fn committed(&self, count: u64) {
        self.under_way.fetch_sub(count, Relaxed);
    }

    fn rolled_back(&self, count: u64) {
        self.settled.fetch_sub(count, Relaxed);
        self.under_way.fetch_sub(count, Relaxed);
    }
}
