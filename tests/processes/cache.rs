//! A cache that many processes fill: it stays within its limit, whoever is killed at whatever moment.

use std::time::Duration;

use diskette::cache::Reach;
use diskette::{Cache, MessagePack, Store, Terms};
use diskette_testkit::{Child, PATIENCE, Parent, eventually, role};

const LIMIT: u64 = 2_000_000;

type Bytes<A> = Cache<u64, Vec<u8>, MessagePack, A>;

role! {
    /// Fills a cache.
    fn filler(parent) {
        let store = Store::open(parent.arg::<String>(0)).unwrap();
        fill(parent, &Cache::new(&store, "cache").unwrap());
    }
}

role! {
    /// Fills one that is spread over several databases.
    fn filler_of_shards(parent) {
        let store = Store::open(parent.arg::<String>(0)).unwrap();
        fill(parent, &Cache::options().sharded().new(&store, "cache").unwrap());
    }
}

/// Inserts, reads and removes entries of all sizes, and says how many.
fn fill<A: Reach>(parent: &Parent, cache: &Bytes<A>) {
    let mut state: u64 = parent.arg(1);
    let mut random = move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        state >> 33
    };
    for n in 1_u64.. {
        let (key, length) = (random() % 3_000, random() % 3_000);
        // Now and then one that is a file.
        let length = if n.is_multiple_of(97) {
            600_000
        } else {
            length
        };
        let value = vec![0; usize::try_from(length).unwrap()];
        let terms = match random() % 4 {
            0 => Terms::from(Duration::from_millis(random() % 50)),
            1 => Terms::default().tag((random() % 5).to_string()),
            _ => Terms::default(),
        };
        cache.insert_with(&key, &value, terms).unwrap();
        cache.get(&(random() % 3_000)).unwrap();
        match random() % 50 {
            0 => drop(cache.evict_tag(&(random() % 5).to_string()).unwrap()),
            1 => drop(cache.remove(&key).unwrap()),
            2 => drop(cache.expire().unwrap()),
            _ => {}
        }
        parent.say(n);
    }
}

#[test]
fn it_stays_within_its_limit_under_eight_writers_who_are_killed() {
    let (_directory, store) = store();
    let options = Cache::options().max_bytes(LIMIT);
    let cache = options.new(&store, "cache").unwrap();
    let path = store.path().display().to_string();
    stays_within_its_limit(&cache, |seed| Child::spawn(filler, &[&path, &seed]));
    eventually(PATIENCE, || store.check().unwrap().problems.is_empty());
}

#[test]
fn so_do_its_shards_together() {
    let (_directory, store) = store();
    // Each may have one of the entries that are files.
    let options = Cache::options().max_bytes(LIMIT).shards(3);
    let cache = options.new(&store, "cache").unwrap();
    let path = store.path().display().to_string();
    stays_within_its_limit(&cache, |seed| {
        Child::spawn(filler_of_shards, &[&path, &seed])
    });
    for set in store.sets_of_shards().unwrap() {
        for shard in store.shards(&set, 3).unwrap() {
            eventually(PATIENCE, || shard.check().unwrap().problems.is_empty());
        }
    }
}

fn store() -> (tempfile::TempDir, Store) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path().join("store")).unwrap();
    (directory, store)
}

fn stays_within_its_limit<A: Reach>(cache: &Bytes<A>, start: impl Fn(u64) -> Child)
where
    A::Access: Clone,
{
    let mut fillers: Vec<_> = (0..8).map(&start).collect();
    for round in 0..40 {
        let at = round % fillers.len();
        // It gets something done first.
        (0..100).for_each(|_| drop(fillers[at].hear(PATIENCE)));
        fillers[at].kill();
        fillers[at] = start(round as u64 + 8);
        let bytes = cache.stats().unwrap().bytes;
        assert!(bytes <= LIMIT, "{bytes}");
    }
    drop(fillers);
    let stats = cache.stats().unwrap();
    assert!(
        stats.evicted > 0 && stats.expired > 0 && stats.hits > 0,
        "{stats:?}"
    );
    cache.set_max_bytes(None).unwrap();
    let counted = cache.stats().unwrap();
    assert_eq!(
        counted.bytes, stats.bytes,
        "what was counted is what there is"
    );
    assert_eq!(cache.iter().filter(|entry| entry.is_err()).count(), 0);
}
