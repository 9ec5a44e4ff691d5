//! What is special about a cache that is spread over several databases. What it has in common with others is in `cache.rs`.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use diskette_cache::{
    Cache, CacheOptions, Expiry, Fresh, ManualClock, Memoized, Policy, ShardedCache, Shards,
    Stream, Terms,
};
use diskette_store::{Error, INLINE, MessagePack, Store};
use diskette_testkit::{PATIENCE, Place, cases, eventually, files_below};
use proptest::collection::vec;
use proptest::prelude::*;

const SECOND: Duration = Duration::from_secs(1);

fn store() -> (Place, Store) {
    Place::new().with(|path| Store::open(path))
}

/// For what looks into its files.
fn in_directory() -> (Place, Store) {
    Place::directory().with(|path| Store::open(path))
}

fn options(shards: u32) -> CacheOptions<u32, String, MessagePack, Shards> {
    Cache::options().shards(shards)
}

/// The directories of databases that there are.
fn sets(store: &Store) -> usize {
    store.sets_of_shards().unwrap().len()
}

#[test]
fn the_number_of_shards_is_remembered() {
    let (_directory, store) = store();
    for wrong in [0, 257] {
        let error = options(wrong).new(&store, "cache").unwrap_err();
        assert!(error.is_invalid_input(), "{error}");
    }
    assert!(options(3).find(&store, "cache").unwrap().is_none());
    assert_eq!(options(3).new(&store, "cache").unwrap().shards(), 3);
    let error = options(4).new(&store, "cache").unwrap_err();
    let says = error.to_string();
    assert!(error.is_invalid_input(), "{says}");
    assert!(
        says.contains("sharded cache \"cache\"") && says.contains("3 shards"),
        "{says}"
    );
    assert!(options(4).find(&store, "cache").is_err());
    let sharded = Cache::<u32, String>::options().sharded();
    let found = sharded.clone().find(&store, "cache").unwrap();
    assert_eq!(found.unwrap().shards(), 3);
    assert_eq!(sharded.new(&store, "another").unwrap().shards(), 8);
    // It is another kind than a cache.
    let plain = Cache::<u32, String>::new(&store, "cache");
    assert!(plain.unwrap_err().is_wrong_kind());
}

#[test]
fn the_shards_are_together_within_the_limits() {
    let (_directory, store) = store();
    let cache = options(3)
        .max_bytes(20_000)
        .max_entries(100)
        .new(&store, "cache")
        .unwrap();
    for key in 0..1000 {
        cache.insert(&key, "a").unwrap();
        let stats = cache.stats().unwrap();
        assert!(stats.bytes <= 20_000 && stats.entries <= 100, "{stats:?}");
    }
    assert!(cache.len().unwrap() > 90, "all of them are filled");
    let large = cache.insert(&1, &"a".repeat(8000)).unwrap_err();
    assert!(large.is_full(), "{large}");
    assert!(large.to_string().contains("one of 3"), "{large}");
    cache.set_max_bytes(Some(30_000)).unwrap();
    cache.insert(&1, &"a".repeat(8000)).unwrap();

    // They are the same for all handles, and after all.
    let other = options(3).new(&store, "cache").unwrap();
    assert_eq!(other.max_bytes().unwrap(), Some(30_000));
    other.set_max_entries(Some(10)).unwrap();
    assert!(cache.len().unwrap() <= 10);
    (2000..2100).for_each(|key| cache.insert(&key, "a").unwrap());
    assert!(cache.len().unwrap() <= 10);
    let few = cache.set_max_entries(Some(2)).unwrap_err();
    assert!(few.is_invalid_input(), "{few}");
    assert!(options(3).max_entries(2).new(&store, "new").is_err());
    let differs = options(3).max_entries(11).new(&store, "cache");
    assert!(differs.unwrap_err().is_invalid_input());
    cache.set_policy(Policy::Refuse).unwrap();
    assert_eq!(other.policy().unwrap(), Policy::Refuse);
    let full = (0..100).find_map(|key| other.insert(&key, "b").err());
    assert!(full.unwrap().is_full());
}

