//! Locks, permits and limits, beside what the kernel, one process, or SQLite takes for the same.

use std::fs::File;
use std::num::NonZeroU32;
use std::path::Path;
use std::rc::Rc;
use std::sync::Mutex;

use diskette::{BoundedSemaphore, Lock, RLock, Rate, Store, Throttle};
use diskette_ipc::{FileLock, Mode};
use governor::{Quota, RateLimiter};
use rusqlite::params;

use crate::pairs::Pair;
use crate::raw::Raw;

/// What takes no longer than a look at the clock is measured by so many.
const MANY: u32 = 100;

/// Never reached.
const A_SECOND: u32 = 100_000_000;

pub(crate) fn all(dir: &Path) -> Vec<Pair> {
    let store = Store::open(dir.join("holding")).expect("a store");
    let mut pairs = locks(dir, &store);
    pairs.extend(throttles(dir, &store));
    pairs
}

fn locks(dir: &Path, store: &Store) -> Vec<Pair> {
    let raw = Rc::new(File::create(dir.join("raw.lock")).expect("a file"));
    let flock = || {
        let raw = Rc::clone(&raw);
        move || {
            raw.lock().expect("a lock");
            raw.unlock().expect("a lock");
        }
    };
    let mutex = Mutex::new(());
    let again = Mutex::new(());
    let file = FileLock::open(dir.join("our.lock")).expect("a file");
    let lock = Lock::new(store, "lock").expect("a lock");
    let lock_too = lock.clone();
    let semaphore = BoundedSemaphore::new(store, "permits", 4).expect("a semaphore");
    let rlock = RLock::new(store, "rlock").expect("a lock");
    let outer = rlock.lock().expect("a lock");
    vec![
        Pair {
            name: "FileLock (raw: flock)",
            budget: 2.0,
            each: 1,
            raw: Box::new(flock()),
            ours: Box::new(move || {
                assert!(file.try_lock(Mode::Exclusive).expect("a lock"));
                file.unlock().expect("a lock");
            }),
        },
        Pair {
            name: "Lock (raw: flock)",
            budget: 2.0,
            each: 1,
            raw: Box::new(flock()),
            ours: Box::new(move || lock.lock().expect("a lock").release().expect("ours")),
        },
        Pair {
            name: "Lock (raw: std Mutex)",
            budget: f64::INFINITY,
            each: MANY,
            raw: many(move || drop(mutex.lock())),
            ours: many(move || drop(lock_too.lock().expect("a lock"))),
        },
        Pair {
            name: "BoundedSemaphore of 4 (raw: flock)",
            budget: 2.0,
            each: 1,
            raw: Box::new(flock()),
            ours: Box::new(move || {
                semaphore
                    .acquire()
                    .expect("a permit")
                    .release()
                    .expect("ours")
            }),
        },
        Pair {
            name: "RLock, again (raw: std Mutex)",
            budget: f64::INFINITY,
            each: MANY,
            raw: many(move || drop(again.lock())),
            ours: many(move || {
                let _outer = &outer;
                drop(rlock.lock().expect("a lock"));
            }),
        },
    ]
}

fn throttles(dir: &Path, store: &Store) -> Vec<Pair> {
    let raw = Raw::open(
        &dir.join("throttle.db"),
        "CREATE TABLE t (id INTEGER PRIMARY KEY, value BLOB); INSERT INTO t VALUES (1, zeroblob(40))",
    );
    let rate = Rate::per_second(A_SECOND).burst(A_SECOND);
    let ours = Throttle::new(store, "limit", rate).expect("a throttle");
    let ours_too = ours.clone();
    let quota = Quota::per_second(NonZeroU32::new(A_SECOND).expect("not zero"));
    let governor = RateLimiter::direct(quota);
    let mut n = 0_u64;
    vec![
        Pair {
            name: "Throttle::try_acquire",
            budget: 1.3,
            each: 1,
            raw: Box::new(move || {
                raw.transaction(|raw| {
                    let (_, mut state) = raw.row("SELECT id, value FROM t WHERE id = 1", params![]);
                    n += 1;
                    state[..8].copy_from_slice(&n.to_le_bytes());
                    raw.execute("UPDATE t SET value = ?1 WHERE id = 1", params![state]);
                });
            }),
            ours: Box::new(move || ours.try_acquire().expect("a write").expect("room")),
        },
        Pair {
            name: "Throttle (raw: governor)",
            budget: f64::INFINITY,
            each: MANY,
            raw: many(move || governor.check().expect("room")),
            ours: many(move || ours_too.try_acquire().expect("a write").expect("room")),
        },
    ]
}

fn many(mut once: impl FnMut() + 'static) -> Box<dyn FnMut()> {
    Box::new(move || (0..MANY).for_each(|_| once()))
}
