//! A cache that many processes fill and keep up, whoever of them is killed at whatever moment.

use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use diskette::cache::Reach;
use diskette::{Cache, Error, Expiry, MessagePack, Store, Stream, Terms};
use diskette_testkit::{
    Child, PATIENCE, Parent, Random, context_switches, eventually, files_below, role,
};
use serde_bytes::ByteBuf;

const LIMIT: u64 = 4_000_000;

type Bytes<A> = Cache<u64, ByteBuf, MessagePack, A>;

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
    let mut random = Random::new(parent.arg(1));
    for n in 1_u64.. {
        // From a byte to a third of the limit: many are small, some are files.
        let length = 1_u64 << random.below(20);
        let (key, length) = (random.below(3_000), length + random.below(length));
        let value = ByteBuf::from(vec![0; usize::try_from(length).unwrap()]);
        let terms = match random.below(4) {
            0 => Terms::from(Duration::from_millis(random.below(50))),
            1 => Terms::default().tag(random.below(5).to_string()),
            _ => Terms::default(),
        };
        cache.insert_with(&key, &value, terms).unwrap();
        cache.get(&random.below(3_000)).unwrap();
        match random.below(50) {
            0 => drop(cache.evict_tag(&random.below(5).to_string()).unwrap()),
            1 => drop(cache.remove(&key).unwrap()),
            2 => drop(cache.expire().unwrap()),
            _ => {}
        }
        parent.say(n);
    }
}

role! {
    /// Fills a cache with values of one length, for as long as it lives.
    fn filler_of_length(parent) {
        let store = Store::open(parent.arg::<String>(0)).unwrap();
        let cache: Bytes<Store> = Cache::new(&store, "cache").unwrap();
        let (mut random, length) = (Random::new(parent.arg(1)), parent.arg(2));
        let value = ByteBuf::from(vec![0; length]);
        loop {
            cache.insert(&random.below(1 << 40), &value).unwrap();
        }
    }
}

role! {
    /// Begins to write a large value, and doesn't come to its end.
    fn beginner(parent) {
        let dir: String = parent.arg(0);
        let films = Cache::<u32, Stream>::new(&Store::open(&dir).unwrap(), "films").unwrap();
        films.write(&1, io::repeat(2).take(20 << 20).chain(ForEver(parent)), Expiry::Never).unwrap();
    }
}

/// Says that it has come so far, and goes no further.
struct ForEver<'p>(&'p Parent);

impl Read for ForEver<'_> {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.0.say("half of it");
        Ok(self.0.hear().len())
    }
}

role! {
    /// Keeps a cache up, or waits for its turn to.
    fn keeper(parent) {
        let dir: String = parent.arg(0);
        let cache = Cache::<u64, ()>::new(&Store::open(&dir).unwrap(), "cache").unwrap();
        let _upkeep = cache.upkeep(Duration::from_millis(1)).unwrap();
        parent.say("ready");
        parent.hear();
    }
}

#[test]
fn the_upkeep_moves_to_another_when_who_did_it_is_killed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let cache = Cache::<u64, ()>::new(&Store::open(&path).unwrap(), "cache").unwrap();
    let start = || {
        let mut child = Child::spawn(keeper, &[&path.display()]);
        assert_eq!(child.hear(PATIENCE), "ready");
        child
    };
    let is_kept_up = || {
        let expired = (0..10).map(|n| (n, ()));
        cache.insert_many(expired, Duration::ZERO).unwrap();
        eventually(PATIENCE, || cache.len_stored().unwrap() == 0);
    };
    let mut does_it = start();
    is_kept_up();
    for _ in 0..3 {
        let waits = start();
        let woken = || [&does_it, &waits].map(|child| context_switches(child.id()));
        let before = woken();
        (0..100).for_each(|_| is_kept_up());
        let [works, waited] = [0, 1].map(|who| woken()[who] - before[who]);
        assert!(waited < works / 2, "{waited} {works}: both are at it");
        does_it.kill();
        is_kept_up();
        does_it = waits;
    }
}

/// Of ten processes that were killed while they wrote 20 MB, ten left the file of it for ever.
#[test]
fn who_is_killed_in_the_middle_of_a_large_value_leaves_nothing_of_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let films = Cache::<u32, Stream>::new(&Store::open(&path).unwrap(), "films").unwrap();
    let old = vec![1; 1 << 20];
    films.write(&1, old.as_slice(), Expiry::Never).unwrap();
    let values = path.join("values");
    for _ in 0..3 {
        let mut child = Child::spawn(beginner, &[&path.display()]);
        assert_eq!(child.hear(PATIENCE), "half of it");
        assert_eq!(files_below(&values).len(), 2);
        child.kill();
        eventually(PATIENCE, || files_below(&values).len() == 1);
    }
    let mut there = Vec::new();
    let mut film = films.read(&1).unwrap().unwrap();
    film.read_to_end(&mut there).unwrap();
    assert!(there == old);
}

