//! What a user of a cache relies on, beyond what `model.rs` compares step by step.
#![allow(clippy::unwrap_used)]

use std::io::Read;
use std::time::{Duration, UNIX_EPOCH};

use diskette_cache::{
    Cache, CacheOptions, Expiry, ManualClock, Policy, Reach, Shards, Stream, Terms,
};
use diskette_store::{Content, Error, INLINE, Json, MessagePack, Store, StreamReader};
use diskette_testkit::{PATIENCE, Place, eventually};

const SECOND: Duration = Duration::from_secs(1);

fn store() -> (Place, Store) {
    Place::new().with(|path| Store::open(path))
}

/// For what looks into its files.
fn in_directory() -> (Place, Store) {
    Place::directory().with(|path| Store::open(path))
}

/// Where the entries are: what doesn't depend on that is tested both ways.
trait Way {
    type Reach: Reach<Access = Store> + Clone + Send + Sync + 'static;

    fn new<K, V: Content<MessagePack>>(
        options: CacheOptions<K, V>,
        store: &Store,
    ) -> Cache<K, V, MessagePack, Self::Reach>;
}

struct Together;

struct Spread;

impl Way for Together {
    type Reach = Store;

    fn new<K, V: Content<MessagePack>>(
        options: CacheOptions<K, V>,
        store: &Store,
    ) -> Cache<K, V, MessagePack, Store> {
        options.new(store, "cache").unwrap()
    }
}

impl Way for Spread {
    type Reach = Shards;

    fn new<K, V: Content<MessagePack>>(
        options: CacheOptions<K, V>,
        store: &Store,
    ) -> Cache<K, V, MessagePack, Shards> {
        options.shards(3).new(store, "cache").unwrap()
    }
}

/// Makes two tests of a function that is generic over the [`Way`].
macro_rules! both_ways {
    ($($name:ident)*) => {$(
        mod $name {
            #[test]
            fn together() {
                super::$name::<super::Together>();
            }

            #[test]
            fn spread() {
                super::$name::<super::Spread>();
            }
        }
    )*};
}

both_ways! {
    what_is_read_again_in_time_stays
    expiry_goes_by_no_clock_that_is_set
    hits_and_misses_are_counted_over_all_handles
    integers_count_and_keep_their_terms
    each_method_finds_what_another_has_left
    one_upkeep_of_several_removes_what_has_expired
}

fn keys<V>(cache: &Cache<u32, V>) -> Vec<u32> {
    cache.keys().collect::<Result<_, _>>().unwrap()
}

/// A cache of at most four entries, of which 0, 1, 2, 3 are there, stored a second apart.
fn four(store: &Store, policy: Policy) -> (Cache<u32, String>, ManualClock) {
    let clock = ManualClock::new();
    let options = Cache::options().max_entries(4).policy(policy);
    let cache = options.clock(clock.clone()).new(store, "four").unwrap();
    for key in 0..4 {
        cache.insert(&key, "a").unwrap();
        clock.advance(SECOND);
    }
    (cache, clock)
}

#[test]
fn the_least_recently_stored_makes_room() {
    let (_directory, store) = store();
    let (cache, _clock) = four(&store, Policy::LeastRecentlyStored);
    cache.get(&1).unwrap();
    cache.insert(&0, "b").unwrap();
    cache.insert(&4, "a").unwrap();
    assert_eq!(keys(&cache), [0, 2, 3, 4]);
    assert_eq!(cache.stats().unwrap().evicted, 1);
}

#[test]
fn the_least_recently_used_makes_room() {
    let (_directory, store) = store();
    let (cache, clock) = four(&store, Policy::LeastRecentlyUsed);
    for key in [0, 2] {
        cache.get(&key).unwrap();
        clock.advance(SECOND);
    }
    cache.insert(&4, "a").unwrap();
    cache.insert(&5, "a").unwrap();
    assert_eq!(keys(&cache), [0, 2, 4, 5]);
}

