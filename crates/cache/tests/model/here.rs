use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use diskette_cache::{Cache, Clock, Expiry};
use diskette_store::{Access, Error, MessagePack, Store, Transaction};

use crate::clock::FileClock;
use crate::step::{Key, POLICIES, Step, Terms, Value};

/// A cache as this process has it open. Says of each step what it was answered, and what it sees then.
pub(crate) struct Here {
    paths: [PathBuf; 2],
    clock: Arc<FileClock>,
    pub(crate) store: Store,
    cache: Cache<Key, Value>,
}

impl Here {
    pub(crate) fn open(paths: [PathBuf; 2]) -> Self {
        let [path, clock] = &paths;
        let clock = Arc::new(FileClock::open(clock));
        let store = Store::open(path).unwrap();
        let options = Cache::options().clock(Arc::clone(&clock));
        let cache = options.new(&store, "cache").unwrap();
        Here {
            paths,
            clock,
            store,
            cache,
        }
    }

    pub(crate) fn act(self, step: &Step) -> (Self, String) {
        let Here {
            store,
            cache,
            clock,
            ..
        } = &self;
        let answer = match step {
            Step::Reopen => {
                let paths = self.paths.clone();
                drop(self);
                let here = Self::open(paths);
                let seen = seen(&here.cache).unwrap();
                return (here, seen);
            }
            Step::Commit(steps, part) => store.transaction(|tx| {
                let all = act_within(tx, cache, clock, steps)?;
                let mut undone = String::new();
                let rolled_back = tx.transaction(|tx| {
                    undone = act_within(tx, cache, clock, part)?;
                    Err::<(), _>(Stop(None))
                });
                stopped(rolled_back)?;
                Ok(all + &undone)
            }),
            Step::RollBack(steps) => {
                let mut undone = String::new();
                let rolled_back = store.transaction(|tx| {
                    undone = act_within(tx, cache, clock, steps)?;
                    Err::<(), _>(Stop(None))
                });
                stopped(rolled_back).map(|()| undone)
            }
            step => said(take(cache, clock, step), cache),
        };
        let said = answer.unwrap() + &seen(cache).unwrap();
        (self, said)
    }
}

/// Why a transaction was undone: on purpose, or by an error.
#[derive(Debug)]
struct Stop(Option<Error>);

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Stop(Some(error))
    }
}

fn stopped(rolled_back: Result<(), Stop>) -> Result<(), Error> {
    match rolled_back {
        Err(Stop(Some(error))) => Err(error),
        Err(Stop(None)) => Ok(()),
        Ok(()) => unreachable!("it was undone"),
    }
}

type Opened<A> = Cache<Key, Value, MessagePack, A>;

/// Each step by itself, so that one that is refused is undone alone.
fn act_within(
    tx: &Transaction<'_>,
    cache: &Cache<Key, Value>,
    clock: &FileClock,
    steps: &[Step],
) -> Result<String, Error> {
    let answers = steps.iter().map(|step| {
        let answer = tx.transaction(|tx| take(&cache.within(tx), clock, step));
        said(answer, &cache.within(tx))
    });
    answers.collect()
}

fn said<A: Access + Clone>(
    answer: Result<String, Error>,
    cache: &Opened<A>,
) -> Result<String, Error> {
    let answer = match answer {
        Err(error) if error.is_full() => "full".into(),
        Err(error) if error.is_invalid_input() => "out of range".into(),
        answer => answer?,
    };
    Ok(answer + &seen(cache)?)
}

