//! An index does what a list of entries in insertion order would, whatever is done to it, reopened in
//! between, and with transactions that commit or roll back.
#![allow(clippy::unwrap_used)]

use std::fmt::Debug;
use std::ops::Bound;

use diskette_index::Index;
use diskette_store::{Access, Error, MessagePack, Store};
use diskette_testkit::{Place, cases};
use proptest::collection::vec;
use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;

trait Key: Clone + Debug + Ord + Serialize + DeserializeOwned + 'static {}
impl<K: Clone + Debug + Ord + Serialize + DeserializeOwned + 'static> Key for K {}

type Value = Vec<u8>;
type Entries<K> = Vec<(K, Value)>;

#[derive(Clone, Debug)]
enum Step<K> {
    Insert(K, Value),
    InsertIfAbsent(K, Value),
    Replace(K, Value),
    Get(K),
    GetMany(Vec<K>),
    Remove(K),
    Delete(K),
    RemoveMany(Vec<K>),
    Update(K, Option<Value>),
    Entry(K, Value),
    GetOrInsert(K, Value),
    CompareAndSwap(K, Option<Value>, Option<Value>),
    Extend(Entries<K>),
    Retain(u8),
    Clear,
    PopOldest,
    PopNewest,
    PopFirst,
    PopLast,
    MoveToEnd(K),
    MoveToFront(K),
    Range(Bound<K>, Bound<K>),
    BothEnds(Vec<bool>),
    /// The first in a transaction, the second in a part of it that is rolled back.
    Commit(Vec<Step<K>>, Vec<Step<K>>),
    RollBack(Vec<Step<K>>),
    Reopen,
}

/// Large enough for a file of its own, once in a while.
fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        30 => (0_u8..4).prop_map(|n| vec![n; 3]),
        1 => (0_u8..4).prop_map(|n| vec![n; diskette_store::INLINE + 1]),
    ]
}