#[test]
fn the_least_frequently_used_makes_room() {
    let (_directory, store) = store();
    let (cache, clock) = four(&store, Policy::LeastFrequentlyUsed);
    for key in [0, 0, 1, 3, 3, 3] {
        cache.get(&key).unwrap();
        clock.advance(SECOND);
    }
    for key in 4..10 {
        cache.insert(&key, "a").unwrap();
    }
    assert_eq!(
        keys(&cache),
        [0, 1, 3, 9],
        "what is new isn't the first to go"
    );
}

/// A lower limit took what lived, and left what had expired.
#[test]
fn what_has_expired_makes_room_for_what_lives() {
    let (_directory, store) = store();
    let (cache, clock) = four(&store, Policy::LeastRecentlyStored);
    cache.touch(&3, SECOND).unwrap();
    clock.advance(SECOND);
    cache.set_max_entries(Some(3)).unwrap();
    assert_eq!(keys(&cache), [0, 1, 2]);
}

/// An entry that was read, and updated later, was ranked by the time when it was read.
#[test]
fn another_policy_goes_by_the_latest_use_whether_read_or_write() {
    let (_directory, store) = store();
    let (cache, clock) = four(&store, Policy::LeastRecentlyUsed);
    cache.get(&0).unwrap();
    drop(cache);
    let options = Cache::<u32, String>::options().clock(clock.clone());
    let cache = options.new(&store, "four").unwrap();
    for key in [2, 3, 0] {
        clock.advance(SECOND);
        cache.update(&key, |_| Some("b".into())).unwrap();
    }
    cache.set_policy(Policy::LeastFrequentlyUsed).unwrap();
    cache.set_max_entries(Some(2)).unwrap();
    assert_eq!(keys(&cache), [0, 3]);
}

/// Reads of an entry that was gone were counted for the one that had got its place.
#[test]
fn what_was_read_before_an_entry_was_there_is_not_counted_for_it() {
    let (_directory, store) = store();
    let (cache, clock) = four(&store, Policy::LeastFrequentlyUsed);
    (0..9).for_each(|_| drop(cache.get(&3).unwrap()));
    cache.remove(&3).unwrap();
    clock.advance(SECOND);
    cache.insert(&4, "a").unwrap();
    clock.advance(SECOND);
    for key in [0, 0, 1, 1, 2, 2, 4] {
        cache.get(&key).unwrap();
    }
    cache.insert(&5, "a").unwrap();
    assert_eq!(keys(&cache), [0, 1, 2, 5]);
}

#[test]
fn sieve_keeps_what_was_read_through_a_scan() {
    let (_directory, store) = store();
    let (cache, clock) = four(&store, Policy::Sieve);
    for key in [1, 3] {
        cache.get(&key).unwrap();
    }
    for key in 100..200 {
        clock.advance(SECOND);
        cache.insert(&key, "once").unwrap();
        for key in [1, 3] {
            cache.get(&key).unwrap();
        }
    }
    let kept = keys(&cache);
    assert_eq!(kept.len(), 4);
    assert!(kept.contains(&1) && kept.contains(&3), "{kept:?}");
}

/// Places are given again, and the hand of SIEVE stays beyond none: else the newest would be taken for the next.
#[test]
fn sieve_takes_the_oldest_of_those_that_have_the_places_of_others() {
    let (_directory, store) = store();
    let (cache, _) = four(&store, Policy::Sieve);
    let insert = |key| cache.insert(&key, "a").unwrap();
    (4..6).for_each(insert);
    assert_eq!(keys(&cache), [2, 3, 4, 5]);
    for key in 2..6 {
        assert!(cache.delete(&key).unwrap());
    }
    (6..11).for_each(insert);
    assert_eq!(keys(&cache), [7, 8, 9, 10]);
}