#[test]
fn keys_are_in_order_over_all_shards_from_both_ends() {
    let (_directory, store) = store();
    let cache = options(5).new(&store, "cache").unwrap();
    cache
        .insert_many((0..600).map(|n| (n, n.to_string())), Terms::default())
        .unwrap();
    let large = "x".repeat(INLINE + 1);
    cache.insert(&300, &large).unwrap();
    cache.insert_with(&7, "gone", Duration::ZERO).unwrap();
    let mut expected: Vec<_> = (0..600).filter(|&n| n != 7).collect();
    let all = || cache.range_keys::<u32, _>(..);
    assert_eq!(all().collect::<Result<Vec<_>, _>>().unwrap(), expected);
    // From both ends in turn: they meet in the middle, and nothing comes twice.
    let (mut both, mut front, mut back) = (cache.range(100..500), Vec::new(), Vec::new());
    for n in 0.. {
        let next = match n % 3 {
            0 => both.next_back().map(|entry| back.push(entry.unwrap())),
            _ => both.next().map(|entry| front.push(entry.unwrap())),
        };
        if next.is_none() {
            break;
        }
    }
    assert!(both.next().is_none() && both.next_back().is_none());
    front.extend(back.into_iter().rev());
    assert_eq!(
        front.iter().map(|(key, _)| *key).collect::<Vec<_>>(),
        (100..500).collect::<Vec<_>>()
    );
    assert!(front[200].1 == large && front[201].1 == "301");
    let mut keys: Vec<_> = cache.keys().map(Result::unwrap).collect();
    let backwards: Vec<_> = cache.iter().rev().map(|entry| entry.unwrap().0).collect();
    assert!(backwards.iter().rev().eq(&keys));
    keys.sort_unstable();
    expected.sort_unstable();
    assert_eq!(keys, expected);

    let names = Cache::<(String, u32), u32>::options().shards(4);
    let names = names.new(&store, "names").unwrap();
    for name in ["ada", "alan"] {
        (0..50).for_each(|n| names.insert(&(name, n), &n).unwrap());
    }
    let alan: Vec<_> = names.prefix(&("alan",)).map(|e| e.unwrap().1).collect();
    assert_eq!(alan, (0..50).collect::<Vec<_>>());
}

/// A value that can't be read is an error in its place, and never a miss.
#[test]
fn what_cannot_be_read_is_an_error_in_its_place() {
    let (_directory, store) = store();
    let cache = options(3).new(&store, "cache").unwrap();
    (0..20).for_each(|key| cache.insert(&key, "text").unwrap());
    let as_numbers = Cache::<u32, u64>::options().sharded();
    let as_numbers = as_numbers.find(&store, "cache").unwrap().unwrap();
    assert!(as_numbers.get(&10).unwrap_err().is_codec());
    as_numbers.insert(&2, &2).unwrap();
    as_numbers.insert(&0, &0).unwrap();
    as_numbers.insert(&1, &1).unwrap();
    let mut range = as_numbers.range::<u32, _>(..);
    let first: Vec<_> = range.by_ref().take(3).map(|e| e.unwrap().0).collect();
    assert_eq!(first, [0, 1, 2]);
    let error = range.next().unwrap().unwrap_err();
    assert!(
        error.is_codec() && error.to_string().contains("key 3"),
        "{error}"
    );
    assert!(range.next().is_none() && range.next_back().is_none());
}

#[test]
fn many_at_once_come_back_in_their_order() {
    let (_directory, store) = store();
    let cache = options(4).new(&store, "cache").unwrap();
    let entries = (0..100).map(|n| (n, n.to_string()));
    cache.insert_many(entries, 60 * SECOND).unwrap();
    let keys: Vec<u32> = (0..120).rev().collect();
    let found = cache.get_many(&keys).unwrap();
    for (key, value) in keys.iter().zip(found) {
        assert_eq!(value, (*key < 100).then(|| key.to_string()));
    }
    assert_eq!(cache.remove_many(&keys[..60]).unwrap(), 40);
    let stats = cache.stats().unwrap();
    assert_eq!((stats.hits, stats.misses, stats.entries), (100, 20, 60));
    cache.clear().unwrap();
    assert!(cache.is_empty().unwrap());
}