fn step<K: Key>(key: impl Strategy<Value = K> + Clone + 'static) -> BoxedStrategy<Step<K>> {
    let k = || key.clone();
    let keys = || vec(key.clone(), 0..5);
    let bound = || {
        prop_oneof![
            key.clone().prop_map(Bound::Included),
            key.clone().prop_map(Bound::Excluded),
            Just(Bound::Unbounded),
        ]
    };
    let simple = prop_oneof![
        8 => (k(), value()).prop_map(|(k, v)| Step::Insert(k, v)),
        3 => (k(), value()).prop_map(|(k, v)| Step::InsertIfAbsent(k, v)),
        2 => (k(), value()).prop_map(|(k, v)| Step::Replace(k, v)),
        2 => k().prop_map(Step::Get),
        1 => keys().prop_map(Step::GetMany),
        4 => k().prop_map(Step::Remove),
        2 => k().prop_map(Step::Delete),
        2 => keys().prop_map(Step::RemoveMany),
        2 => (k(), proptest::option::of(value())).prop_map(|(k, v)| Step::Update(k, v)),
        2 => (k(), value()).prop_map(|(k, v)| Step::Entry(k, v)),
        2 => (k(), value()).prop_map(|(k, v)| Step::GetOrInsert(k, v)),
        3 => (k(), proptest::option::of(value()), proptest::option::of(value()))
            .prop_map(|(k, old, new)| Step::CompareAndSwap(k, old, new)),
        3 => vec((key.clone(), value()), 0..8).prop_map(Step::Extend),
        1 => (0_u8..4).prop_map(Step::Retain),
        1 => Just(Step::Clear),
        2 => Just(Step::PopOldest),
        2 => Just(Step::PopNewest),
        2 => Just(Step::PopFirst),
        2 => Just(Step::PopLast),
        4 => k().prop_map(Step::MoveToEnd),
        4 => k().prop_map(Step::MoveToFront),
        4 => (bound(), bound()).prop_map(|(from, to)| Step::Range(from, to)),
        1 => vec(any::<bool>(), 0..20).prop_map(Step::BothEnds),
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

fn place<K: Key>(model: &Entries<K>, key: &K) -> Option<usize> {
    model.iter().position(|(k, _)| k == key)
}

/// What the model says of writing `value`, or nothing, to a key.
fn put<K: Key>(model: &mut Entries<K>, key: &K, value: Option<&Value>) -> Option<Value> {
    match (place(model, key), value) {
        (Some(at), Some(value)) => Some(std::mem::replace(&mut model[at].1, value.clone())),
        (Some(at), None) => Some(model.remove(at).1),
        (None, Some(value)) => {
            model.push((key.clone(), value.clone()));
            None
        }
        (None, None) => None,
    }
}

fn sorted<K: Key>(model: &Entries<K>) -> Entries<K> {
    let mut sorted = model.clone();
    sorted.sort();
    sorted
}

/// Takes one step with the index and the model, and compares what they return.
fn take<K: Key, A: Access + Clone>(
    index: &Index<K, Value, MessagePack, A>,
    model: &mut Entries<K>,
    step: &Step<K>,
) -> Result<(), Error> {
    let old = |model: &Entries<K>, key: &K| place(model, key).map(|at| model[at].1.clone());
    match step {
        Step::Insert(key, value) => {
            index.insert(key, value)?;
            put(model, key, Some(value));
        }
        Step::InsertIfAbsent(key, value) => {
            let absent = place(model, key).is_none();
            assert_eq!(index.insert_if_absent(key, value)?, absent);
            if absent {
                put(model, key, Some(value));
            }
        }
        Step::Replace(key, value) => {
            assert_eq!(index.replace(key, value)?, put(model, key, Some(value)));
        }
        Step::Get(key) => {
            assert_eq!(index.get(key)?, old(model, key));
            assert_eq!(index.contains_key(key)?, place(model, key).is_some());
        }
        Step::GetMany(keys) => {
            let there: Vec<_> = keys.iter().map(|key| old(model, key)).collect();
            assert_eq!(index.get_many(keys)?, there);
        }
        Step::Remove(key) => assert_eq!(index.remove(key)?, put(model, key, None)),
        Step::Delete(key) => assert_eq!(index.delete(key)?, put(model, key, None).is_some()),
        Step::RemoveMany(keys) => {
            let there = keys
                .iter()
                .filter(|key| put(model, key, None).is_some())
                .count();
            assert_eq!(index.remove_many(keys)?, there);
        }
        Step::Update(key, value) => {
            let new = index.update(key, |found| {
                assert_eq!(found, old(model, key));
                value.clone()
            })?;
            assert_eq!(&new, value);
            put(model, key, value.as_ref());
        }
        Step::Entry(key, value) => {
            let new = old(model, key).map_or(value.clone(), |mut found| {
                found[0] += 1;
                found
            });
            let entry = index.entry(key).and_modify(|found| found[0] += 1);
            assert_eq!(entry.or_insert(value.clone())?, new);
            put(model, key, Some(&new));
        }
        Step::GetOrInsert(key, value) => {
            let now = old(model, key).unwrap_or(value.clone());
            assert_eq!(index.get_or_insert_with(key, || value.clone())?, now);
            put(model, key, Some(&now));
        }
        Step::CompareAndSwap(key, expected, new) => {
            let same = old(model, key) == *expected;
            assert_eq!(
                index.compare_and_swap(key, expected.as_ref(), new.as_ref())?,
                same
            );
            if same {
                put(model, key, new.as_ref());
            }
        }
        Step::Extend(entries) => {
            index.extend(entries.iter().map(|(key, value)| (key, value)))?;
            for (key, value) in entries {
                put(model, key, Some(value));
            }
        }
        Step::Retain(not) => {
            index.retain(|_, value| value[0] != *not)?;
            model.retain(|(_, value)| value[0] != *not);
        }
        Step::Clear => {
            index.clear()?;
            model.clear();
        }
        Step::PopOldest => {
            let oldest = (!model.is_empty()).then(|| model.remove(0));
            assert_eq!(index.pop_oldest()?, oldest);
        }
        Step::PopNewest => assert_eq!(index.pop_newest()?, model.pop()),
        Step::PopFirst => {
            let first = sorted(model).first().cloned();
            first
                .iter()
                .for_each(|(key, _)| drop(put(model, key, None)));
            assert_eq!(index.pop_first()?, first);
        }
        Step::PopLast => {
            let last = sorted(model).last().cloned();
            last.iter().for_each(|(key, _)| drop(put(model, key, None)));
            assert_eq!(index.pop_last()?, last);
        }
        Step::MoveToEnd(key) => {
            let at = place(model, key);
            assert_eq!(index.move_to_end(key)?, at.is_some());
            at.into_iter().for_each(|at| model[at..].rotate_left(1));
        }
        Step::MoveToFront(key) => {
            let at = place(model, key);
            assert_eq!(index.move_to_front(key)?, at.is_some());
            at.into_iter().for_each(|at| model[..=at].rotate_right(1));
        }
        Step::Range(from, to) => {
            let range = (from.as_ref(), to.as_ref());
            let there: Entries<K> = sorted(model)
                .into_iter()
                .filter(|(key, _)| std::ops::RangeBounds::contains(&range, key))
                .collect();
            let range = (from.clone(), to.clone());
            assert_eq!(
                index.range(range.clone()).collect::<Result<Vec<_>, _>>()?,
                there
            );
            let mut backwards = index.range(range).rev().collect::<Result<Vec<_>, _>>()?;
            backwards.reverse();
            assert_eq!(backwards, there);
        }
        Step::BothEnds(front) => {
            let (mut found, mut there) = (index.iter(), model.iter());
            for &front in front {
                let (found, there) = if front {
                    (found.next(), there.next())
                } else {
                    (found.next_back(), there.next_back())
                };
                assert_eq!(found.transpose()?.as_ref(), there);
            }
        }
        Step::Commit(..) | Step::RollBack(_) | Step::Reopen => {
            unreachable!("not within a transaction")
        }
    }
    compare(index, model)
}

fn compare<K: Key, A: Access + Clone>(
    index: &Index<K, Value, MessagePack, A>,
    model: &Entries<K>,
) -> Result<(), Error> {
    assert_eq!(index.len()?, model.len());
    let keys: Vec<K> = index.keys().collect::<Result<_, _>>()?;
    assert!(keys.iter().eq(model.iter().map(|(key, _)| key)), "{keys:?}");
    Ok(())
}

fn compare_all<K: Key>(index: &Index<K, Value>, model: &Entries<K>) -> Result<(), Error> {
    assert_eq!(&index.iter().collect::<Result<Vec<_>, _>>()?, model);
    let values: Vec<_> = index.values().rev().collect::<Result<_, _>>()?;
    assert!(values.iter().eq(model.iter().rev().map(|(_, value)| value)));
    assert_eq!(index.oldest()?.as_ref(), model.first());
    assert_eq!(index.newest()?.as_ref(), model.last());
    assert_eq!(index.first_key_value()?.as_ref(), sorted(model).first());
    assert_eq!(index.last_key_value()?.as_ref(), sorted(model).last());
    assert_eq!(index.is_empty()?, model.is_empty());
    Ok(())
}

fn run<K: Key>(steps: &[Step<K>]) -> Result<(), Error> {
    let place = Place::new();
    let mut store = Store::open(place.path())?;
    let mut index = Index::<K, Value>::new(&store, "model")?;
    let mut model = Entries::new();
    for step in steps {
        match step {
            Step::Commit(steps, part) => store.transaction(|tx| {
                steps
                    .iter()
                    .try_for_each(|step| take(&index.within(tx), &mut model, step))?;
                let mut inside = model.clone();
                let rolled_back = tx.transaction(|tx| {
                    part.iter()
                        .try_for_each(|step| take(&index.within(tx), &mut inside, step))?;
                    Err::<(), _>(Stop(None))
                });
                assert!(rolled_back.is_err_and(|stop| stop.0.is_none()));
                compare(&index.within(tx), &model)
            })?,
            Step::RollBack(steps) => {
                let mut inside = model.clone();
                let rolled_back = store.transaction(|tx| {
                    steps
                        .iter()
                        .try_for_each(|step| take(&index.within(tx), &mut inside, step))?;
                    Err::<(), _>(Stop(None))
                });
                assert!(rolled_back.is_err_and(|stop| stop.0.is_none()));
                compare(&index, &model)?;
            }
            Step::Reopen => {
                drop((store, index));
                store = Store::open(place.path())?;
                index = Index::new(&store, "model")?;
            }
            step => take(&index, &mut model, step)?,
        }
    }
    compare_all(&index, &model)?;
    let files = model
        .iter()
        .filter(|(_, value)| value.len() > diskette_store::INLINE)
        .count();
    assert_eq!(store.stats()?.value_files, files as u64);
    assert_eq!(store.check()?.problems, []);
    Ok(())
}

/// Why a transaction was rolled back: on purpose, or by an error.
#[derive(Debug)]
struct Stop(Option<Error>);

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Stop(Some(error))
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(32), max_shrink_iters: 2000, ..ProptestConfig::default() })]

    #[test]
    fn with_integers(steps in vec(step(-6_i64..6), 0..100)) {
        run(&steps).unwrap();
    }

    #[test]
    fn with_strings(steps in vec(step("[ab\0]{0,3}"), 0..100)) {
        run(&steps).unwrap();
    }

    #[test]
    fn with_tuples(steps in vec(step((0_u8..3, "[ab\0]{0,2}", any::<Option<bool>>())), 0..100)) {
        run(&steps).unwrap();
    }
}