fn take<A: Access + Clone>(
    cache: &Opened<A>,
    clock: &FileClock,
    step: &Step,
) -> Result<String, Error> {
    clock.advance(1);
    // So that it knows what others have set.
    cache.policy()?;
    Ok(match step {
        Step::Insert(k, v) => say(cache.insert(k, v)?),
        Step::InsertWith(k, v, t) => say(cache.insert_with(k, v, *t)?),
        Step::InsertIfAbsent(k, v, t) => say(cache.insert_if_absent(k, v, *t)?),
        Step::InsertMany(entries, t) => say(cache.insert_many(entries.iter().copied(), *t)?),
        Step::Replace(k, v, t) => say(cache.replace(k, v, *t)?),
        Step::Update(k, v) => {
            let mut before = None;
            let change = |found| {
                before = found;
                *v
            };
            let after = cache.update(k, change)?;
            say((before, after))
        }
        Step::UpdateOn(k, t, v) => {
            let mut before = None;
            let change = |found| {
                before = found;
                *v
            };
            let after = cache.update_on(k, *t, change)?;
            say((before, after))
        }
        Step::Entry(k, v) => say(cache
            .entry(k)
            .and_modify(|found| found.0 /= 2)
            .or_insert(*v)?),
        Step::CompareAndSwap(k, old, new) => {
            say(cache.compare_and_swap(k, old.as_ref(), new.as_ref())?)
        }
        Step::Increment(k, by) => say(cache.increment(k, *by)?),
        Step::GetOrInsert(k, v, t) => say(cache.get_or_insert_with(k, *t, || *v)?),
        Step::Get(k) => say(cache.get(k)?),
        Step::GetMany(keys) => say(cache.get_many(keys)?),
        Step::GetWithMeta(k) => {
            let now = clock.read().wall;
            say(cache.get_with_meta(k)?.map(|meta| {
                let since = |time: std::time::SystemTime| {
                    time.duration_since(std::time::UNIX_EPOCH).unwrap()
                };
                let expires = meta
                    .expires
                    .map(|expires| (since(expires) - now).as_millis());
                let tag = meta.tag.map(|tag| tag.parse::<u8>().unwrap());
                (meta.value, meta.cost, expires, tag)
            }))
        }
        Step::ContainsKey(k) => say(cache.contains_key(k)?),
        Step::Tagged(tag) => say(all(cache.tagged(&tag.to_string()))?),
        Step::Range(from, to) => say(all(cache.range(*from..*to))?),
        Step::Prefix(first) => say(all(cache.prefix(&(first,)))?),
        Step::Touch(k, millis) => say(cache.touch(k, expiry(*millis))?),
        Step::Remove(k) => say(cache.remove(k)?),
        Step::Delete(k) => say(cache.delete(k)?),
        Step::RemoveMany(keys) => say(cache.remove_many(keys)?),
        Step::EvictTag(tag) => {
            let tagged = cache.tagged(&tag.to_string()).count();
            assert!(cache.evict_tag(&tag.to_string())? >= tagged);
            say(())
        }
        Step::Expire => {
            cache.expire()?;
            say(cache.len_stored()?)
        }
        Step::Cull => say(cache.cull().map(|_| ())?),
        Step::Clear => say(cache.clear()?),
        Step::SetPolicy(n) => say(cache.set_policy(POLICIES[*n])?),
        Step::SetMaxBytes(max) => say(cache.set_max_bytes(*max)?),
        Step::SetMaxEntries(max) => say(cache.set_max_entries(*max)?),
        Step::Wait(millis) => say(clock.advance(u64::from(*millis))),
        Step::SetClock(seconds) => say(clock.step_wall(*seconds)),
        Step::Reopen | Step::Commit(..) | Step::RollBack(_) => unreachable!("not within another"),
    })
}

/// Looks at it in every way, which must agree.
fn seen<A: Access + Clone>(cache: &Opened<A>) -> Result<String, Error> {
    let entries = all(cache.iter())?;
    let mut backwards = all(cache.iter().rev())?;
    backwards.reverse();
    assert_eq!(backwards, entries);
    let (keys, values): (Vec<_>, Vec<_>) = entries.iter().copied().unzip();
    assert_eq!(all(cache.keys())?, keys);
    assert_eq!(all(cache.values())?, values);

    let mut sorted = entries.clone();
    sorted.sort();
    assert_eq!(all(cache.range::<Key, _>(..))?, sorted);
    let sorted_keys = sorted.iter().rev().map(|(key, _)| *key).collect::<Vec<_>>();
    assert_eq!(all(cache.range_keys::<Key, _>(..).rev())?, sorted_keys);

    assert_eq!(
        (cache.len()?, cache.is_empty()?),
        (keys.len(), keys.is_empty())
    );
    let stats = cache.stats()?;
    assert_eq!(stats.entries, cache.len_stored()? as u64);
    assert!(stats.entries >= keys.len() as u64);
    let limits = (cache.policy()?, cache.max_bytes()?, cache.max_entries()?);
    Ok(format!(": {entries:?} {limits:?} {}\n", stats.evicted))
}

fn all<T>(items: impl Iterator<Item = Result<T, Error>>) -> Result<Vec<T>, Error> {
    items.collect()
}

fn say(answer: impl Debug) -> String {
    format!("{answer:?}")
}

fn expiry(millis: Option<u16>) -> Expiry {
    millis.map_or(Expiry::Never, |millis| {
        Expiry::In(Duration::from_millis(millis.into()))
    })
}

impl From<Terms> for diskette_cache::Terms {
    fn from(terms: Terms) -> Self {
        let mut these = Self::default().expiry(expiry(terms.expires_in));
        if let Some(tag) = terms.tag {
            these = these.tag(tag.to_string());
        }
        if let Some(cost) = terms.cost {
            these = these.cost(cost.into());
        }
        these
    }
}