#[test]
fn one_computes_in_whichever_shard() {
    let (_directory, store) = store();
    let cache = Cache::<u32, u32>::options()
        .shards(3)
        .new(&store, "cache")
        .unwrap();
    let values = (0..20).map(|n| cache.memoize(&n, 60 * SECOND, || n * n).unwrap());
    assert!(values.eq((0..20).map(|n| n * n)));
    assert_eq!(cache.memoize(&7, 60 * SECOND, || 0).unwrap(), 49);
    let again = cache.try_memoize(&30, Fresh::forever(), || {
        cache.memoize(&30, Fresh::forever(), || 0)
    });
    assert!(again.unwrap_err().is_deadlock());
    let function = Memoized::new(cache, 60 * SECOND, |n: &u32| Ok::<_, Error>(n + 1));
    assert_eq!(function.call(&50).unwrap(), 51);
    assert!(function.invalidate(&50).unwrap());
}

#[test]
fn resharding_keeps_all_that_is_known() {
    for policy in [Policy::Sieve, Policy::LeastFrequentlyUsed] {
        let (_directory, store) = store();
        let clock = ManualClock::new();
        let open = |shards: Option<u32>| {
            let options = Cache::<u32, String>::options().clock(clock.clone());
            match shards {
                Some(shards) => options
                    .max_entries(100_000)
                    .policy(policy)
                    .shards(shards)
                    .new(&store, "cache")
                    .unwrap(),
                None => options.sharded().find(&store, "cache").unwrap().unwrap(),
            }
        };
        let cache = open(Some(2));
        for key in 0..700_u32 {
            let terms = match key % 5 {
                0 => Terms::from(1000 * SECOND).tag("a"),
                1 => Terms::default().idle(1000 * SECOND).cost(u64::from(key)),
                2 => Terms::from(SECOND),
                _ => Terms::default().tag((key % 7).to_string()),
            };
            cache.insert_with(&key, &key.to_string(), terms).unwrap();
        }
        cache.insert(&3, &"x".repeat(2 * INLINE)).unwrap();
        let fresh = Fresh::for_(100 * SECOND).stale_for(1000 * SECOND);
        cache
            .memoize(&1000, fresh.clone(), || "old".into())
            .unwrap();
        clock.advance(10 * SECOND);
        clock.step_wall(3600);
        for key in (0..700).filter(|key| key % 3 == 0) {
            cache.get(&key).unwrap();
        }
        let known = |cache: &ShardedCache<u32, String>| {
            let keys = cache.range_keys::<u32, _>(..).map(Result::unwrap);
            keys.map(|key| (key, cache.get_with_meta(&key).unwrap().unwrap()))
                .collect::<BTreeMap<_, _>>()
        };
        cache.expire().unwrap();
        // Asking what is known is a read, which is written down with the last handle: after the first time it changes nothing.
        known(&cache);
        drop(cache);
        let mut cache = open(None);
        let (before, stats) = (known(&cache), cache.stats().unwrap());
        for shards in [5, 1, 3] {
            cache = cache.reshard(shards).unwrap();
            assert_eq!(cache.shards(), shards as usize);
            assert_eq!(known(&cache), before);
            let now = cache.stats().unwrap();
            assert_eq!((now.entries, now.bytes), (stats.entries, stats.bytes));
            assert!(now.hits >= stats.hits && now.expired == stats.expired);
            assert_eq!(sets(&store), 1);
        }
        // Due, and the old one is still given.
        clock.advance(95 * SECOND);
        let refreshed = cache.memoize(&1000, fresh, || "new".into()).unwrap();
        assert_eq!(refreshed, "new");
        assert_eq!(cache.evict_tag("a").unwrap(), 140);
    }
}

