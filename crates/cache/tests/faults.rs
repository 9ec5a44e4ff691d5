//! What diskcache, which this cache follows, gets wrong or got wrong: each seen there, and not to be seen here.
#![allow(clippy::unwrap_used)]

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use diskette::Deque;
use diskette_cache::{Cache, Expiry, ManualClock, Policy, Stream, Terms};
use diskette_store::{Error, INLINE, Store};
use diskette_testkit::{PATIENCE, Place, eventually, files_below};

const SECOND: Duration = Duration::from_secs(1);

fn store() -> (Place, Store) {
    Place::new().with(|path| Store::open(path))
}

/// For what looks into its files.
fn in_directory() -> (Place, Store) {
    Place::directory().with(|path| Store::open(path))
}

fn in_another_thread<R: Send>(act: impl FnOnce() -> R + Send) -> R {
    thread::scope(|scope| scope.spawn(act).join().unwrap())
}

/// A text of 32,768 characters and more came back with its CR LF and CR turned into LF: it was a file, read as text.
#[test]
fn line_ends_stay_as_they_were() {
    let (_directory, store) = store();
    let cache = Cache::<u32, String>::new(&store, "texts").unwrap();
    for (key, length) in [(1, 10), (2, 70_000), (3, INLINE + 1)] {
        let text = "a\r\nb\rc\n".repeat(length / 7 + 1);
        cache.insert(&key, &text).unwrap();
        assert!(cache.get(&key).unwrap() == Some(text));
    }
}

/// A NaN as a key made a new row that nobody could reach, each time; as a value it came back as None. And 1, 1.0 and True, and
/// equal tuples made in two ways, were or weren't the same key by accident.
#[test]
fn nan_is_one_key_and_comes_back_as_a_value() {
    let (_directory, store) = store();
    let cache = Cache::<f64, f64>::new(&store, "floats").unwrap();
    for nan in [f64::NAN, -f64::NAN, f64::from_bits(f64::NAN.to_bits() ^ 1)] {
        cache.insert(&nan, &nan).unwrap();
    }
    assert_eq!(cache.len().unwrap(), 1);
    assert!(cache.get(&f64::NAN).unwrap().unwrap().is_nan());
    cache.insert(&0.0, &1.0).unwrap();
    assert_eq!(cache.get(&-0.0).unwrap(), Some(1.0));

    let pairs = Cache::<(String, String), Option<u32>>::new(&store, "pairs").unwrap();
    pairs.insert(&("ab", "ab"), &None).unwrap();
    let made_otherwise = ("a".to_string() + "b", ["a", "b"].concat());
    assert_eq!(
        pairs.get(&made_otherwise).unwrap(),
        Some(None),
        "None is a value"
    );
}

/// While another replaced a value that is a file, 213 of 195,000 reads said that there was none: the row was read, and then its
/// file was gone.
#[test]
fn a_large_value_is_there_at_each_moment_of_being_replaced() {
    let (_directory, store) = store();
    let cache = Cache::<u32, Vec<u8>>::new(&store, "cache").unwrap();
    let value = |n: u8| vec![n; INLINE + 1];
    cache.insert(&1, &value(0)).unwrap();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let found = cache.get(&1).unwrap().expect("always there");
                    assert!(found.iter().all(|&byte| byte == found[0]));
                }
            });
        }
        for n in 0..30 {
            cache.insert(&1, &value(n)).unwrap();
        }
        over.store(true, Ordering::Relaxed);
    });
}

/// `check(fix=True)` beside writers deleted the files that they were about to name: 2 of 60 keys were lost.
#[test]
fn a_repair_beside_writers_takes_nothing_from_them() {
    let (_directory, store) = store();
    let cache = Cache::<u32, Vec<u8>>::new(&store, "cache").unwrap();
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for key in 0..20 {
                cache.insert(&key, &vec![0; INLINE + 1]).unwrap();
            }
        });
        while !writer.is_finished() {
            store.repair().unwrap();
        }
    });
    for key in 0..20 {
        assert!(cache.get(&key).unwrap().is_some(), "{key}");
    }
    assert_eq!(store.check().unwrap().problems, []);
}

