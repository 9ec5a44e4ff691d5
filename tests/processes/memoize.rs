//! Values that one process computes for all, and what becomes of them when that one is killed.

use std::collections::{HashMap, HashSet};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::thread;
use std::time::Duration;

use diskette::{Cache, Error, Fresh, Index, Memoized, Store};
use diskette_ipc::clock;
use diskette_testkit::{
    Child, Gate, PATIENCE, Place, Random, asleep, at_best_within, eventually, role,
};

const KEYS: u32 = 20;

fn values(path: impl AsRef<Path>) -> Cache<u32, u64> {
    Cache::new(&Store::open(path).unwrap(), "values").unwrap()
}

/// How often each value was computed.
fn computed(path: impl AsRef<Path>) -> Index<u32, u64> {
    Index::new(&Store::open(path).unwrap(), "computed").unwrap()
}

role! {
    /// Computes a value for as long as it lives.
    fn dawdler(parent) {
        let (path, key): (String, u32) = (parent.arg(0), parent.arg(1));
        let compute = || {
            parent.say("computes");
            parent.hear().len() as u64
        };
        values(path).memoize(&key, Fresh::forever(), compute).unwrap();
    }
}

role! {
    /// Gets an old value, and computes the new one in the background, for as long as it lives.
    fn refresher(parent) {
        let (path, key): (String, u32) = (parent.arg(0), parent.arg(1));
        let (begins, begun) = std::sync::mpsc::channel();
        let function = Memoized::new(values(path), old_at_once(), move |_| {
            begins.send(()).unwrap();
            loop { thread::park(); }
        });
        let old = function.call(&key).map_err(|error: Error| error.to_string());
        begun.recv().unwrap();
        parent.say(old.unwrap());
        parent.hear();
    }
}

role! {
    /// Asks for all values, each from another one on, and says which it got.
    fn asker(parent) {
        let (path, gate, me): (String, String, u64) = (parent.arg(0), parent.arg(1), parent.arg(2));
        let (cache, computed) = (values(&path), computed(&path));
        parent.say("ready");
        Gate::pass(gate);
        let first = me as u32 * 3;
        let mut got: Vec<_> = (first..first + KEYS).map(|key| key % KEYS).map(|key| {
            let compute = || {
                computed.entry(&key).and_modify(|times| *times += 1).or_insert(1).unwrap();
                me
            };
            (key, cache.memoize(&key, Fresh::forever(), compute).unwrap())
        }).collect();
        got.sort_unstable();
        drop(cache);
        parent.say(format!("{got:?}"));
        parent.hear();
    }
}

role! {
    /// Asks again and again for values that are good for a moment, and writes down all that happens.
    fn diarist(parent) {
        let (path, log, me): (String, String, u64) = (parent.arg(0), parent.arg(1), parent.arg(2));
        let cache = values(path);
        let log = OpenOptions::new().append(true).create(true).open(log).unwrap();
        let write = |what: &str, key: u32, value: u64| {
            let line = format!("{me} {what} {key} {value}\n");
            (&log).write_all(line.as_bytes()).unwrap();
        };
        let mut value = me << 32;
        for key in (0..3).cycle() {
            write("asks", key, 0);
            let has = cache.memoize(&key, Duration::from_millis(1), || {
                value += 1;
                write("begins", key, value);
                parent.say("computes");
                parent.hear();
                write("ends", key, value);
                value
            });
            write("has", key, has.unwrap());
        }
    }
}

role! {
    /// Computes values of one cache, each of which takes the same of another; says whether that was refused.
    fn entangled(parent) {
        let store = Store::open(parent.arg::<String>(0)).unwrap();
        let [mine, other] = [1, 2].map(|i| Cache::<u32, u64>::new(&store, &parent.arg::<String>(i)).unwrap());
        for key in 0..ROUNDS {
            let mut refused = false;
            let compute = || {
                parent.say("computes");
                parent.hear();
                other.memoize(&key, Fresh::forever(), || unreachable!("it is computed")).unwrap_or_else(|error| {
                    refused = error.is_deadlock();
                    5
                })
            };
            assert_eq!(mine.memoize(&key, Fresh::forever(), compute).unwrap(), 5);
            parent.say(refused);
        }
    }
}

const ROUNDS: u32 = 10;

fn old_at_once() -> Fresh {
    Fresh::for_(Duration::ZERO).stale_for(Duration::from_secs(3600))
}

#[test]
fn who_waits_takes_over_from_who_is_killed() {
    let place = Place::new();
    let cache = values(place.path());
    let mut keys = 0..;
    // It is death that wakes who waits, not the look that he takes twice a second.
    at_best_within(Duration::from_millis(300), || {
        let key = keys.next().unwrap();
        let mut first = Child::spawn(dawdler, &[&place.path().display(), &key]);
        assert_eq!(first.hear(PATIENCE), "computes");
        thread::scope(|scope| {
            let wait = || cache.memoize(&key, Fresh::forever(), || 7);
            let heir = asleep(scope, || (), wait);
            let killed = clock::now();
            first.kill();
            assert_eq!(heir.join().unwrap().unwrap(), 7);
            let time = killed.elapsed();
            assert_eq!(cache.get(&key).unwrap(), Some(7));
            time
        })
    });
}