#[test]
fn a_policy_knows_after_resharding_what_was_read() {
    for policy in [
        Policy::Sieve,
        Policy::LeastRecentlyUsed,
        Policy::LeastFrequentlyUsed,
    ] {
        let (_directory, store) = store();
        let clock = ManualClock::new();
        let options = || Cache::<u32, u32>::options().clock(clock.clone());
        let cache = options().max_entries(1000).policy(policy).shards(3);
        let cache = cache.new(&store, "cache").unwrap();
        let keys = || 0..100_u32;
        keys().for_each(|key| cache.insert(&key, &key).unwrap());
        clock.advance(SECOND);
        clock.step_wall(3600);
        let read = |key: &u32| key.is_multiple_of(4);
        keys()
            .filter(read)
            .for_each(|key| assert!(cache.get(&key).unwrap().is_some()));
        let cache = cache.reshard(1).unwrap();
        assert!(cache.keys().map(Result::unwrap).filter(read).count() == 25);
        clock.advance(SECOND);
        cache.set_max_entries(Some(25)).unwrap();
        let kept: Vec<_> = cache.range_keys::<u32, _>(..).map(Result::unwrap).collect();
        assert_eq!(kept, keys().filter(read).collect::<Vec<_>>(), "{policy:?}");
    }
}

#[test]
fn resharding_is_refused_while_others_have_it_open() {
    let (_directory, store) = store();
    let hasty = store.with_timeout(Duration::from_millis(500));
    let cache = options(2).max_entries(100).new(&hasty, "cache").unwrap();
    cache.insert(&1, "a").unwrap();
    let clone = cache.clone();
    assert!(cache.reshard(3).unwrap_err().is_misuse());
    let other = options(2).new(&hasty, "cache").unwrap();
    let error = clone.reshard(3).unwrap_err();
    assert!(error.is_timeout(), "{error}");
    let upkeep = other.upkeep(SECOND).unwrap();
    assert!(other.reshard(3).unwrap_err().is_misuse());
    drop(upkeep);
    // The thread has it open until it ends.
    eventually(PATIENCE, || {
        let cache = options(2).new(&hasty, "cache").unwrap();
        match cache.reshard(101) {
            Err(error) if error.is_timeout() => false,
            resharded => resharded.unwrap_err().is_invalid_input(),
        }
    });
    let cache = options(2).new(&store, "cache").unwrap();
    assert_eq!(cache.get(&1).unwrap().as_deref(), Some("a"));
    let cache = cache.reshard(100).unwrap();
    assert_eq!(cache.get(&1).unwrap().as_deref(), Some("a"));
}

/// The databases of the shards.
fn shards(store: &Store, cache: &ShardedCache<u32, String>) -> Vec<Store> {
    let sets = store.sets_of_shards().unwrap();
    let count = u32::try_from(cache.shards()).unwrap();
    store.shards(sets[0], count).unwrap()
}

/// Who is killed while he changes limits leaves some shards with the former ones: those were theirs for ever, and a limit of all
/// together held for nobody.
#[test]
fn a_shard_with_other_limits_gets_its_own_when_it_is_opened() {
    let (_directory, store) = store();
    let cache = options(2).max_entries(100).new(&store, "cache").unwrap();
    let shard = &shards(&store, &cache)[0];
    let alone = Cache::<u32, String>::new(shard, "cache").unwrap();
    assert_eq!(alone.max_entries().unwrap(), Some(50));
    alone.set_max_entries(Some(1000)).unwrap();
    alone.set_policy(Policy::Refuse).unwrap();
    (0..200).for_each(|key| cache.insert(&key, "a").unwrap());
    assert!(cache.len().unwrap() > 100);
    let cache = options(2).new(&store, "cache").unwrap();
    assert!(cache.len().unwrap() <= 100);
    assert_eq!(alone.max_entries().unwrap(), Some(50));
    assert_eq!(alone.policy().unwrap(), Policy::Sieve);
}