/// Items pushed with the prefix `q-1` came out of the queue with the prefix `q`, and an entry with the key 7 out of the queue
/// without any. Here what has a prefix is a deque of that name, or a key whose first field it is.
#[test]
fn a_prefix_is_not_another_that_begins_like_it() {
    let (_directory, store) = store();
    let [q, q_1] = ["q", "q-1"].map(|name| Deque::<u32>::new(&store, name).unwrap());
    let numbers = Cache::<u64, u32>::new(&store, "q-2").unwrap();
    numbers.insert(&7, &7).unwrap();
    q_1.push_back(&1).unwrap();
    assert_eq!(q.pop_front().unwrap(), None);
    assert_eq!(q_1.pop_front().unwrap(), Some(1));
    assert_eq!(numbers.get(&7).unwrap(), Some(7));

    let cache = Cache::<(String, u32), u32>::new(&store, "cache").unwrap();
    cache.insert(&("q-1", 1), &1).unwrap();
    cache.insert(&("q", 2), &2).unwrap();
    let of_q = cache.prefix(&("q",)).map(Result::unwrap);
    assert_eq!(of_q.collect::<Vec<_>>(), [(("q".into(), 2), 2)]);
}

/// A deque that was opened where there was a cache turned that cache's policy to `none`, for all and for ever.
#[test]
fn a_cache_is_taken_for_no_deque() {
    let (_directory, store) = store();
    let options = Cache::<u32, u32>::options().max_entries(2);
    let cache = options.new(&store, "cache").unwrap();
    assert!(
        Deque::<u32>::new(&store, "cache")
            .unwrap_err()
            .is_wrong_kind()
    );
    for key in 0..10 {
        cache.insert(&key, &key).unwrap();
    }
    assert_eq!(cache.len().unwrap(), 2);
}

/// A cache of shards that was opened again without its limit had that of 1 GiB, and dropped what was over it; and without asking
/// for any, everybody had that one.
#[test]
fn a_limit_outlives_those_who_set_it_and_nobody_has_one_unasked() {
    let place = Place::new();
    let path = place.path();
    let options = Cache::<u32, u32>::options().max_entries(5);
    drop(
        options
            .policy(Policy::LeastRecentlyStored)
            .open(path)
            .unwrap(),
    );
    let cache = Cache::<u32, u32>::open(path).unwrap();
    assert_eq!(cache.max_entries().unwrap(), Some(5));
    assert_eq!(cache.policy().unwrap(), Policy::LeastRecentlyStored);

    let elsewhere = Place::new();
    let other = Cache::<u32, u32>::open(elsewhere.path()).unwrap();
    assert_eq!(
        (other.max_bytes().unwrap(), other.max_entries().unwrap()),
        (None, None)
    );
}

/// Of more than 100 entries that expire at the same time `expire` removed 100, then 100, then 50; and those that expired at the
/// time 0 never.
#[test]
fn all_that_expire_together_go_together() {
    let (_directory, store) = store();
    let clock = ManualClock::new();
    let options = Cache::<u32, u32>::options().clock(clock.clone());
    let cache = options.new(&store, "cache").unwrap();
    cache
        .insert_many((0..1000).map(|n| (n, n)), SECOND)
        .unwrap();
    cache.insert_with(&1000, &0, Duration::ZERO).unwrap();
    cache.insert_with(&1001, &0, std::time::UNIX_EPOCH).unwrap();
    assert_eq!(
        cache.get(&1000).unwrap().or(cache.get(&1001).unwrap()),
        None
    );
    clock.advance(SECOND);
    assert!(cache.expire().unwrap() >= 1000);
    assert_eq!(cache.stats().unwrap().expired, 1002);
    assert_eq!(cache.len_stored().unwrap(), 0);
}

/// Where nothing is evicted `cull` said 0, though it had removed what had expired.
#[test]
fn cull_says_how_many_went_whatever_the_policy() {
    let (_directory, store) = store();
    for policy in [Policy::Refuse, Policy::Sieve, Policy::LeastFrequentlyUsed] {
        let clock = ManualClock::new();
        let options = Cache::<u32, u32>::options().policy(policy).max_entries(100);
        let cache = options
            .clock(clock.clone())
            .new(&store, &format!("{policy:?}"))
            .unwrap();
        cache.insert_many((0..20).map(|n| (n, n)), SECOND).unwrap();
        clock.advance(SECOND);
        assert_eq!(cache.cull().unwrap(), 20, "{policy:?}");
    }
}

