//! A cache beside its statements, and beside itself where it has something more to keep.

use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use diskette::{Cache, Policy};
use rusqlite::params;

use crate::pairs::{KEYS, Pair, all_from_disk, key, next, scattered, value, with};
use crate::raw::Raw;

const SCHEMA: &str = "CREATE TABLE caches (id INTEGER PRIMARY KEY, bytes INTEGER NOT NULL);
    CREATE TABLE t (id INTEGER PRIMARY KEY, cache INTEGER NOT NULL, key BLOB NOT NULL UNIQUE, expires INTEGER, \
        stored INTEGER NOT NULL, rank INTEGER, cost INTEGER NOT NULL, value BLOB);
    CREATE INDEX t_expires ON t (cache, expires) WHERE expires IS NOT NULL;
    CREATE INDEX t_rank ON t (cache, rank) WHERE rank IS NOT NULL;
    INSERT INTO caches VALUES (1, 0)";
const UPSERT: &str = "INSERT INTO t (cache, key, expires, stored, cost, value) VALUES (1, ?1, ?2, ?3, ?4, ?5) \
    ON CONFLICT (key) DO UPDATE SET value = excluded.value, stored = excluded.stored, expires = excluded.expires";
const FIND: &str = "SELECT id, value, expires FROM t WHERE key = ?1";

pub(crate) fn all(dir: &Path) -> Vec<Pair> {
    let raw = Rc::new(Raw::open(&dir.join("cache.db"), SCHEMA));
    let upsert = |raw: &Raw, n: u64, expires: Option<i64>| {
        let (key, value) = (key(n % KEYS), value(n));
        raw.execute(
            UPSERT,
            params![key.as_bytes(), expires, time(n), 130, value.as_bytes()],
        );
    };
    raw.transaction(|raw| (0..KEYS).for_each(|n| upsert(raw, n, None)));
    let store = all_from_disk(&dir.join("cache"));
    let make = |name, policy: Option<Policy>| {
        let options = Cache::<String, String>::options();
        let options = match policy {
            Some(policy) => options.policy(policy).max_bytes(1 << 30),
            None => options,
        };
        let cache = options.new(&store, name).expect("a cache");
        let entries = (0..KEYS).map(|n| (key(n), value(n)));
        cache
            .insert_many(entries, diskette::Terms::default())
            .expect("room");
        Rc::new(cache)
    };
    let plain = make("plain", None);
    let sieve = make("sieve", Some(Policy::Sieve));
    let recent = make("recent", Some(Policy::LeastRecentlyUsed));
    let often = make("often", Some(Policy::LeastFrequentlyUsed));

    let pair = |name, budget, raw, ours| Pair {
        name,
        budget,
        each: 1,
        raw,
        ours,
    };
    let get = |cache: &Rc<Cache<String, String>>| {
        let mut look = scattered();
        with(cache, move |cache| {
            drop(
                cache
                    .get(key(next(&mut look) % KEYS).as_str())
                    .expect("a read"),
            );
        })
    };
    let insert = |cache: &Rc<Cache<String, String>>| {
        let mut over = scattered();
        with(cache, move |cache| {
            let n = next(&mut over);
            cache
                .insert(key(n % KEYS).as_str(), value(n).as_str())
                .expect("a write");
        })
    };
    let raw_get = || {
        let mut look = scattered();
        with(&raw, move |raw| {
            drop(raw.row(FIND, params![key(next(&mut look) % KEYS).as_bytes()]));
        })
    };
    let mut over = scattered();
    let mut expiring = (scattered(), scattered());
    let mut limited = scattered();
    let mut memo = scattered();
    vec![
        pair("Cache::get", 1.3, raw_get(), get(&plain)),
        pair(
            "Cache::insert, over",
            1.3,
            with(&raw, move |raw| upsert(raw, next(&mut over), None)),
            insert(&plain),
        ),
        pair(
            "Cache::insert_with, expiring",
            1.3,
            with(&raw, move |raw| {
                let n = next(&mut expiring.0);
                upsert(raw, n, Some(2 * time(n)));
            }),
            with(&plain, move |cache| {
                let n = next(&mut expiring.1);
                let hour = Duration::from_secs(3600);
                cache
                    .insert_with(key(n % KEYS).as_str(), value(n).as_str(), hour)
                    .expect("a write");
            }),
        ),
        pair(
            "Cache::insert, over, within a limit",
            1.3,
            with(&raw, move |raw| {
                let n = next(&mut limited);
                let (key, value) = (key(n % KEYS), value(n));
                raw.transaction(|raw| {
                    let (id, _) = raw.row(FIND, params![key.as_bytes()]);
                    raw.row(
                        "UPDATE caches SET bytes = bytes + ?1 WHERE id = 1 RETURNING bytes, x'00'",
                        params![i64::from(n.is_multiple_of(2))],
                    );
                    raw.execute(
                        "UPDATE t SET value = ?1, stored = ?2, rank = ?2, cost = ?3 WHERE id = ?4",
                        params![value.as_bytes(), time(n), 130, id],
                    );
                });
            }),
            insert(&recent),
        ),
        pair(
            "Cache::get by SIEVE, beside no limit",
            1.1,
            get(&plain),
            get(&sieve),
        ),
        pair(
            "Cache::get by LRU, beside no limit",
            1.1,
            get(&plain),
            get(&recent),
        ),
        pair(
            "Cache::get by LFU, beside no limit",
            1.1,
            get(&plain),
            get(&often),
        ),
        pair(
            "Cache::memoize, a hit",
            1.3,
            raw_get(),
            with(&plain, move |cache| {
                let key = key(next(&mut memo) % KEYS);
                let hour = Duration::from_secs(3600);
                drop(
                    cache
                        .memoize(key.as_str(), hour, || unreachable!("it is there"))
                        .expect("a read"),
                );
            }),
        ),
    ]
}

/// As long, in the database, as one of today in microseconds.
fn time(n: u64) -> i64 {
    n.cast_signed() + (1 << 50)
}