#[test]
fn a_damaged_value_is_named_and_nothing_is_resharded() {
    let (_directory, store) = in_directory();
    let cache = options(2).new(&store, "cache").unwrap();
    (0..20).for_each(|key| cache.insert(&key, "a").unwrap());
    cache.insert(&7, &"x".repeat(2 * INLINE)).unwrap();
    let stores = shards(&store, &cache);
    let files = stores
        .iter()
        .flat_map(|shard| files_below(&shard.path().join("values")));
    let [file] = files.collect::<Vec<_>>().try_into().unwrap();
    let mut bytes = std::fs::read(&file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&file, &bytes).unwrap();
    drop(stores);
    let error = cache.reshard(3).unwrap_err();
    assert!(
        error.is_corrupt() && error.to_string().contains("at the key 7"),
        "{error}"
    );
    assert_eq!(sets(&store), 1);
    let cache = options(2).new(&store, "cache").unwrap();
    assert!(cache.get(&7).unwrap_err().is_corrupt());
    assert!(cache.delete(&7).unwrap());
    assert_eq!(cache.reshard(3).unwrap().len().unwrap(), 19);
}

#[test]
fn one_that_was_removed_says_so_and_leaves_nothing() {
    let (_directory, store) = store();
    let cache = options(3).new(&store, "cache").unwrap();
    cache.insert(&1, "a").unwrap();
    assert!(store.remove_structure("cache").unwrap());
    assert!(cache.get(&1).unwrap_err().is_removed());
    assert!(cache.insert(&1, "b").unwrap_err().is_removed());
    assert!(cache.len().unwrap_err().is_removed());
    assert!(cache.max_bytes().unwrap_err().is_removed());
    assert!(cache.iter().next().unwrap().unwrap_err().is_removed());
    let mut range = cache.range::<u32, _>(..);
    assert!(range.next().unwrap().unwrap_err().is_removed());
    assert!(range.next().is_none());
    assert_eq!(sets(&store), 0);
    // Another of its name has nothing to do with it.
    let other = options(2).new(&store, "cache").unwrap();
    assert_eq!(other.get(&1).unwrap(), None);
    assert!(cache.get(&1).unwrap_err().is_removed());
    assert_eq!(sets(&store), 1);
}

#[test]
fn who_may_only_read_finds_all() {
    let (_directory, store) = store();
    let path = store.path().to_owned();
    let cache = options(3).max_entries(1000).new(&store, "cache").unwrap();
    (0..50).for_each(|n| cache.insert(&n, &n.to_string()).unwrap());
    drop((cache, store));
    let store = Store::options().read_only(true).open(&path).unwrap();
    let cache = Cache::<u32, String>::options().sharded();
    let cache = cache.find(&store, "cache").unwrap().unwrap();
    assert_eq!(cache.get(&7).unwrap().as_deref(), Some("7"));
    assert_eq!(cache.range_keys::<u32, _>(..).count(), 50);
    assert_eq!(cache.max_entries().unwrap(), Some(1000));
    assert!(cache.insert(&1, "a").unwrap_err().is_read_only());
    assert!(cache.reshard(2).unwrap_err().is_read_only());
}

#[test]
fn streams_lie_in_the_shard_of_their_key() {
    let (_directory, store) = store();
    let films = Cache::<u32, Stream>::options()
        .shards(3)
        .new(&store, "films")
        .unwrap();
    for key in 0..10_u8 {
        let film = vec![key; INLINE + 1];
        films
            .write(&u32::from(key), film.as_slice(), Expiry::Never)
            .unwrap();
    }
    let mut reader = films.read(&7).unwrap().unwrap();
    let mut film = Vec::new();
    let films = films.reshard(2).unwrap();
    reader.read_to_end(&mut film).unwrap();
    assert!(film == vec![7; INLINE + 1], "it reads on");
    film.clear();
    films
        .read(&9)
        .unwrap()
        .unwrap()
        .read_to_end(&mut film)
        .unwrap();
    assert!(film == vec![9; INLINE + 1]);
    assert_eq!(store.stats().unwrap().value_files, 10);
}

#[derive(Clone, Debug)]
enum Step {
    Insert(u8, u8, Option<u16>),
    Remove(u8),
    Increment(u8, u8),
    GetMany(Vec<u8>),
    EvictTag(u8),
    Wait(u16),
    Reopen,
    Reshard(u32),
}