/// A value larger than the limit was accepted, and gone at once; and each insertion beyond the limit removed ten entries,
/// whatever their size, so that a few large ones emptied the cache.
#[test]
fn no_more_goes_than_has_to() {
    let (_directory, store) = store();
    let options = Cache::<u32, Vec<u8>>::options().max_bytes(11_000);
    let cache = options.new(&store, "cache").unwrap();
    assert!(cache.insert(&0, &vec![0; 11_000]).unwrap_err().is_full());
    for key in 0..100 {
        cache.insert(&key, &vec![0; 900]).unwrap();
        assert_eq!(cache.len().unwrap(), 10.min(key as usize + 1));
    }
    cache.insert(&100, &vec![0; 1900]).unwrap();
    assert_eq!(cache.len().unwrap(), 9);
}

/// An error within a nested transaction that was caught left its writes in the outer one.
#[test]
fn a_nested_transaction_is_undone_by_itself() {
    let (_directory, store) = store();
    let cache = Cache::<u32, u32>::options()
        .max_entries(2)
        .new(&store, "cache")
        .unwrap();
    cache.insert(&0, &0).unwrap();
    store
        .transaction(|tx| {
            cache.within(tx).insert(&1, &1)?;
            let inner = tx.transaction(|tx| {
                for key in 2..5 {
                    cache.within(tx).insert(&key, &key)?;
                }
                Err::<(), Error>(store.remove_structure("").unwrap_err())
            });
            assert!(inner.is_err());
            Ok::<_, Error>(())
        })
        .unwrap();
    assert_eq!(cache.keys().collect::<Result<Vec<_>, _>>().unwrap(), [0, 1]);
    cache.insert(&2, &2).unwrap();
    assert_eq!(cache.len().unwrap(), 2, "what was undone isn't counted");
}

/// A transaction that was undone left the files of its large values for ever.
#[test]
fn what_is_undone_leaves_no_file() {
    let (_directory, store) = in_directory();
    let cache = Cache::<u32, Vec<u8>>::new(&store, "cache").unwrap();
    cache.insert(&0, &vec![0; INLINE + 1]).unwrap();
    let undone = store.transaction(|tx| {
        for key in 0..3 {
            cache.within(tx).insert(&key, &vec![1; INLINE + 1])?;
        }
        Err::<(), Error>(store.remove_structure("").unwrap_err())
    });
    assert!(undone.is_err());
    let values = store.path().join("values");
    eventually(PATIENCE, || files_below(&values).len() == 1);
    assert_eq!(cache.get(&0).unwrap(), Some(vec![0; INLINE + 1]));
}

/// Any error of the database was taken for a lock: in a store that may only be read a write was tried again for ever, or said to
/// have come too late.
#[test]
fn busy_and_read_only_are_told_apart() {
    let (directory, store) = store();
    let hasty = store.with_timeout(Duration::from_millis(500));
    let cache = Cache::<u32, u32>::new(&hasty, "cache").unwrap();
    let write = || cache.insert(&1, &1).unwrap_err();
    let busy = store.transaction(|_| Ok::<_, Error>(in_another_thread(write)));
    assert!(busy.unwrap().is_timeout());
    drop((cache, hasty, store));

    // It waits for ever, unless it is told why not to.
    let options = Store::options().read_only(true).timeout(Duration::MAX);
    let store = options.open(directory.path()).unwrap();
    let cache = Cache::<u32, u32>::new(&store, "cache").unwrap();
    let refused = cache.insert(&1, &1).unwrap_err();
    assert!(refused.is_read_only() && !refused.is_timeout(), "{refused}");
    assert_eq!(cache.get(&1).unwrap(), None);
}