#[test]
fn where_nothing_is_evicted_what_does_not_fit_is_refused() {
    let (_directory, store) = store();
    let (cache, clock) = four(&store, Policy::Refuse);
    let full = cache.insert(&4, "a").unwrap_err();
    assert!(full.is_full(), "{full}");
    cache.insert(&3, "b").unwrap();
    cache.touch(&0, SECOND).unwrap();
    clock.advance(SECOND);
    cache.insert(&4, "a").unwrap();
    assert_eq!(keys(&cache), [1, 2, 3, 4]);

    // A refusal within a transaction leaves that as it was.
    store
        .transaction(|tx| {
            let cache = cache.within(tx);
            assert!(cache.insert(&5, "a").unwrap_err().is_full());
            cache.insert(&4, "c")
        })
        .unwrap();
    assert_eq!(cache.get(&4).unwrap().as_deref(), Some("c"));
}

#[test]
fn it_frees_until_it_fits_whatever_the_sizes() {
    let (_directory, store) = store();
    let limit = 2_000_000;
    let cache = Cache::<u32, Vec<u8>>::options()
        .max_bytes(limit)
        .new(&store, "sizes")
        .unwrap();
    let fits = |cache: &Cache<u32, Vec<u8>>| {
        let stats = cache.stats().unwrap();
        assert!(stats.bytes <= limit, "{stats:?}");
        stats
    };
    for key in 0..8_000 {
        cache.insert(&key, [0; 100].as_slice()).unwrap();
    }
    assert!(fits(&cache).entries > 5_000);
    // Thousands of small ones make room for a large one, that is a file, and that for small ones again.
    cache
        .insert(&10_000, vec![1; 1_900_000].as_slice())
        .unwrap();
    assert!(fits(&cache).entries < 600);
    assert_eq!(store.stats().unwrap().value_files, 1);
    for key in 20_000..22_000 {
        cache.insert(&key, [0; 100].as_slice()).unwrap();
        fits(&cache);
    }
    assert_eq!(store.stats().unwrap().value_files, 0);
    let counted = fits(&cache).bytes;
    // What was counted along the way is what there is.
    cache.set_max_bytes(None).unwrap();
    assert_eq!(cache.stats().unwrap().bytes, counted);

    let huge = cache.insert(&1, [0; 100].as_slice()).and_then(|()| {
        cache.set_max_bytes(Some(limit))?;
        cache.insert(&1, vec![0; 2_000_000].as_slice())
    });
    let huge = huge.unwrap_err();
    assert!(
        huge.is_full() && huge.to_string().contains("set_max_bytes"),
        "{huge}"
    );
    assert!(cache.contains_key(&1).unwrap(), "nothing was changed");
    assert_eq!(store.check().unwrap().problems, []);
}

#[test]
fn limits_are_recorded_and_changed_for_all() {
    let (_directory, store) = store();
    let options = || Cache::<u32, String>::options().max_entries(100);
    let cache = options().new(&store, "cache").unwrap();
    let other = Cache::<u32, String>::new(&store, "cache").unwrap();
    assert_eq!(other.max_entries().unwrap(), Some(100));
    assert_eq!(other.policy().unwrap(), Policy::Sieve);
    let differs = Cache::<u32, String>::options()
        .max_entries(7)
        .new(&store, "cache");
    assert!(differs.unwrap_err().is_invalid_input());
    options().new(&store, "cache").unwrap();

    for key in 0..200 {
        cache.insert(&key, "a").unwrap();
    }
    assert_eq!(cache.len().unwrap(), 100);
    other.set_max_entries(Some(10)).unwrap();
    assert_eq!(cache.len().unwrap(), 10);
    cache.insert(&500, "a").unwrap();
    assert_eq!(cache.len().unwrap(), 10, "the other handle knows");
    other.set_policy(Policy::LeastRecentlyStored).unwrap();
    other.set_max_entries(None).unwrap();
    for key in 0..200 {
        cache.insert(&key, "a").unwrap();
    }
    assert_eq!(cache.len().unwrap(), 201);

    // One that is undone changes nothing, also for who looked meanwhile.
    let undone = store.transaction(|tx| {
        cache.within(tx).set_max_entries(Some(1))?;
        cache.within(tx).insert(&600, "a")?;
        assert_eq!(cache.within(tx).len()?, 1);
        Err::<(), _>(store.remove_structure("").unwrap_err())
    });
    assert!(undone.is_err());
    cache.insert(&600, "a").unwrap();
    assert_eq!(cache.len().unwrap(), 202);
    assert!(cache.set_max_bytes(Some(0)).unwrap_err().is_invalid_input());
}