#[test]
fn a_refresh_that_is_killed_is_made_by_another() {
    let place = Place::new();
    let function = Memoized::new(values(place.path()), old_at_once(), |_| Ok::<_, Error>(8));
    function.cache().memoize(&1, old_at_once(), || 7).unwrap();
    let mut child = Child::spawn(refresher, &[&place.path().display(), &1]);
    assert_eq!(child.hear(PATIENCE), "7");
    for _ in 0..3 {
        assert_eq!(function.call(&1).unwrap(), 7, "the other is at it");
    }
    child.kill();
    eventually(PATIENCE, || function.call(&1).unwrap() == 8);
}

#[test]
fn of_many_processes_one_computes_each_value() {
    const PROCESSES: u64 = 6;
    let place = Place::new();
    let cache = values(place.path());
    let at = place.beside("gate");
    let gate = Gate::closed(&at);
    let (path, at) = (place.path().display(), at.display());
    let start = |me| Child::spawn(asker, &[&path, &at, &me]);
    let mut askers: Vec<_> = (0..PROCESSES).map(start).collect();
    for asker in &mut askers {
        assert_eq!(asker.hear(PATIENCE), "ready");
    }
    gate.open();
    let got: HashSet<_> = askers
        .iter_mut()
        .map(|asker| asker.hear(PATIENCE))
        .collect();
    let kept: Vec<_> = cache.range(0..).map(Result::unwrap).collect();
    assert_eq!(
        got,
        HashSet::from([format!("{kept:?}")]),
        "all got the same"
    );

    let computed = computed(place.path());
    let times = computed.range(0..).map(Result::unwrap);
    assert_eq!(
        times.collect::<Vec<_>>(),
        (0..KEYS).map(|key| (key, 1)).collect::<Vec<_>>()
    );
    let (stats, keys) = (cache.stats().unwrap(), u64::from(KEYS));
    assert_eq!((stats.hits, stats.misses), ((PROCESSES - 1) * keys, keys));
}

/// Each has the turn of its own cache.
#[test]
fn of_two_processes_that_would_wait_for_each_other_over_two_caches_one_is_refused() {
    let place = Place::new();
    let start = |mine, other| Child::spawn(entangled, &[&place.path().display(), &mine, &other]);
    let mut both = [start("a", "b"), start("b", "a")];
    for _ in 0..ROUNDS {
        for child in &mut both {
            assert_eq!(child.hear(PATIENCE), "computes");
        }
        for child in &mut both {
            child.say("go on");
        }
        let refused = both.each_mut().map(|child| child.hear(PATIENCE) == "true");
        assert!(refused[0] != refused[1], "{refused:?}");
    }
}

#[test]
fn never_two_compute_however_many_are_killed() {
    let place = Place::new();
    let log = place.beside("log");
    let mut number = 0;
    let mut start = || {
        number += 1;
        Child::spawn(diarist, &[&place.path().display(), &log.display(), &number])
    };
    let mut diarists: Vec<_> = (0..4).map(|_| start()).collect();
    let mut random = Random::new(6);
    for _ in 0..200 {
        let mut computes = 0;
        eventually(PATIENCE, || {
            computes = (computes + 1) % diarists.len();
            diarists[computes].heard().is_some()
        });
        let one = &mut diarists[computes];
        let fate = random.below(8);
        if fate > 0 {
            one.say("go on");
        }
        if fate < 2 {
            // In the middle of it, or somewhere near its end.
            one.kill();
            *one = start();
        }
    }
    drop(diarists);
    check(&fs::read_to_string(log).unwrap());

    // The dead have left nothing behind.
    let store = Store::open(place.path()).unwrap();
    let cache = Cache::<u32, u64>::new(&store, "values").unwrap();
    for key in 0..3 {
        cache.memoize(&key, Fresh::forever(), || 0).unwrap();
    }
    assert!(store.check().unwrap().is_sound());
}

/// Who begins while another is at it outlives him; all get what was computed to the end; nobody gets an older value than one that
/// somebody had when he asked.
fn check(log: &str) {
    let mut at_it = HashMap::new();
    let mut dead = HashSet::new();
    let (mut begun, mut ended) = (Vec::new(), HashSet::new());
    let (mut newest, mut at_least) = (HashMap::new(), HashMap::new());
    for line in log.lines() {
        let words: Vec<_> = line.split(' ').collect();
        let [who, what, key, value] = words[..] else {
            panic!("{line}")
        };
        assert!(
            !dead.contains(who),
            "another has begun what {who} was at: {line}"
        );
        match what {
            "asks" => drop(at_least.insert(who, newest.get(key).copied())),
            "begins" => {
                dead.extend(at_it.insert(key, who));
                begun.push(value);
            }
            "ends" => {
                assert_eq!(at_it.remove(key), Some(who));
                ended.insert(value);
            }
            _ => {
                assert!(ended.contains(value), "{line}");
                let order = begun.iter().position(|begun| *begun == value);
                assert!(order >= at_least[who], "{line}");
                let newest = newest.entry(key).or_insert(order.unwrap_or_default());
                *newest = order.unwrap_or_default().max(*newest);
            }
        }
    }
    assert!(
        dead.len() > 5 && ended.len() > 100,
        "something has happened"
    );
}