fn step() -> impl Strategy<Value = Step> {
    let key = || 0_u8..20;
    prop_oneof![
        8 => (key(), any::<u8>(), proptest::option::of(0_u16..50))
            .prop_map(|(k, v, t)| Step::Insert(k, v, t)),
        3 => key().prop_map(Step::Remove),
        3 => (key(), 0_u8..3).prop_map(|(k, n)| Step::Increment(k, n)),
        2 => vec(key(), 0..8).prop_map(Step::GetMany),
        1 => (0_u8..4).prop_map(Step::EvictTag),
        3 => (0_u16..40).prop_map(Step::Wait),
        1 => Just(Step::Reopen),
        1 => (1_u32..5).prop_map(Step::Reshard),
    ]
}

/// Values, and when they expire, in milliseconds since the beginning; the tag of a value is its remainder by 4.
type Model = BTreeMap<u8, (u64, Option<u64>)>;

fn run(steps: Vec<Step>, path: &Path) -> Result<(), Error> {
    let clock = ManualClock::new();
    let store = Store::open(path)?;
    let open = |options: CacheOptions<u8, u64>| {
        let options = options.clock(clock.clone());
        options.sharded().new(&store, "cache")
    };
    drop(
        Cache::<u8, u64>::options()
            .clock(clock.clone())
            .shards(3)
            .new(&store, "cache")?,
    );
    let (mut cache, mut model, mut now) = (open(Cache::options())?, Model::new(), 0);
    for step in steps {
        model.retain(|_, (_, expires)| expires.is_none_or(|expires| expires > now));
        match step {
            Step::Insert(key, value, expires) => {
                let terms = Terms::default().tag((value % 4).to_string());
                let terms = match expires {
                    Some(millis) => terms.expiry(Duration::from_millis(millis.into())),
                    None => terms,
                };
                let value = u64::from(value);
                let before = cache.replace(&key, &value, terms)?;
                let expires = expires.map(|millis| now + u64::from(millis));
                let known = model.insert(key, (value, expires));
                assert_eq!(before, known.map(|(value, _)| value));
            }
            Step::Remove(key) => {
                assert_eq!(
                    cache.remove(&key)?,
                    model.remove(&key).map(|(value, _)| value)
                );
            }
            Step::Increment(key, by) => {
                // In fours, so that the tag stays true; one that is new has none.
                let by = 4 * u64::from(by);
                if let Some((value, _)) = model.get_mut(&key) {
                    *value += by;
                    assert_eq!(cache.increment(&key, i64::try_from(by).unwrap())?, *value);
                }
            }
            Step::GetMany(keys) => {
                let known = |key| model.get(key).map(|(value, _)| *value);
                let known: Vec<_> = keys.iter().map(known).collect();
                assert_eq!(cache.get_many(&keys)?, known);
            }
            Step::EvictTag(tag) => {
                cache.evict_tag(&tag.to_string())?;
                model.retain(|_, (value, _)| *value % 4 != u64::from(tag));
            }
            Step::Wait(millis) => {
                clock.advance(Duration::from_millis(millis.into()));
                now += u64::from(millis);
            }
            Step::Reopen => {
                drop(cache);
                cache = open(Cache::options())?;
            }
            Step::Reshard(shards) => cache = cache.reshard(shards)?,
        }
        model.retain(|_, (_, expires)| expires.is_none_or(|expires| expires > now));
        let known: Vec<_> = model
            .iter()
            .map(|(key, (value, _))| (*key, *value))
            .collect();
        let range = |cache: &ShardedCache<u8, u64>| cache.range::<u8, _>(..);
        assert_eq!(range(&cache).collect::<Result<Vec<_>, _>>()?, known);
        let backwards = range(&cache).rev().collect::<Result<Vec<_>, _>>()?;
        assert!(backwards.iter().rev().eq(&known));
        assert_eq!(cache.len()?, known.len());
        let mut all = cache.iter().collect::<Result<Vec<_>, _>>()?;
        all.sort_unstable();
        assert_eq!(all, known);
    }
    assert_eq!(sets(&store), 1);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(if cfg!(debug_assertions) { 20 } else { 200 })))]

    #[test]
    fn it_is_a_map_that_forgets(steps in vec(step(), 1..40)) {
        run(steps, Place::new().path()).unwrap();
    }
}