fn what_is_read_again_in_time_stays<W: Way>() {
    let (_directory, store) = store();
    let clock = ManualClock::new();
    let options: CacheOptions<u32, u32> = Cache::options();
    let cache = W::new(options.clock(clock.clone()), &store);
    cache
        .insert_with(&1, &1, Terms::default().idle(10 * SECOND))
        .unwrap();
    cache
        .insert_with(&2, &2, Terms::default().idle(10 * SECOND))
        .unwrap();
    for _ in 0..5 {
        clock.advance(6 * SECOND);
        assert_eq!(cache.get(&1).unwrap(), Some(1));
        // The read is written down in the background.
        let until = || cache.get_with_meta(&1).unwrap().unwrap().expires.unwrap();
        let now = clock_wall(&clock);
        eventually(PATIENCE, || until() >= now + 9 * SECOND);
    }
    assert_eq!(cache.get(&2).unwrap(), None);
    clock.advance(10 * SECOND);
    assert_eq!(cache.get(&1).unwrap(), None);
}

fn clock_wall(clock: &ManualClock) -> std::time::SystemTime {
    use diskette_cache::Clock;
    UNIX_EPOCH + clock.read().wall
}

fn expiry_goes_by_no_clock_that_is_set<W: Way>() {
    let (_directory, store) = store();
    let clock = ManualClock::new();
    let options = || Cache::<u32, u32>::options().clock(clock.clone());
    let cache = W::new(options(), &store);
    cache.insert_with(&1, &1, 10 * SECOND).unwrap();
    cache
        .insert_with(&2, &2, clock_wall(&clock) + 10 * SECOND)
        .unwrap();
    for step in [-86_400, 2 * 86_400] {
        clock.step_wall(step);
        assert_eq!(cache.len().unwrap(), 2);
    }
    clock.advance(9 * SECOND);
    assert_eq!(cache.len().unwrap(), 2);
    clock.advance(SECOND);
    assert_eq!(cache.len().unwrap(), 0);

    // Over a restart the time of day goes on.
    cache.insert_with(&3, &3, 100 * SECOND).unwrap();
    cache.expire().unwrap();
    clock.reboot();
    clock.advance(60 * SECOND);
    let cache = W::new(options(), &store);
    assert_eq!(cache.get(&3).unwrap(), Some(3));
    clock.advance(40 * SECOND);
    assert_eq!(cache.get(&3).unwrap(), None);
}

#[test]
fn what_has_expired_is_freed_in_passing() {
    let (_directory, store) = store();
    let clock = ManualClock::new();
    let options = Cache::<u32, u32>::options().clock(clock.clone());
    let cache = options.new(&store, "cache").unwrap();
    cache.insert_many((0..100).map(|n| (n, n)), SECOND).unwrap();
    clock.advance(SECOND);
    assert_eq!(
        (cache.len().unwrap(), cache.len_stored().unwrap()),
        (0, 100)
    );
    for key in 1000..1010 {
        cache.insert(&key, &0).unwrap();
    }
    assert_eq!(cache.len_stored().unwrap(), 10);
    assert_eq!(cache.stats().unwrap().expired, 100);

    // Who comes anew is at the end, though what was left of the old was still there.
    cache.insert_with(&7, &7, SECOND).unwrap();
    cache.insert_with(&8, &8, SECOND).unwrap();
    clock.advance(SECOND);
    cache.insert(&8, &0).unwrap();
    assert!(cache.insert_if_absent(&7, &0, Expiry::Never).unwrap());
    assert_eq!(&keys(&cache)[10..], [8, 7]);
}

