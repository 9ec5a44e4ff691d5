//! A cache does what a list of entries with expiries would, whatever is done to it: with a clock that is set by hand, reopened
//! in between, with transactions that commit or roll back, and by each policy.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use diskette_cache::{Cache, CacheOptions, Expiry, ManualClock, Policy, Terms};
use diskette_store::{Access, Error, INLINE, MessagePack, Store};
use proptest::collection::vec;
use proptest::prelude::*;

type Key = u8;
type Value = Vec<u8>;

#[derive(Clone, Debug)]
enum Step {
    Insert(Key, Value, Kept),
    InsertIfAbsent(Key, Value, Kept),
    Replace(Key, Value, Kept),
    Update(Key, Option<Value>),
    Entry(Key, Value),
    CompareAndSwap(Key, Option<Value>, Option<Value>),
    GetOrInsert(Key, Value, Kept),
    Get(Key),
    GetMany(Vec<Key>),
    Meta(Key),
    Touch(Key, Kept),
    Remove(Key),
    Delete(Key),
    RemoveMany(Vec<Key>),
    InsertMany(Vec<(Key, Value)>, Kept),
    EvictTag(u8),
    Expire,
    Cull,
    Clear,
    /// Milliseconds.
    Wait(u16),
    SetClock(i16),
    Reopen,
    Commit(Vec<Step>, Vec<Step>),
    RollBack(Vec<Step>),
}

/// The terms of an entry, as far as the model knows them; times in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Kept {
    expires_in: Option<u16>,
    tag: Option<u8>,
}

impl Kept {
    fn expiry(self) -> Expiry {
        match self.expires_in {
            Some(millis) => Expiry::In(Duration::from_millis(millis.into())),
            None => Expiry::Never,
        }
    }

