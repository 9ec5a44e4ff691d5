use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use diskette::{Cache, Policy, Store, Terms};

/// A writer of another structure goes on meanwhile: how long it waits at most is what is measured.
pub(crate) fn measure(entries: u64) {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory on the disk");
    let store = Store::open(dir.path().join("store")).expect("a store");
    let options = Cache::<u64, u64>::options().max_entries(entries);
    let cache = options
        .policy(Policy::Sieve)
        .new(&store, "cache")
        .expect("a cache");
    println!("\na cache of {entries} entries: the longest wait of another writer meanwhile");
    let watched = |what: &str, work: &dyn Fn() -> usize| {
        let other = Cache::<u64, u64>::new(&store, "other").expect("a cache");
        let over = AtomicBool::new(false);
        let (count, took, longest) = thread::scope(|scope| {
            let writer = scope.spawn(|| {
                let mut longest = Duration::ZERO;
                while !over.load(Ordering::Relaxed) {
                    let begun = Instant::now();
                    other.insert(&0, &0).expect("a write");
                    longest = longest.max(begun.elapsed());
                    thread::yield_now();
                }
                longest
            });
            let begun = Instant::now();
            let count = work();
            let took = begun.elapsed();
            over.store(true, Ordering::Relaxed);
            (count, took, writer.join().expect("a writer"))
        });
        let each = took.as_secs_f64() * 1e6 / count.max(1) as f64;
        println!("{what:<34}{count:>12} entries{each:>9.1} µs each{longest:>14.1?}");
    };
    let fill = |from: u64, to: u64, terms: &Terms| {
        for start in (from..to).step_by(1000) {
            let some = (start..to.min(start + 1000)).map(|n| (n, n));
            cache.insert_many(some, terms.clone()).expect("room");
        }
    };
    fill(0, entries, &Terms::default());
    watched("inserting, where others are evicted", &|| {
        let more = entries / 100;
        (entries..entries + more).for_each(|n| cache.insert(&n, &n).expect("a write"));
        usize::try_from(more).unwrap_or(0)
    });
    watched("a limit of half as much", &|| {
        let before = cache.len().expect("a read");
        cache.set_max_entries(Some(entries / 2)).expect("a write");
        before - cache.len().expect("a read")
    });
    cache.set_max_entries(Some(entries)).expect("a write");
    fill(
        2 * entries,
        2 * entries + entries / 2,
        &Terms::from(Duration::ZERO),
    );
    watched("expiring", &|| cache.expire().expect("a write"));
    fill(
        3 * entries,
        3 * entries + entries / 4,
        &Terms::default().tag("tag"),
    );
    watched("evicting a tag", &|| {
        cache.evict_tag("tag").expect("a write")
    });
}