fn hits_and_misses_are_counted_over_all_handles<W: Way>() {
    let (_directory, store) = store();
    let cache = W::new(Cache::<u32, u32>::options(), &store);
    cache.insert(&1, &1).unwrap();
    for key in [1, 1, 2] {
        cache.get(&key).unwrap();
    }
    let other = W::new(Cache::<u32, u32>::options(), &store);
    other.get_many([&1, &3]).unwrap();
    drop(cache);
    let stats = other.stats().unwrap();
    assert_eq!((stats.hits, stats.misses), (3, 2));
    assert_eq!((stats.hits_here, stats.misses_here), (1, 1));
}

fn integers_count_and_keep_their_terms<W: Way>() {
    let (_directory, store) = store();
    let clock = ManualClock::new();
    let options = Cache::<String, i8>::options().clock(clock.clone());
    let cache = W::new(options, &store);
    cache
        .insert_with("a", &100, Terms::from(10 * SECOND).tag("counts"))
        .unwrap();
    assert_eq!(cache.increment("a", 27).unwrap(), 127);
    let over = cache.increment("a", 1).unwrap_err();
    assert!(
        over.is_invalid_input() && over.to_string().contains("128"),
        "{over}"
    );
    assert_eq!(cache.increment("a", -255).unwrap(), -128);
    let meta = cache.get_with_meta("a").unwrap().unwrap();
    assert_eq!(meta.tag.as_deref(), Some("counts"));
    clock.advance(10 * SECOND);
    assert_eq!(cache.increment("a", -1).unwrap(), -1, "it begins anew");
    assert_eq!(cache.get_with_meta("a").unwrap().unwrap().expires, None);
}

#[test]
fn a_stream_stays_readable_when_it_is_evicted() {
    let (_directory, store) = in_directory();
    let options = Cache::<u32, Stream>::options().max_entries(1);
    let cache = options.new(&store, "films").unwrap();
    let film = |byte| vec![byte; 3 * INLINE];
    assert_eq!(
        cache.write(&1, film(1).as_slice(), SECOND * 60).unwrap(),
        3 * INLINE as u64
    );
    let mut reader = cache.read(&1).unwrap().unwrap();
    let on_disk = std::fs::read(reader.path()).unwrap();
    assert!(on_disk[usize::try_from(StreamReader::OFFSET).unwrap()..] == film(1));
    cache.write(&2, film(2).as_slice(), Expiry::Never).unwrap();
    assert!(cache.read(&1).unwrap().is_none());
    let mut read = Vec::new();
    reader.read_to_end(&mut read).unwrap();
    assert!(read == film(1));
    drop(reader);
    eventually(PATIENCE, || store.stats().unwrap().value_files == 1);
    assert_eq!(store.check().unwrap().problems, []);
}

#[test]
fn caches_of_one_store_know_nothing_of_each_other() -> Result<(), Error> {
    let (_directory, store) = store();
    let caches = ["a", "b"].map(|name| Cache::<u32, u32>::new(&store, name).unwrap());
    let json = Cache::<u32, u32>::options()
        .codec::<Json>()
        .new(&store, "json")?;
    for cache in &caches {
        cache.insert_with(&1, &1, Terms::default().tag("x"))?;
        cache.insert_with(&2, &2, Duration::ZERO)?;
    }
    json.insert(&1, &1)?;
    assert_eq!(caches[0].evict_tag("x")?, 1);
    assert_eq!(caches[0].expire()?, 1);
    assert_eq!(caches[1].tagged("x").count(), 1);
    assert_eq!(caches[1].len_stored()?, 2);
    caches[1].clear()?;
    assert_eq!(json.get(&1)?, Some(1));
    assert!(store.remove_structure("json")?);
    assert!(json.insert(&1, &1).unwrap_err().is_removed());
    assert!(json.get(&1).unwrap_err().is_removed());
    assert!(Cache::<u32, u32>::find(&store, "json")?.is_none());
    Ok(())
}

