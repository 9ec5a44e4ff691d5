//! What was read before, out of memory: beside a cache of the process alone, and by threads beside one thread.

use std::hint::black_box;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use diskette::{Cache, Index, Store, Terms};
use diskette_benches::scaled;
use quick_cache::sync;

use crate::pairs::{KEYS, Pair, key, next, scattered, value, with};

/// Of all keys so many are read again and again. Of more than the processor's caches hold, waiting for RAM is what is measured.
const HOT: u64 = 1_000;

const THREADS: u64 = 8;
/// So many that it is hardly felt what it takes to start a thread.
const EACH: u64 = scaled(40_000, 100);

/// So many at once, since the clock takes as long as one.
const MANY: u32 = 100;

pub(crate) fn all(dir: &Path) -> Vec<Pair> {
    let store = Store::options().memory(32 << 20).open(dir.join("again"));
    let store = store.expect("a store");
    let index = Index::<String, String>::new(&store, "index").expect("an index");
    let cache = Cache::<String, String>::new(&store, "cache").expect("a cache");
    let entries = || (0..KEYS).map(|n| (key(n), value(n)));
    index.extend(entries()).expect("room");
    let terms = Terms::default();
    cache.insert_many(entries(), terms).expect("room");
    for n in 0..KEYS {
        index.get(key(n).as_str()).expect("a read");
        cache.get(key(n).as_str()).expect("a read");
    }
    let raw = sync::Cache::<String, String>::new(2 * KEYS as usize);
    entries().for_each(|(key, value)| raw.insert(key, value));

    let (raw, index, cache) = (Rc::new(raw), Rc::new(index), Rc::new(cache));
    let keys: Rc<Vec<String>> = Rc::new((0..KEYS).map(key).collect());
    let pair = |name, mut ours: Box<dyn FnMut()>| {
        let (keys, mut look) = (Rc::clone(&keys), scattered());
        Pair {
            name,
            budget: f64::INFINITY,
            each: MANY,
            raw: with(&raw, move |raw| {
                for _ in 0..MANY {
                    black_box(raw.get(some(&keys, &mut look)));
                }
            }),
            ours: with(&Rc::new(()), move |_| (0..MANY).for_each(|_| ours())),
        }
    };
    let looks = || (Rc::clone(&keys), scattered());
    let (mut of_index, mut of_cache, mut memo) = (looks(), looks(), looks());
    let threads = {
        let (one, all) = (Rc::clone(&index), Rc::clone(&index));
        Pair {
            name: "the same, 8 threads (raw: 1)",
            budget: 0.67,
            each: u32::try_from(THREADS * EACH).expect("few"),
            raw: with(&keys, move |keys| read(&one, keys, 0, THREADS * EACH)),
            ours: with(&keys, move |keys| {
                let (index, keys) = (&*all, keys);
                std::thread::scope(|scope| {
                    for thread in 0..THREADS {
                        scope.spawn(move || read(index, keys, thread * 6_000, EACH));
                    }
                });
            }),
        }
    };
    vec![
        pair(
            "Index::get, again (raw: quick_cache)",
            with(&index, move |index| {
                let key = some(&of_index.0, &mut of_index.1);
                black_box(index.get(key).expect("a read"));
            }),
        ),
        threads,
        pair(
            "Cache::get, again (raw: quick_cache)",
            with(&cache, move |cache| {
                let key = some(&of_cache.0, &mut of_cache.1);
                black_box(cache.get(key).expect("a read"));
            }),
        ),
        pair(
            "Cache::memoize, a hit, again",
            with(&cache, move |cache| {
                let key = some(&memo.0, &mut memo.1);
                let hour = Duration::from_secs(3600);
                let value = cache.memoize(key, hour, || unreachable!("it is there"));
                black_box(value.expect("a read"));
            }),
        ),
    ]
}

fn some<'k>(keys: &'k [String], look: &mut impl Iterator<Item = u64>) -> &'k str {
    &keys[(next(look) % HOT) as usize]
}

fn read(index: &Index<String, String>, keys: &[String], from: u64, times: u64) {
    for n in from..from + times {
        let key = keys[(n * 7_919 % HOT) as usize].as_str();
        black_box(index.get(key).expect("a read"));
    }
}
