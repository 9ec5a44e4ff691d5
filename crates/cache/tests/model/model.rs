mod eviction;

use std::fmt::Debug;

use diskette_cache::Policy;

use crate::step::{Key, POLICIES, Step, Terms, Value};

/// A list of entries in insertion order, that two processes know. Each says of each step what the cache has to answer.
#[derive(Debug, Default)]
pub(crate) struct Model {
    /// In milliseconds since the beginning.
    now: u64,
    stored: Stored,
    processes: [Process; 2],
}

/// What is in the store: a transaction that is undone leaves it as it was.
#[derive(Clone, Debug, Default)]
struct Stored {
    entries: Vec<Entry>,
    policy: Policy,
    max_bytes: Option<u64>,
    max_entries: Option<u64>,
    /// The place of the last entry that the hand of SIEVE has looked at.
    hand: Option<u64>,
    /// How many places were ever given.
    places: u64,
    evicted: u64,
}

/// What a process has in memory only.
#[derive(Debug, Default)]
struct Process {
    /// What it has read and not written down, and when.
    reads: Vec<(Key, u64)>,
    /// The policy for which it gathers reads.
    policy: Option<Policy>,
    /// The time of the entry that was used the longest ago, when it was last looked for.
    oldest: Option<u64>,
}

#[derive(Clone, Debug)]
struct Entry {
    place: u64,
    key: Key,
    value: Value,
    cost: u64,
    expires: Option<u64>,
    tag: Option<u8>,
    stored: u64,
    used: u64,
    uses: u64,
    rank: Rank,
    /// What is written of its rank: what it was when it was looked at the last time.
    written: Rank,
}

/// Uses, where they count, and the time of the last that counts. Of those who are alike the first goes first.
type Rank = (u64, u64);

/// Why a step is refused, as the cache says it.
type Refusal = &'static str;

const FULL: Refusal = "full";
const OUT_OF_RANGE: Refusal = "out of range";

impl Model {
    /// What a process is answered, and what it sees then.
    pub(crate) fn act(&mut self, who: usize, step: &Step) -> String {
        let answer = match step {
            Step::Reopen => {
                self.look(who);
                self.write_down(who);
                self.processes[who] = Process::default();
                String::new()
            }
            Step::Commit(steps, part) => {
                let all = self.act_all(who, steps);
                let before = self.stored.clone();
                let undone = self.act_all(who, part);
                self.stored = before;
                all + &undone
            }
            Step::RollBack(steps) => {
                let before = self.stored.clone();
                let undone = self.act_all(who, steps);
                self.stored = before;
                undone
            }
            step => self.act_all(who, std::slice::from_ref(step)),
        };
        answer + &self.seen(who)
    }

    fn act_all(&mut self, who: usize, steps: &[Step]) -> String {
        let answers = steps.iter().map(|step| {
            self.now += 1;
            self.look(who);
            let before = self.stored.clone();
            let answer = self.take(who, step);
            let answer = answer.unwrap_or_else(|refusal| {
                self.stored = before;
                refusal.into()
            });
            answer + &self.seen(who)
        });
        answers.collect()
    }

    fn take(&mut self, who: usize, step: &Step) -> Result<String, Refusal> {
        let entries = |some: &dyn Fn(&Entry) -> bool, entries: Vec<Entry>| {
            let some = entries.into_iter().filter(some);
            format!("{:?}", some.map(|e| (e.key, e.value)).collect::<Vec<_>>())
        };
        Ok(match *step {
            Step::Insert(k, v) => say(self.put(who, k, v, Some(Terms::default()))?),
            Step::InsertWith(k, v, t) => say(self.put(who, k, v, Some(t))?),
            Step::InsertIfAbsent(k, v, t) => {
                let absent = self.get(k).is_none();
                if absent {
                    self.put(who, k, v, Some(t))?;
                }
                say(absent)
            }
            Step::InsertMany(ref entries, t) => {
                for &(k, v) in entries {
                    self.put(who, k, v, Some(t))?;
                }
                say(())
            }
            Step::Replace(k, v, t) => {
                let before = self.get(k);
                self.put(who, k, v, Some(t))?;
                say(before)
            }
            Step::Update(k, v) => {
                let before = self.get(k);
                self.put_or_remove(who, k, v, None)?;
                say((before, v))
            }
            Step::UpdateOn(k, t, v) => {
                let before = self.get(k);
                self.put_or_remove(who, k, v, Some(t))?;
                say((before, v))
            }
            Step::Entry(k, v) => {
                let after = self.get(k).map_or(v, |Value(n)| Value(n / 2));
                self.put(who, k, after, None)?;
                say(after)
            }
            Step::CompareAndSwap(k, old, new) => {
                let same = self.get(k) == old;
                if same {
                    self.put_or_remove(who, k, new, None)?;
                }
                say(same)
            }
            Step::Increment(k, by) => {
                let sum = i128::from(by) + self.get(k).map_or(0, i128::from);
                let sum = Value::try_from(sum).map_err(|()| OUT_OF_RANGE)?;
                self.put(who, k, sum, None)?;
                say(sum)
            }
            Step::GetOrInsert(k, v, t) => {
                let found = self.read(who, k);
                if found.is_none() {
                    self.put(who, k, v, Some(t))?;
                }
                say(found.unwrap_or(v))
            }
            Step::Get(k) => say(self.read(who, k)),
            Step::GetMany(ref keys) => {
                say(keys.iter().map(|&k| self.read(who, k)).collect::<Vec<_>>())
            }
            Step::GetWithMeta(k) => {
                self.read(who, k);
                let now = self.now;
                say(self.entry(k).map(|entry| {
                    let expires = entry.expires.map(|expires| expires - now);
                    (entry.value, entry.cost, expires, entry.tag)
                }))
            }
            Step::ContainsKey(k) => say(self.get(k).is_some()),
            Step::Tagged(tag) => entries(&|e| e.tag == Some(tag), self.in_order()),
            Step::Range(from, to) => entries(&|e| e.key >= from && e.key < to, self.by_key()),
            Step::Prefix(first) => entries(&|e| e.key.0 == first, self.by_key()),
            Step::Touch(k, millis) => {
                let expires = millis.map(|millis| self.now + u64::from(millis));
                let found = self.entry(k).map(|entry| entry.expires = expires);
                say(found.is_some())
            }
            Step::Remove(k) => say(self.remove(k)),
            Step::Delete(k) => say(self.remove(k).is_some()),
            Step::RemoveMany(ref keys) => {
                say(keys.iter().filter(|&&k| self.remove(k).is_some()).count())
            }
            Step::EvictTag(tag) => {
                self.stored.entries.retain(|entry| entry.tag != Some(tag));
                say(())
            }
            Step::Expire => say(self.in_order().len()),
            Step::Cull => say(()),
            Step::Clear => say(self.stored.entries.clear()),
            Step::SetPolicy(n) => say(self.set(who, |stored| stored.policy = POLICIES[n])),
            Step::SetMaxBytes(max) => say(self.set(who, |stored| stored.max_bytes = max)),
            Step::SetMaxEntries(max) => say(self.set(who, |stored| stored.max_entries = max)),
            Step::Wait(millis) => say(self.now += u64::from(millis)),
            Step::SetClock(_) => say(()),
            Step::Reopen | Step::Commit(..) | Step::RollBack(_) => {
                unreachable!("not within another")
            }
        })
    }

