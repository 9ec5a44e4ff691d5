//! A store with ever more entries in each of its structures.

use std::path::Path;

use diskette::{Cache, Deque, Index, Keep, Queue, Store, Terms};
use diskette_benches::scaled;

use crate::{Growth, Reach, directory, median, openings, spread, time};

const VALUE: [u8; 30] = [7; 30];
const CALLS: usize = scaled(2000, 10);
/// So many are put in by one transaction.
const BATCH: u64 = 10_000;

struct All {
    index: Index<u64, [u8; 30]>,
    cache: Cache<u64, [u8; 30]>,
    deque: Deque<[u8; 30]>,
    queue: Queue<[u8; 30]>,
}

pub(crate) fn measure(reach: Reach) -> Growth {
    let directory = directory();
    let path = directory.path().join("store");
    let sizes: Vec<_> = (3..=reach.entries.max(3)).map(|n| 10_u64.pow(n)).collect();
    let mut growth = Growth::new(
        "microseconds of a call, medians; nothing is read from memory",
        "entries in each structure",
        sizes.clone(),
    );
    let mut before = 0;
    for size in sizes {
        let all = All::open(&path);
        Deque::<u64>::new(all.index.store(), "numbers").expect("a deque");
        all.fill(before, size);
        before = size;
        all.measure(size, &mut growth);
        drop(all);
        let [opened, found] = openings::medians(&path, "numbers");
        growth.add("Store::open, in a new process", opened);
        growth.add("and Deque::new, of one there", found);
    }
    growth
}

impl All {
    fn open(path: &Path) -> Self {
        let store = Store::open(path).expect("a store").without_memory();
        let queue = Queue::options().keep_done(Keep::none());
        All {
            index: Index::new(&store, "index").expect("an index"),
            cache: Cache::new(&store, "cache").expect("a cache"),
            deque: Deque::new(&store, "deque").expect("a deque"),
            queue: queue.new(&store, "queue").expect("a queue"),
        }
    }

    /// From so many entries to so many.
    fn fill(&self, from: u64, to: u64) {
        for first in (from..to).step_by(BATCH as usize) {
            let keys = first..to.min(first + BATCH);
            let entries = keys.clone().map(|key| (key, VALUE));
            self.index.extend(entries.clone()).expect("entries");
            let terms = Terms::default();
            self.cache.insert_many(entries, terms).expect("entries");
            self.deque
                .extend(keys.clone().map(|_| VALUE))
                .expect("items");
            self.queue.push_all(keys.map(|_| VALUE)).expect("jobs");
        }
    }

    fn measure(&self, size: u64, growth: &mut Growth) {
        let All {
            index,
            cache,
            deque,
            queue,
        } = self;
        let key = |n| spread(n, size);
        let mut measure = |what, call: &mut dyn FnMut(usize)| growth.add(what, median(CALLS, call));
        measure("Index::get", &mut |n| {
            assert!(index.get(&key(n)).unwrap().is_some());
        });
        measure("Index::insert, over", &mut |n| {
            let value = [n as u8; 30];
            index.insert(&key(n), &value).unwrap();
        });
        measure("Index::insert, then remove", &mut |n| {
            let key = size + n as u64;
            index.insert(&key, &VALUE).unwrap();
            index.remove(&key).unwrap();
        });
        measure("Index::range, ten", &mut |n| {
            assert!(index.range(key(n)..).take(10).all(|entry| entry.is_ok()));
        });
        measure("Index::len", &mut |_| {
            assert_eq!(index.len().unwrap() as u64, size);
        });
        measure("Cache::get", &mut |n| {
            assert!(cache.get(&key(n)).unwrap().is_some());
        });
        measure("Cache::insert, over", &mut |n| {
            cache.insert(&key(n), &[n as u8; 30]).unwrap();
        });
        measure("Deque::push_back", &mut |_| {
            deque.push_back(&VALUE).unwrap()
        });
        measure("Deque::pop_front", &mut |_| {
            assert!(deque.pop_front().unwrap().is_some());
        });
        measure("Deque::get, in the middle", &mut |n| {
            assert!(deque.get(key(n) as usize).unwrap().is_some());
        });
        measure("Deque::len", &mut |_| {
            assert_eq!(deque.len().unwrap() as u64, size);
        });
        measure("Queue::push", &mut |_| {
            queue.push(&VALUE).unwrap();
        });
        measure("Queue: claim, then complete", &mut |_| {
            let claim = queue.try_claim().unwrap().expect("a job");
            claim.complete_now().unwrap();
        });
        let (stats, took) = time(|| index.store().stats());
        assert_eq!(stats.expect("stats").structures.len(), 5);
        growth.add("Store::stats, once", took);
    }
}