/// A cache of diskcache removed ten entries with each that came, whatever their sizes: it grew beyond its limit, or was emptied.
#[test]
fn it_stays_within_its_limit_under_eight_writers_who_are_killed() {
    let (_directory, store) = store();
    let options = Cache::options().max_bytes(LIMIT);
    let cache = options.new(&store, "cache").unwrap();
    let start = |path: &str, seed| Child::spawn(filler, &[&path, &seed]);
    stays_within_its_limit(&cache, start, || at_one_moment(&store, &cache));
    eventually(PATIENCE, || store.check().unwrap().problems.is_empty());
}

#[test]
fn so_do_its_shards_together() {
    let (_directory, store) = store();
    // Each may have one of the largest entries.
    let options = Cache::options().max_bytes(LIMIT).shards(3);
    let cache = options.new(&store, "cache").unwrap();
    // There is no moment that they have together.
    let counted = || (cache.stats().unwrap().bytes, 0);
    let start = |path: &str, seed| Child::spawn(filler_of_shards, &[&path, &seed]);
    stays_within_its_limit(&cache, start, counted);
    eventually(PATIENCE, || store.check().unwrap().problems.is_empty());
}

/// What `du` says of it, without the log. The files of large values come before their rows, and go a while after them.
#[test]
fn so_does_its_volume_but_for_files_that_come_and_go() {
    const LIMIT: u64 = 16_000_000;
    const ALMOST: u64 = LIMIT / 100 * 105;
    /// A megabyte for each who wrote.
    const GOING: u64 = 8 << 20;
    for length in [1000, 2000, 3000, 40_000, 600_000] {
        let (_directory, store) = store();
        let options = Cache::options().max_bytes(LIMIT);
        let cache: Bytes<Store> = options.new(&store, "cache").unwrap();
        let path = store.path().display();
        let start = |seed| Child::spawn(filler_of_length, &[&path, &seed, &length]);
        let fillers: Vec<_> = (0..8).map(start).collect();
        eventually(PATIENCE, || {
            let stats = cache.stats().unwrap();
            let database = blocks(&store.path().join("store.db"));
            assert!(
                stats.bytes <= LIMIT && database <= ALMOST,
                "{stats:?} {database}"
            );
            stats.evicted > 2000.min(LIMIT / length)
        });
        drop(fillers);
        let files = || {
            [
                vec![store.path().join("store.db")],
                files_below(&store.path().join("values")),
            ]
        };
        let volume = || {
            files()
                .concat()
                .iter()
                .map(|path| blocks(path))
                .sum::<u64>()
        };
        eventually(PATIENCE, || volume() <= ALMOST + GOING);
        assert!(volume() > LIMIT / 2, "it is used: {}", volume());
    }
}

/// What a file takes on the disk.
fn blocks(path: &Path) -> u64 {
    path.metadata()
        .map_or(0, |metadata| metadata.blocks() * 512)
}

fn store() -> (tempfile::TempDir, Store) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path().join("store")).unwrap();
    (directory, store)
}

/// `look` says what the entries count for, and what their values have.
fn stays_within_its_limit<A: Reach + Sync>(
    cache: &Bytes<A>,
    start: impl Fn(&str, usize) -> Child,
    look: impl Fn() -> (u64, u64) + Sync,
) where
    A::Access: Clone,
    A::Inner: Sync,
{
    let path = cache.store().path().display().to_string();
    let mut fillers: Vec<_> = (0..8).map(|seed| start(&path, seed)).collect();
    let over = AtomicBool::new(false);
    let most = thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut most = 0;
            while !over.load(Ordering::Relaxed) {
                let (counted, there) = look();
                assert!(there <= counted && counted <= LIMIT, "{there} {counted}");
                most = counted.max(most);
            }
            most
        });
        for round in 0..40 {
            let at = round % fillers.len();
            // It gets something done first.
            (0..100).for_each(|_| drop(fillers[at].hear(PATIENCE)));
            fillers[at].kill();
            fillers[at] = start(&path, round + 8);
            if watcher.is_finished() {
                break;
            }
        }
        over.store(true, Ordering::Relaxed);
        watcher.join().unwrap()
    });
    assert!(most > LIMIT / 2, "it is used: {most}");
    drop(fillers);
    let stats = cache.stats().unwrap();
    assert!(
        stats.evicted > 0 && stats.expired > 0 && stats.hits > 0,
        "{stats:?}"
    );
    // Once nothing is left that expires, what was counted is what there is.
    let meta = |key| cache.get_with_meta(&key).unwrap();
    eventually(PATIENCE, || {
        let mut all = cache.keys().map(|key| meta(key.unwrap()));
        all.all(|meta| meta.is_some_and(|meta| meta.expires.is_none()))
    });
    cache.expire().unwrap();
    let counted = cache.stats().unwrap().bytes;
    cache.set_max_bytes(None).unwrap();
    assert_eq!(cache.stats().unwrap().bytes, counted);
}

/// What the entries count for, and what their values have.
fn at_one_moment(store: &Store, cache: &Bytes<Store>) -> (u64, u64) {
    let both = store.snapshot(|snapshot| {
        let cache = cache.within(snapshot);
        let mut there = 0;
        for value in cache.values() {
            there += value?.len() as u64;
        }
        Ok::<_, Error>((cache.stats()?.bytes, there))
    });
    both.unwrap()
}