    fn seen(&mut self, who: usize) -> String {
        self.look(who);
        let entries: Vec<_> = self.in_order().iter().map(|e| (e.key, e.value)).collect();
        let stored = &self.stored;
        let limits = (stored.policy, stored.max_bytes, stored.max_entries);
        format!(": {entries:?} {limits:?} {}\n", stored.evicted)
    }
}

/// Entries, and what becomes of them.
impl Model {
    fn in_order(&mut self) -> Vec<Entry> {
        let expired = |entry: &Entry| entry.expires.is_some_and(|expires| expires <= self.now);
        self.stored.entries.retain(|entry| !expired(entry));
        self.stored.entries.clone()
    }

    fn by_key(&mut self) -> Vec<Entry> {
        let mut entries = self.in_order();
        entries.sort_by_key(|entry| entry.key);
        entries
    }

    fn entry(&mut self, key: Key) -> Option<&mut Entry> {
        self.in_order();
        self.stored
            .entries
            .iter_mut()
            .find(|entry| entry.key == key)
    }

    fn get(&mut self, key: Key) -> Option<Value> {
        self.entry(key).map(|entry| entry.value)
    }

    fn remove(&mut self, key: Key) -> Option<Value> {
        let value = self.get(key);
        self.stored.entries.retain(|entry| entry.key != key);
        value
    }

    /// `None` keeps the terms.
    fn put(
        &mut self,
        who: usize,
        key: Key,
        value: Value,
        terms: Option<Terms>,
    ) -> Result<(), Refusal> {
        let cost = terms
            .and_then(|terms| terms.cost)
            .map_or(value.cost(), u64::from);
        let own = self.get(key).map(|_| key);
        if self.stored.max_bytes.is_some_and(|max| cost > max) {
            return Err(FULL);
        }
        self.make_room(who, own, Some(cost))?;
        let (now, policy) = (self.now, self.stored.policy);
        if own.is_none() {
            self.stored.places += 1;
            self.stored.entries.push(Entry {
                place: self.stored.places,
                key,
                value,
                cost,
                expires: None,
                tag: None,
                stored: now,
                used: now,
                uses: 0,
                rank: (0, now),
                written: (0, now),
            });
        }
        let entry = self
            .stored
            .entries
            .iter_mut()
            .find(|entry| entry.key == key);
        let entry = entry.expect("it is there, or was pushed");
        (entry.value, entry.cost) = (value, cost);
        (entry.stored, entry.used) = (now, now);
        if let Some(terms) = terms {
            entry.expires = terms.expires_in.map(|millis| now + u64::from(millis));
            entry.tag = terms.tag;
        }
        match policy {
            Policy::Sieve => entry.uses = own.is_some().into(),
            Policy::LeastFrequentlyUsed => {
                entry.uses += 1;
                entry.rank = (entry.uses, now);
            }
            _ => entry.rank = (0, now),
        }
        Ok(())
    }

    fn put_or_remove(
        &mut self,
        who: usize,
        key: Key,
        value: Option<Value>,
        terms: Option<Terms>,
    ) -> Result<(), Refusal> {
        match value {
            Some(value) => self.put(who, key, value, terms),
            None => {
                self.remove(key);
                Ok(())
            }
        }
    }
}

fn say(answer: impl Debug) -> String {
    format!("{answer:?}")
}