/// Under a policy that knows what was read, and with statistics, each read was a write: it took up to 7.5 times as long, and waited
/// for those who wrote.
#[test]
fn who_reads_waits_for_nobody_whatever_the_policy() {
    let (_directory, store) = store();
    for policy in [
        Policy::Sieve,
        Policy::LeastRecentlyUsed,
        Policy::LeastFrequentlyUsed,
    ] {
        let options = Cache::<u32, u32>::options().policy(policy).max_entries(100);
        let cache = options.new(&store, &format!("{policy:?}")).unwrap();
        let idle = Terms::default().idle(3600 * SECOND);
        cache.insert_many((0..50).map(|n| (n, n)), idle).unwrap();
        // More than are gathered before somebody has to write them down.
        let read = || (0..10_000).all(|n| cache.get(&(n % 50)).unwrap() == Some(n % 50));
        let found_all = store.transaction(|tx| {
            cache.within(tx).clear()?;
            Ok::<_, Error>(in_another_thread(read))
        });
        assert!(found_all.unwrap(), "{policy:?}");
        // Those that are written down at this very moment may be counted twice.
        eventually(PATIENCE, || cache.stats().unwrap().hits == 10_000);
    }
}

/// `incr` without an entry made one that could have no tag and never expired; `touch` with 0 said yes and the entry was gone.
#[test]
fn a_counter_can_have_terms_from_its_first_count_on() {
    let (_directory, store) = store();
    let clock = ManualClock::new();
    let options = Cache::<String, u32>::options().clock(clock.clone());
    let cache = options.new(&store, "counts").unwrap();
    let hour = Terms::from(3600 * SECOND).tag("ip");
    for _ in 0..3 {
        cache
            .insert_if_absent("10.0.0.1", &0, hour.clone())
            .unwrap();
        cache.increment("10.0.0.1", 1).unwrap();
    }
    assert_eq!(cache.get("10.0.0.1").unwrap(), Some(3));
    clock.advance(3600 * SECOND);
    assert_eq!(cache.get("10.0.0.1").unwrap(), None);
    assert!(
        !cache.touch("10.0.0.1", Expiry::Never).unwrap(),
        "it can't be revived"
    );
}

/// `volume` left out the log, the directories and files without a row: it said 832,768 bytes where `du` said 1,144,672.
#[test]
fn the_volume_is_what_du_says_and_what_entries_count_for_what_they_take_of_it() {
    let (directory, store) = in_directory();
    let cache = Cache::<usize, String>::options()
        .max_bytes(24 << 20)
        .new(&store, "cache")
        .unwrap();
    let du = || {
        let du = std::process::Command::new("du")
            .args(["--summarize", "--block-size=1"])
            .arg(directory.path())
            .output()
            .unwrap();
        let said = String::from_utf8(du.stdout).unwrap();
        said.split_whitespace().next().unwrap().parse().unwrap()
    };
    let agree = || {
        eventually(PATIENCE, || {
            store.disk_bytes().unwrap().abs_diff(du()) <= 4096
        });
        // The files of values that have gone go a while after them.
        eventually(PATIENCE, || {
            let (stats, counted) = (store.stats().unwrap(), cache.stats().unwrap().bytes);
            let values = files_below(&directory.path().join("values"));
            let blocks = |path: &PathBuf| path.metadata().map_or(0, |file| file.blocks() * 512);
            let taken = stats.database_bytes - stats.free_bytes;
            let taken = taken + values.iter().map(blocks).sum::<u64>();
            taken.abs_diff(counted) <= (128 << 10) + counted / 50
        });
    };
    // The one but last has a whole number of blocks, and a header before them.
    let (small, large) = ([30, 700, 5_000, 100_000], [INLINE + 1, (1 << 20) - 5]);
    let lengths = [&small[..], &large, &[3_000_000]].concat();
    let insert = |n: usize| {
        let value = "x".repeat(lengths[n % lengths.len()]);
        cache.insert(&n, &value).unwrap();
    };
    (0..30).for_each(insert);
    agree();
    (0..30).step_by(3).for_each(|n| {
        cache.delete(&n).unwrap();
    });
    agree();
    (30..120).for_each(insert);
    assert!(cache.stats().unwrap().evicted > 0);
    agree();
}

/// The header of its file was left out: a value of a whole number of blocks counted for one less than it took.
#[test]
fn a_large_value_counts_for_all_blocks_of_its_file() {
    let (directory, store) = in_directory();
    let cache = Cache::<u32, Stream>::new(&store, "cache").unwrap();
    let value = vec![1; 1 << 20];
    cache.write(&1, value.as_slice(), Terms::default()).unwrap();
    let files = files_below(&directory.path().join("values"));
    let blocks = files[0].metadata().unwrap().blocks() * 512;
    assert!(cache.stats().unwrap().bytes >= blocks, "{blocks}");
}
