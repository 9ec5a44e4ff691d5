//! Of all who ask for a value one computes it.
#![allow(clippy::unwrap_used)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Barrier;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use diskette_cache::{Cache, Fresh, ManualClock, Memoized, Terms};
use diskette_store::{Error, Store};
use diskette_testkit::{PATIENCE, Place, asleep, eventually};

const SECOND: Duration = Duration::from_secs(1);

fn store() -> (Place, Store) {
    Place::new().with(|path| Store::open(path))
}

fn cache(store: &Store) -> (Cache<u32, u32>, ManualClock) {
    let clock = ManualClock::new();
    let options = Cache::options().clock(clock.clone());
    (options.new(store, "cache").unwrap(), clock)
}

#[test]
fn of_many_who_come_at_once_one_computes() {
    let (_directory, store) = store();
    let (cache, _clock) = cache(&store);
    let (computed, all_here) = (AtomicU32::new(0), Barrier::new(8));
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let cache = Cache::<u32, u32>::new(&store, "cache").unwrap();
                all_here.wait();
                for key in 0..50 {
                    let value = cache.memoize(&key, Fresh::forever(), || {
                        computed.fetch_add(1, Ordering::SeqCst);
                        thread::yield_now();
                        key + 1
                    });
                    assert_eq!(value.unwrap(), key + 1);
                }
            });
        }
    });
    assert_eq!(computed.into_inner(), 50);
    let stats = cache.stats().unwrap();
    assert_eq!((stats.hits, stats.misses), (7 * 50, 50));
}

#[test]
fn who_gives_up_is_followed_by_who_waits() {
    let (_directory, store) = store();
    let (cache, _clock) = cache(&store);
    for failure in 0..2 {
        thread::scope(|scope| {
            let (asked, begin) = mpsc::channel();
            let (flies, is_flying) = mpsc::channel();
            let first = cache.clone();
            scope.spawn(move || {
                let compute = || {
                    flies.send(()).unwrap();
                    begin.recv().unwrap();
                    match failure {
                        0 => Err("no luck".into()),
                        _ => panic!("no luck"),
                    }
                };
                let failed = catch_unwind(AssertUnwindSafe(|| {
                    let failed: Result<u32, Box<dyn std::error::Error>> =
                        first.try_memoize(&failure, SECOND, compute);
                    assert_eq!(failed.unwrap_err().to_string(), "no luck");
                }));
                assert_eq!(failed.is_ok(), failure == 0);
            });
            is_flying.recv().unwrap();
            let second = asleep(scope, || (), || cache.memoize(&failure, SECOND, || 7));
            asked.send(()).unwrap();
            assert_eq!(second.join().unwrap().unwrap(), 7);
        });
    }
}

#[test]
fn a_circle_of_computations_is_seen() {
    let (_directory, store) = store();
    let (cache, _clock) = cache(&store);

    // By itself: the inner call is refused, and the outer goes on with what it makes of that.
    let value = cache.memoize(&1, SECOND, || {
        let again = cache.memoize(&1, SECOND, || 0).unwrap_err();
        assert!(again.is_deadlock(), "{again}");
        // Another is none of its business.
        cache.memoize(&2, SECOND, || 2).unwrap() + 1
    });
    assert_eq!(value.unwrap(), 3);

    // Over three threads, each of which computes one value and wants the next.
    let all_fly = Barrier::new(3);
    let refused: usize = thread::scope(|scope| {
        let threads = [10, 11, 12].map(|mine| {
            let (cache, all_fly) = (&cache, &all_fly);
            scope.spawn(move || {
                let mut refused = 0;
                let next = if mine == 12 { 10 } else { mine + 1 };
                let value = cache.memoize(&mine, SECOND, || {
                    all_fly.wait();
                    match cache.memoize(&next, SECOND, || unreachable!("another is at it")) {
                        Ok(value) => value,
                        Err(error) => {
                            assert!(error.is_deadlock(), "{error}");
                            refused += 1;
                            5
                        }
                    }
                });
                assert_eq!(value.unwrap(), 5);
                refused
            })
        });
        threads
            .map(|thread| thread.join().unwrap())
            .into_iter()
            .sum()
    });
    assert_eq!(refused, 1);
}