fn each_method_finds_what_another_has_left<W: Way>() {
    let (_directory, store) = store();
    let cache = W::new(Cache::<u32, String>::options(), &store);
    for key in 0..30 {
        assert!(cache.insert_if_absent(&key, "a", Expiry::Never).unwrap());
        assert!(!cache.insert_if_absent(&key, "b", Expiry::Never).unwrap());
        assert_eq!(
            cache
                .entry(&key)
                .and_modify(|v| v.push('b'))
                .or_default()
                .unwrap(),
            "ab"
        );
        assert_eq!(
            cache
                .update(&key, |v| v.map(|v| v + "c"))
                .unwrap()
                .as_deref(),
            Some("abc")
        );
        assert!(cache.compare_and_swap(&key, "abc", "d").unwrap());
        assert!(!cache.compare_and_swap(&key, None, "e").unwrap());
        assert_eq!(
            cache.get_or_insert_with(&key, SECOND, String::new).unwrap(),
            "d"
        );
        assert!(cache.touch(&key, 60 * SECOND).unwrap());
        let terms = Terms::from(60 * SECOND).tag((key % 3).to_string());
        assert_eq!(
            cache.replace(&key, "f", terms).unwrap().as_deref(),
            Some("d")
        );
        let meta = cache.get_with_meta(&key).unwrap().unwrap();
        assert_eq!(
            (meta.value.as_str(), meta.tag),
            ("f", Some((key % 3).to_string()))
        );
    }
    let large = "x".repeat(2 * INLINE);
    for key in 0..3 {
        cache.insert(&key, &large).unwrap();
    }
    assert_eq!(cache.tagged("1").count(), 9);
    assert_eq!(cache.evict_tag("1").unwrap(), 9);
    assert_eq!(cache.remove(&0).unwrap(), Some(large.clone()));
    assert!(cache.delete(&1).unwrap() && !cache.delete(&1).unwrap());
    assert_eq!(
        cache
            .values()
            .filter(|v| v.as_ref().unwrap() == &large)
            .count(),
        1
    );
    assert_eq!(
        (cache.len().unwrap(), (&cache).into_iter().count()),
        (19, 19)
    );
    assert_eq!(
        cache
            .range_keys(10..20)
            .map(Result::unwrap)
            .collect::<Vec<_>>(),
        [11, 12, 14, 15, 17, 18]
    );
    cache.clear().unwrap();
    assert!(cache.is_empty().unwrap());
}

fn one_upkeep_of_several_removes_what_has_expired<W: Way>() {
    let (_directory, store) = store();
    let clock = ManualClock::new();
    let options = || Cache::<u32, u32>::options().clock(clock.clone());
    let caches = [(); 3].map(|()| W::new(options(), &store));
    let every = Duration::from_millis(1);
    let mut upkeeps = caches
        .each_ref()
        .map(|cache| Some(cache.upkeep(every).unwrap()));
    for upkeep in &mut upkeeps {
        caches[0].insert_with(&1, &1, SECOND).unwrap();
        clock.advance(SECOND);
        eventually(PATIENCE, || caches[0].len_stored().unwrap() == 0);
        // Whichever it was, the next does it when it has ended.
        drop(upkeep.take());
    }
}

/// So often, that what is read from now on is kept in memory.
fn read_often(cache: &Cache<u32, String>) {
    for _ in 0..=100 {
        cache.contains_key(&99).unwrap();
    }
}

#[test]
fn what_is_read_from_memory_expires_and_counts() {
    let (_directory, store) = in_directory();
    let clock = ManualClock::new();
    let options = Cache::options().clock(clock.clone());
    let cache: Cache<u32, String> = options.new(&store, "cache").unwrap();
    read_often(&cache);
    cache.insert_with(&1, "one", 10 * SECOND).unwrap();
    let one = Some("one".to_owned());
    assert_eq!(cache.get(&1).unwrap(), one);
    let before = store.stats().unwrap().memory_hits;
    clock.advance(9 * SECOND);
    assert_eq!(cache.get(&1).unwrap(), one);
    assert_eq!(cache.get_many([&1]).unwrap(), [one]);
    assert!(cache.contains_key(&1).unwrap());
    clock.advance(SECOND);
    assert_eq!(cache.get(&1).unwrap(), None);
    assert_eq!(cache.get_many([&1]).unwrap(), [None]);
    assert!(!cache.contains_key(&1).unwrap());
    assert_eq!(store.stats().unwrap().memory_hits - before, 6);
    let stats = cache.stats().unwrap();
    assert_eq!((stats.hits_here, stats.misses_here), (3, 2));
}

