//! What a process knows of reads, and others don't yet.

use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU64};

use diskette_store::{Db, Result, Row};

use crate::notes::{Note, Notes};
use crate::policy::Policy;

/// What a process has read of a cache and not yet written down: what it takes with it when it is killed.
#[derive(Debug)]
pub(crate) struct Uses {
    pub(crate) notes: Notes,
    /// As a number; [`NO_POLICY`].
    policy: AtomicU8,
    /// The least rank there was; `i64::MIN`: not known.
    oldest: AtomicI64,
    /// How many had been evicted; `i64::MIN`: not known.
    evicted: AtomicI64,
    pub(crate) counts: Arc<[Tally; 2]>,
    /// When somebody is to look the next time whether others evict, and how many reads there must have been by then.
    look: (AtomicI64, AtomicU64),
    /// When all is to be written down.
    rest: AtomicI64,
    /// An entry will expire that was read in time.
    is_urgent: AtomicBool,
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

/// An entry that was found, as far as its use matters.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Use {
    pub(crate) id: i64,
    pub(crate) idle: Option<i64>,
    pub(crate) uses: i64,
    pub(crate) used: i64,
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

/// After so many reads, and so long, in microseconds, somebody looks whether others evict.
const READS: u64 = 1024;
const LOOK: i64 = 20_000;

/// After so long all is written down, whether anybody evicts or not.
const REST: i64 = 60_000_000;

const NO_POLICY: u8 = u8::MAX;

/// What isn't known.
const UNKNOWN: i64 = i64::MIN;

impl Uses {
    pub(crate) fn since(now: i64) -> Self {
        Uses {
            notes: Notes::default(),
            policy: AtomicU8::new(NO_POLICY),
            oldest: AtomicI64::new(UNKNOWN),
            evicted: AtomicI64::new(UNKNOWN),
            counts: Arc::default(),
            look: (AtomicI64::new(now), AtomicU64::new(READS)),
            rest: AtomicI64::new(now.saturating_add(REST)),
            is_urgent: AtomicBool::new(false),
            is_on_its_way: AtomicBool::new(false),
        }
    }

    /// From now on. What rank is the least is known of one policy, and not of the next.
    pub(crate) fn go_by(&self, policy: Option<Policy>) {
        let number = policy.map_or(NO_POLICY, |policy| policy as u8);
        if self.policy.swap(number, Relaxed) != number {
            self.oldest.store(UNKNOWN, Relaxed);
        }
    }

    /// Takes down the `nth` read, if it matters. Is it time to see to what was noted?
    pub(crate) fn note(&self, of: &Use, nth: u64, now: impl FnOnce() -> i64) -> bool {
        let policy = Policy::of_number(self.policy.load(Relaxed));
        let times = policy.map_or(0, |policy| policy.times(of, nth));
        // Of many reads one asks for the time all the same.
        let is_known =
            || policy == Some(Policy::Sieve) && !nth.is_multiple_of(READS) && self.notes.has(of);
        if of.idle.is_none() && (times == 0 || is_known()) {
            return false;
        }
        let now = now();
        let aged = |part: i64| {
            let gone = now.saturating_sub(of.used);
            of.idle.is_some_and(|idle| gone > idle / part)
        };
        let oldest = Some(self.oldest.load(Relaxed)).filter(|&oldest| oldest != UNKNOWN);
        let matters = policy.is_some_and(|policy| policy.tells_apart(of, oldest, now));
        if !(aged(16) || times > 0 && matters) {
            return false;
        }
        self.notes.add(of, times, now);
        if aged(4) {
            self.is_urgent.store(true, Release);
            return true;
        }
        let (look, reads) = (self.look.0.load(Relaxed), self.look.1.load(Relaxed));
        nth >= reads && now >= look || now >= self.rest.load(Relaxed)
    }

    /// Somebody looks now, and again after some time; is he to write all down, whether anybody evicts or not?
    pub(crate) fn looks(&self, now: i64) -> bool {
        let [hits, _] = &*self.counts;
        self.look.0.store(now.saturating_add(LOOK), Relaxed);
        self.look
            .1
            .store(hits.count().saturating_add(READS), Relaxed);
        self.is_urgent.load(Relaxed) || now >= self.rest.load(Relaxed)
    }

    /// The least rank there is.
    pub(crate) fn see_the_oldest(&self, rank: Option<i64>) {
        self.oldest.store(rank.unwrap_or(UNKNOWN), Relaxed);
    }

    /// So many have been evicted: are they others than at the last look?
    pub(crate) fn have_evicted(&self, evicted: i64) -> bool {
        let before = self.evicted.swap(evicted, Relaxed);
        before != UNKNOWN && before != evicted
    }

    /// All that was noted.
    pub(crate) fn take_all(&self, now: i64) -> Vec<Note> {
        self.rest.store(now.saturating_add(REST), Relaxed);
        self.is_urgent.store(false, Release);
        self.notes.take()
    }

    /// As if nothing had been read.
    pub(crate) fn forget(&self) {
        self.notes.clear();
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
        self.notes.len() == 0 && self.counts.iter().all(|tally| tally.unsettled() == 0)
    }
}

impl Tally {
    /// The how-manieth is it?
    pub(crate) fn add(&self) -> u64 {
        self.here.fetch_add(1, Relaxed) + 1
    }

    pub(crate) fn count(&self) -> u64 {
        self.here.load(Relaxed)
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