#[test]
fn a_value_is_computed_again_when_it_is_due() {
    let (_directory, store) = store();
    let (cache, clock) = cache(&store);
    let call = |value| cache.memoize(&1, 10 * SECOND, || value).unwrap();
    assert_eq!((call(1), call(2)), (1, 1));
    clock.advance(10 * SECOND);
    assert_eq!(call(3), 3);

    // Nothing of it is left to an entry that is inserted in its place.
    cache.insert(&1, &4).unwrap();
    clock.advance(100 * SECOND);
    assert_eq!(call(5), 4);
}

#[test]
fn an_old_value_is_given_while_one_computes() {
    let (_directory, store) = store();
    let (cache, clock) = cache(&store);
    let fresh = || Fresh::for_(SECOND).stale_for(10 * SECOND);
    assert_eq!(cache.memoize(&1, fresh(), || 1).unwrap(), 1);
    clock.advance(2 * SECOND);
    let value = cache.memoize(&1, fresh(), || {
        // Whoever asks meanwhile, in this thread too, gets the old one.
        assert_eq!(cache.memoize(&1, fresh(), || unreachable!()).unwrap(), 1);
        2
    });
    assert_eq!(value.unwrap(), 2);
    clock.advance(11 * SECOND);
    assert_eq!(cache.get(&1).unwrap(), None);
}

#[test]
fn a_memoized_function_refreshes_in_the_background() {
    let (_directory, store) = store();
    let (cache, clock) = cache(&store);
    let calls = std::sync::Arc::new(AtomicU32::new(0));
    let (count, takes) = (calls.clone(), clock.clone());
    let fresh = Fresh::for_(100 * SECOND)
        .early(1.0)
        .stale_for(1000 * SECOND);
    let function = Memoized::new(cache, fresh, move |argument: &u32| {
        takes.advance(SECOND);
        Ok::<_, Error>(argument + count.fetch_add(1, Ordering::SeqCst))
    });
    assert_eq!(function.call(&10).unwrap(), 10);
    for round in 1..4 {
        clock.advance(100 * SECOND);
        assert_eq!(
            function.call(&10).unwrap(),
            9 + round,
            "the old one, at once"
        );
        eventually(PATIENCE, || calls.load(Ordering::SeqCst) == round + 1);
        eventually(PATIENCE, || function.call(&10).unwrap() == 10 + round);
    }
    // Early too: of many who ask a moment before it is due, not all get away.
    clock.advance(99 * SECOND + Duration::from_millis(999));
    eventually(PATIENCE, || {
        function.call(&10).unwrap();
        calls.load(Ordering::SeqCst) == 5
    });
    // What it computes is stored a moment later.
    eventually(PATIENCE, || function.call(&10).unwrap() == 14);
    assert!(function.invalidate(&10).unwrap());
    assert_eq!(function.call(&10).unwrap(), 15);
}

#[test]
fn a_memo_has_a_tag_and_takes_part_in_limits() {
    let (_directory, store) = store();
    let options = Cache::<u32, String>::options().max_entries(10);
    let cache = options.new(&store, "cache").unwrap();
    for key in 0..100 {
        let fresh = Fresh::for_(60 * SECOND).tag("pages");
        cache.memoize(&key, fresh, || "page".into()).unwrap();
    }
    cache.insert_with(&100, "other", Terms::default()).unwrap();
    assert_eq!(cache.len().unwrap(), 10);
    assert_eq!(cache.evict_tag("pages").unwrap(), 9);
    let waits = store.transaction(|_| cache.memoize(&1, SECOND, String::new).map(drop));
    assert!(waits.unwrap_err().is_misuse());
}
