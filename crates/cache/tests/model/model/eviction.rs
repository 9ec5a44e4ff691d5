//! Which entry is the next to go.

use diskette_cache::Policy;

use super::{FULL, Model, Process, Refusal, Stored};
use crate::step::{Key, Value};

/// Limits, and who goes.
impl Model {
    /// Is it over a limit, with an entry of this cost besides, or in the place of `own`?
    fn is_over(&mut self, own: Option<Key>, cost: Option<u64>) -> bool {
        let others = self
            .in_order()
            .into_iter()
            .filter(|entry| Some(entry.key) != own);
        let costs: Vec<u64> = others.map(|entry| entry.cost).chain(cost).collect();
        let Stored {
            max_bytes,
            max_entries,
            ..
        } = self.stored;
        max_bytes.is_some_and(|max| costs.iter().sum::<u64>() > max)
            || max_entries.is_some_and(|max| costs.len() as u64 > max)
    }

    pub(super) fn make_room(
        &mut self,
        who: usize,
        own: Option<Key>,
        cost: Option<u64>,
    ) -> Result<(), Refusal> {
        if !self.is_over(own, cost) {
            return Ok(());
        }
        let policy = self.stored.policy;
        if policy == Policy::Refuse {
            return cost.map_or(Ok(()), |_| Err(FULL));
        }
        self.write_down(who);
        while self.is_over(own, cost) {
            if policy != Policy::Sieve {
                let queue = self.in_order();
                let others = queue.iter().filter(|entry| Some(entry.key) != own);
                let next = others.min_by_key(|entry| entry.written);
                let next = next.expect("one is too much").key;
                let entry = self.entry(next).expect("in the queue");
                if entry.written < entry.rank {
                    entry.written = entry.rank;
                } else {
                    self.remove(next);
                    self.stored.evicted += 1;
                }
                continue;
            }
            // The hand of SIEVE goes from the oldest to the newest, and again.
            let after = self.stored.hand;
            let mut queue = self.in_order();
            queue.retain(|entry| Some(entry.place) > after);
            let mut hand = after;
            for next in &queue {
                if !self.is_over(own, cost) {
                    break;
                }
                hand = Some(next.place);
                if Some(next.key) == own {
                } else if next.uses > 0 {
                    self.entry(next.key).expect("in the queue").uses = 0;
                } else {
                    self.remove(next.key);
                    self.stored.evicted += 1;
                }
            }
            self.stored.hand = hand.filter(|_| queue.last().is_some_and(|e| Some(e.place) != hand));
        }
        Ok(())
    }

    pub(super) fn set(&mut self, who: usize, change: impl FnOnce(&mut Stored)) {
        let ranked_by = self.stored.ranked_by();
        change(&mut self.stored);
        if self.stored.ranked_by() != ranked_by {
            let by_use = [Policy::LeastRecentlyUsed, Policy::LeastFrequentlyUsed];
            let by_use = by_use.contains(&self.stored.policy);
            for entry in &mut self.stored.entries {
                let time = if by_use { entry.used } else { entry.stored };
                (entry.uses, entry.rank, entry.written) = (0, (0, time), (0, time));
            }
        }
        self.look(who);
        let room = self.make_room(who, None, None);
        room.expect("nothing is to come in");
    }
}

impl Stored {
    /// Where there is no limit, nothing is ranked.
    fn ranked_by(&self) -> Option<Policy> {
        (self.max_bytes.or(self.max_entries)).map(|_| self.policy)
    }
}

/// Reads, which are gathered in memory until somebody evicts.
impl Model {
    /// A process learns by which policy the cache goes.
    pub(super) fn look(&mut self, who: usize) {
        let policy = self.stored.ranked_by();
        let process = &mut self.processes[who];
        if process.policy != policy {
            (process.policy, process.oldest) = (policy, None);
        }
    }

    pub(super) fn read(&mut self, who: usize, key: Key) -> Option<Value> {
        let now = self.now;
        let entry = self.entry(key)?.clone();
        let Process {
            reads,
            policy,
            oldest,
        } = &mut self.processes[who];
        let age = now - entry.used;
        let matters = match *policy {
            Some(Policy::Sieve) => entry.uses == 0,
            // A sixteenth of the age of the oldest is not told apart.
            Some(Policy::LeastRecentlyUsed) => {
                oldest.is_none_or(|oldest| age * 1000 > (now - oldest) * 1000 / 16)
            }
            Some(Policy::LeastFrequentlyUsed) => true,
            _ => false,
        };
        if matters {
            reads.push((key, now));
        }
        Some(entry.value)
    }

    pub(super) fn write_down(&mut self, who: usize) {
        let policy = self.stored.policy;
        for (key, at) in std::mem::take(&mut self.processes[who].reads) {
            let Some(entry) = self.entry(key).filter(|entry| at >= entry.stored) else {
                continue;
            };
            entry.used = entry.used.max(at);
            match policy {
                Policy::Sieve => entry.uses = 1,
                Policy::LeastRecentlyUsed => entry.rank = (0, entry.rank.1.max(at)),
                Policy::LeastFrequentlyUsed => {
                    entry.uses += 1;
                    entry.rank = (entry.uses, entry.rank.1.max(at));
                }
                _ => {}
            }
        }
        self.processes[who].oldest = self.in_order().iter().map(|entry| entry.written.1).min();
    }
}