    fn terms(self) -> Terms {
        let terms = Terms::default().expiry(self.expiry());
        match self.tag {
            Some(tag) => terms.tag(tag.to_string()),
            None => terms,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
struct Entry {
    key: Key,
    value: Value,
    expires: Option<u64>,
    tag: Option<u8>,
}

/// Milliseconds since the beginning, and the entries in insertion order.
#[derive(Clone, Debug, Default)]
struct Model {
    now: u64,
    entries: Vec<Entry>,
}

impl Model {
    fn forget(&mut self) {
        let now = self.now;
        self.entries
            .retain(|entry| entry.expires.is_none_or(|expires| expires > now));
    }

    fn place(&mut self, key: Key) -> Option<usize> {
        self.forget();
        self.entries.iter().position(|entry| entry.key == key)
    }

    fn get(&mut self, key: Key) -> Option<Value> {
        let at = self.place(key)?;
        Some(self.entries[at].value.clone())
    }

    /// `None` keeps the terms.
    fn put(&mut self, key: Key, value: Option<&Value>, kept: Option<Kept>) {
        let until = |kept: Kept| kept.expires_in.map(|millis| self.now + u64::from(millis));
        let terms = kept.map(|kept| (until(kept), kept.tag));
        match (self.place(key), value) {
            (Some(at), Some(value)) => {
                let entry = &mut self.entries[at];
                entry.value.clone_from(value);
                if let Some((expires, tag)) = terms {
                    (entry.expires, entry.tag) = (expires, tag);
                }
            }
            (Some(at), None) => drop(self.entries.remove(at)),
            (None, Some(value)) => {
                let (expires, tag) = terms.unwrap_or_default();
                self.entries.push(Entry {
                    key,
                    value: value.clone(),
                    expires,
                    tag,
                });
            }
            (None, None) => {}
        }
    }
}

/// Large enough for a file of its own, once in a while.
fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        40 => (0_u8..4).prop_map(|n| vec![n; 3]),
        1 => (0_u8..4).prop_map(|n| vec![n; INLINE + 1]),
    ]
}

fn kept() -> impl Strategy<Value = Kept> {
    let expires_in = prop_oneof![3 => Just(None), 3 => (0_u16..50).prop_map(Some)];
    (expires_in, proptest::option::of(0_u8..3))
        .prop_map(|(expires_in, tag)| Kept { expires_in, tag })
}

fn step() -> BoxedStrategy<Step> {
    let key = || 0_u8..8;
    let maybe = || proptest::option::of(value());
    let simple = prop_oneof![
        8 => (key(), value(), kept()).prop_map(|(k, v, t)| Step::Insert(k, v, t)),
        3 => (key(), value(), kept()).prop_map(|(k, v, t)| Step::InsertIfAbsent(k, v, t)),
        2 => (key(), value(), kept()).prop_map(|(k, v, t)| Step::Replace(k, v, t)),
        2 => (key(), maybe()).prop_map(|(k, v)| Step::Update(k, v)),
        2 => (key(), value()).prop_map(|(k, v)| Step::Entry(k, v)),
        2 => (key(), maybe(), maybe()).prop_map(|(k, a, b)| Step::CompareAndSwap(k, a, b)),
        2 => (key(), value(), kept()).prop_map(|(k, v, t)| Step::GetOrInsert(k, v, t)),
        3 => key().prop_map(Step::Get),
        1 => vec(key(), 0..5).prop_map(Step::GetMany),
        2 => key().prop_map(Step::Meta),
        2 => (key(), kept()).prop_map(|(k, t)| Step::Touch(k, t)),
        3 => key().prop_map(Step::Remove),
        2 => key().prop_map(Step::Delete),
        1 => vec(key(), 0..5).prop_map(Step::RemoveMany),
        2 => (vec((key(), value()), 0..5), kept()).prop_map(|(e, t)| Step::InsertMany(e, t)),
        1 => (0_u8..3).prop_map(Step::EvictTag),
        1 => Just(Step::Expire),
        1 => Just(Step::Cull),
        1 => Just(Step::Clear),
        4 => (0_u16..40).prop_map(Step::Wait),
        1 => any::<i16>().prop_map(Step::SetClock),
    ]
    .boxed();
    prop_oneof![
        20 => simple.clone(),
        1 => (vec(simple.clone(), 0..8), vec(simple.clone(), 0..4))
            .prop_map(|(steps, part)| Step::Commit(steps, part)),
        1 => vec(simple, 0..8).prop_map(Step::RollBack),
        1 => Just(Step::Reopen),
    ]
    .boxed()
}

type Outcome = Result<(), Error>;

/// Does a step to the cache and to the model, and compares what they say.
fn apply<A: Access + Clone>(
    cache: &Cache<Key, Value, MessagePack, A>,
    clock: &ManualClock,
    model: &mut Model,
    step: &Step,
) -> Outcome {
    match step {
        Step::Insert(k, v, t) => {
            cache.insert_with(k, v, t.terms())?;
            model.put(*k, Some(v), Some(*t));
        }
        Step::InsertIfAbsent(k, v, t) => {
            let absent = model.get(*k).is_none();
            assert_eq!(cache.insert_if_absent(k, v, t.terms())?, absent);
            if absent {
                model.put(*k, Some(v), Some(*t));
            }
        }
        Step::Replace(k, v, t) => {
            assert_eq!(cache.replace(k, v, t.terms())?, model.get(*k));
            model.put(*k, Some(v), Some(*t));
        }
        Step::Update(k, v) => {
            let before = model.get(*k);
            let after = cache.update(k, |found| {
                assert_eq!(found, before);
                v.clone()
            })?;
            assert_eq!(after, *v);
            model.put(*k, v.as_ref(), None);
        }
        Step::Entry(k, v) => {
            let after = model.get(*k).map_or(v.clone(), |mut found| {
                found.push(1);
                found
            });
            let entry = cache.entry(k).and_modify(|found| found.push(1));
            assert_eq!(entry.or_insert(v.clone())?, after);
            model.put(*k, Some(&after), None);
        }
        Step::CompareAndSwap(k, old, new) => {
            let same = model.get(*k) == *old;
            assert_eq!(cache.compare_and_swap(k, old.as_ref(), new.as_ref())?, same);
            if same {
                model.put(*k, new.as_ref(), None);
            }
        }
        Step::GetOrInsert(k, v, t) => {
            let found = model.get(*k);
            let made = cache.get_or_insert_with(k, t.terms(), || v.clone())?;
            assert_eq!(made, found.clone().unwrap_or_else(|| v.clone()));
            if found.is_none() {
                model.put(*k, Some(v), Some(*t));
            }
        }
        Step::Get(k) => {
            assert_eq!(cache.get(k)?, model.get(*k));
            assert_eq!(cache.contains_key(k)?, model.get(*k).is_some());
        }
        Step::GetMany(keys) => {
            let expected: Vec<_> = keys.iter().map(|&k| model.get(k)).collect();
            assert_eq!(cache.get_many(keys)?, expected);
        }
        Step::Meta(k) => {
            let at = model.place(*k);
            let meta = cache.get_with_meta(k)?;
            let expected = at.map(|at| model.entries[at].clone());
            assert_eq!(
                meta.map(|meta| (meta.value, meta.tag, meta.expires.is_some())),
                expected.map(|entry| {
                    let tag = entry.tag.map(|tag| tag.to_string());
                    (entry.value, tag, entry.expires.is_some())
                })
            );
        }
        Step::Touch(k, t) => {
            let at = model.place(*k);
            assert_eq!(cache.touch(k, t.expiry())?, at.is_some());
            if let Some(at) = at {
                let now = model.now;
                model.entries[at].expires = t.expires_in.map(|millis| now + u64::from(millis));
            }
        }
        Step::Remove(k) => {
            assert_eq!(cache.remove(k)?, model.get(*k));
            model.put(*k, None, None);
        }
        Step::Delete(k) => {
            assert_eq!(cache.delete(k)?, model.get(*k).is_some());
            model.put(*k, None, None);
        }
        Step::RemoveMany(keys) => {
            let before = model.entries.len();
            model.forget();
            let left = model.entries.len();
            model.entries.retain(|entry| !keys.contains(&entry.key));
            assert!(before >= left);
            assert_eq!(cache.remove_many(keys)?, left - model.entries.len());
        }
        Step::InsertMany(entries, t) => {
            cache.insert_many(entries.iter().cloned(), t.terms())?;
            for (k, v) in entries {
                model.put(*k, Some(v), Some(*t));
            }
        }
        Step::EvictTag(tag) => {
            let tagged = cache
                .tagged(&tag.to_string())
                .collect::<Result<Vec<_>, _>>()?;
            model.forget();
            let has = |entry: &&Entry| entry.tag == Some(*tag);
            let expected = model.entries.iter().filter(has);
            let expected: Vec<_> = expected.map(|e| (e.key, e.value.clone())).collect();
            assert_eq!(tagged, expected);
            assert!(cache.evict_tag(&tag.to_string())? >= expected.len());
            model.entries.retain(|entry| entry.tag != Some(*tag));
        }
        Step::Expire => {
            cache.expire()?;
            model.forget();
            assert_eq!(cache.len_stored()?, model.entries.len());
        }
        Step::Cull => drop(cache.cull()?),
        Step::Clear => {
            cache.clear()?;
            model.entries.clear();
        }
        Step::Wait(millis) => {
            clock.advance(Duration::from_millis((*millis).into()));
            model.now += u64::from(*millis);
        }
        Step::SetClock(seconds) => clock.step_wall((*seconds).into()),
        Step::Reopen | Step::Commit(..) | Step::RollBack(_) => unreachable!("not within another"),
    }
    agree(cache, model)
}

fn agree<A: Access + Clone>(
    cache: &Cache<Key, Value, MessagePack, A>,
    model: &mut Model,
) -> Outcome {
    model.forget();
    let mut entries: Vec<_> = model
        .entries
        .iter()
        .map(|e| (e.key, e.value.clone()))
        .collect();
    assert_eq!(cache.iter().collect::<Result<Vec<_>, _>>()?, entries);
    assert_eq!(cache.len()?, entries.len());
    assert!(cache.len_stored()? >= entries.len());
    entries.sort();
    assert_eq!(
        cache.range::<Key, _>(..).collect::<Result<Vec<_>, _>>()?,
        entries
    );
    entries.reverse();
    assert_eq!(
        cache
            .range::<Key, _>(..)
            .rev()
            .collect::<Result<Vec<_>, _>>()?,
        entries
    );
    Ok(())
}

fn run(steps: &[Step], options: &CacheOptions<Key, Value>) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let clock = ManualClock::new();
    let open = || {
        let store = Store::open(&path).unwrap();
        let cache = options
            .clone()
            .clock(clock.clone())
            .new(&store, "cache")
            .unwrap();
        (store, cache)
    };
    let (mut store, mut cache) = open();
    let mut model = Model::default();
    for step in steps {
        match step {
            Step::Reopen => {
                drop((store, cache));
                (store, cache) = open();
                agree(&cache, &mut model).unwrap();
            }
            Step::Commit(steps, part) => store
                .transaction(|tx| {
                    let within = cache.within(tx);
                    steps
                        .iter()
                        .try_for_each(|step| apply(&within, &clock, &mut model, step))?;
                    let before = model.clone();
                    let undone = tx.transaction(|tx| {
                        let within = cache.within(tx);
                        part.iter()
                            .try_for_each(|step| apply(&within, &clock, &mut model, step))?;
                        Err::<(), _>(store.remove_structure("").unwrap_err())
                    });
                    assert!(undone.is_err());
                    model.entries = before.entries;
                    agree(&within, &mut model)
                })
                .unwrap(),
            Step::RollBack(steps) => {
                let before = model.clone();
                let undone = store.transaction(|tx| {
                    let within = cache.within(tx);
                    steps
                        .iter()
                        .try_for_each(|step| apply(&within, &clock, &mut model, step))?;
                    Err::<(), _>(store.remove_structure("").unwrap_err())
                });
                assert!(undone.is_err());
                model.entries = before.entries;
                agree(&cache, &mut model).unwrap();
            }
            step => apply(&cache, &clock, &mut model, step).unwrap(),
        }
    }
    drop(cache);
    assert_eq!(store.check().unwrap().problems, []);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 60 } else { 1000 }))]

    #[test]
    fn without_a_limit(steps in vec(step(), 1..60)) {
        run(&steps, &Cache::options());
    }

    /// So large that nothing is evicted, everything is counted.
    #[test]
    fn within_a_limit(steps in vec(step(), 1..60)) {
        run(&steps, &Cache::options().max_bytes(1 << 40).policy(Policy::LeastFrequentlyUsed));
    }
}