#[test]
fn what_is_read_from_memory_is_used() {
    let (_directory, store) = in_directory();
    let (cache, clock) = four(&store, Policy::LeastRecentlyUsed);
    read_often(&cache);
    let before = store.stats().unwrap().memory_hits;
    for key in [0, 1, 2, 3, 0] {
        cache.get(&key).unwrap();
        clock.advance(SECOND);
    }
    assert_eq!(store.stats().unwrap().memory_hits - before, 1);
    cache.insert(&4, "a").unwrap();
    assert_eq!(keys(&cache), [0, 2, 3, 4]);
}

/// As many reads as make somebody look whether others evict.
fn read_much(cache: &Cache<u32, String>, key: u32) {
    for _ in 0..2000 {
        cache.get(&key).unwrap();
    }
}

/// Once all that was put off until now is done.
fn in_background(store: &Store) {
    let (done, is_done) = std::sync::mpsc::channel();
    store.in_background(move |_| done.send(()).unwrap());
    is_done.recv_timeout(PATIENCE).unwrap();
}

/// A thousand reads were written down, in a commit that took from memory all that was read before: under LRU and LFU reads took
/// half as long again.
#[test]
fn reads_are_written_down_when_others_evict_or_a_minute_is_over() {
    for policy in [
        Policy::Sieve,
        Policy::LeastRecentlyUsed,
        Policy::LeastFrequentlyUsed,
    ] {
        let (_directory, store) = store();
        let (here, clock) = four(&store, policy);
        let options = Cache::<u32, String>::options().clock(clock.clone());
        let there = options.new(&store, "four").unwrap();
        let used = || there.get_with_meta(&1).unwrap().unwrap().used;
        let stored = used();

        for _ in 0..10 {
            clock.advance(4 * SECOND);
            read_much(&here, 1);
            in_background(&store);
        }
        assert_eq!(used(), stored, "{policy:?}: nobody has to know");
        there.insert(&4, "a").unwrap();
        clock.advance(SECOND);
        read_much(&here, 1);
        in_background(&store);
        assert!(used() > stored, "{policy:?}");
        assert!(there.contains_key(&1).unwrap(), "{policy:?}");

        there.insert(&9, "a").unwrap();
        drop((here, there));
        let (here, there) = [0, 1]
            .map(|_| {
                let options = Cache::<u32, String>::options().clock(clock.clone());
                options.new(&store, "four").unwrap()
            })
            .into();
        let used = || there.get_with_meta(&9).unwrap().unwrap().used;
        let stored = used();
        clock.advance(61 * SECOND);
        here.get(&9).unwrap();
        eventually(PATIENCE, || used() > stored);
    }
}

/// Who has read much more than can be written down in one turn evicts as if all of it were.
#[test]
fn the_next_to_go_are_known_whatever_was_read() {
    let (_directory, store) = store();
    let clock = ManualClock::new();
    let options = Cache::<u32, ()>::options().max_entries(1500);
    let options = options.policy(Policy::LeastRecentlyUsed);
    let cache = options.clock(clock.clone()).new(&store, "cache").unwrap();
    let entries = (0..1500).map(|n| (n, ()));
    cache.insert_many(entries, Terms::default()).unwrap();
    clock.advance(SECOND);
    for key in (0..1500).filter(|&key| key != 1100) {
        cache.get(&key).unwrap();
        clock.advance(SECOND / 1000);
    }
    for (new, gone) in [(2000, 1100), (2001, 0), (2002, 1)] {
        cache.insert(&new, &()).unwrap();
        assert!(!cache.contains_key(&gone).unwrap(), "{gone}");
    }
    assert_eq!(cache.len().unwrap(), 1500);
}
