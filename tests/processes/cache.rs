//! A cache that many processes fill: it stays within its limit, whoever is killed at whatever moment.

use std::io::{self, Read};
use std::time::Duration;

use diskette::{Cache, Expiry, Store, Stream, Terms};
use diskette_testkit::{Child, PATIENCE, Parent, eventually, files_below, role};

const LIMIT: u64 = 2_000_000;

role! {
    /// Inserts, reads and removes entries of all sizes, and says how many.
    fn filler(parent) {
        let dir: String = parent.arg(0);
        let mut state: u64 = parent.arg(1);
        let cache = Cache::<u64, Vec<u8>>::new(&Store::open(&dir).unwrap(), "cache").unwrap();
        let mut random = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            state >> 33
        };
        for n in 1_u64.. {
            let (key, length) = (random() % 3_000, random() % 3_000);
            // Now and then one that is a file.
            let length = if n.is_multiple_of(97) { 600_000 } else { length };
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

#[test]
fn it_stays_within_its_limit_under_eight_writers_who_are_killed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let store = Store::open(&path).unwrap();
    let options = Cache::<u64, Vec<u8>>::options().max_bytes(LIMIT);
    let cache = options.new(&store, "cache").unwrap();
    let start = |seed: u64| Child::spawn(filler, &[&path.display(), &seed]);
    let mut fillers: Vec<_> = (0..8).map(start).collect();
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
    eventually(PATIENCE, || store.check().unwrap().problems.is_empty());
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
