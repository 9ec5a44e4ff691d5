//! What is measured: the same work, in raw SQLite and in diskette. Values have 30 bytes.

use std::path::Path;
use std::rc::Rc;

use diskette::{Deque, Index, Store};
use diskette_benches::scaled;
use rusqlite::params;

use crate::raw::Raw;
use crate::{again, caching, holding, queueing};

pub(crate) struct Pair {
    /// What is done, and beside what, if that isn't raw SQLite.
    pub(crate) name: &'static str,
    pub(crate) budget: f64,
    /// How many operations one run of the closures is.
    pub(crate) each: u32,
    pub(crate) raw: Box<dyn FnMut()>,
    pub(crate) ours: Box<dyn FnMut()>,
}

/// Keys in the indexes.
pub(crate) const KEYS: u64 = scaled(50_000, 1_000);

/// Items in the long deques.
const ITEMS: i64 = scaled(100_000, 1_000);

const INDEX: &str = "CREATE TABLE t (id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, value BLOB)";
const UPSERT: &str = "INSERT INTO t (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value";
const DEQUE: &str = "CREATE TABLE t (pos INTEGER PRIMARY KEY, value BLOB); CREATE TABLE claims (pos INTEGER PRIMARY KEY, value BLOB)";
const PUSH: &str =
    "INSERT INTO t (pos, value) VALUES ((SELECT coalesce(max(pos), 0) + 1 FROM t), ?1)";
const FRONT: &str = "SELECT pos, value FROM t ORDER BY pos LIMIT 1";
const DELETE: &str = "DELETE FROM t WHERE pos = ?1";
const POINT: &str = "SELECT pos, value FROM t WHERE pos = ?1";

pub(crate) fn all(dir: &Path) -> Vec<Pair> {
    [
        index(dir),
        again::all(dir),
        deque(dir),
        queueing::all(dir),
        caching::all(dir),
        large(dir),
        holding::all(dir),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn index(dir: &Path) -> Vec<Pair> {
    let raw = Rc::new(Raw::open(&dir.join("index.db"), INDEX));
    raw.transaction(|raw| {
        (0..KEYS).for_each(|n| raw.execute(UPSERT, params![key(n).as_bytes(), value(n).as_bytes()]))
    });
    let store = all_from_disk(&dir.join("index"));
    let ours = Index::<String, String>::new(&store, "bench").expect("an index");
    ours.extend((0..KEYS).map(|n| (key(n), value(n))))
        .expect("room");

    let pair = |name, budget, raw, ours| Pair {
        name,
        budget,
        each: 1,
        raw,
        ours,
    };
    let mut new = (KEYS.., KEYS..);
    let mut over = (scattered(), scattered());
    let mut look = (scattered(), scattered());
    // Far from those that stay.
    let mut gone = ((1 << 32).., (1 << 32)..);
    let mut batch = (scattered(), scattered());
    vec![
        pair(
            "Index::get",
            1.3,
            with(&raw, move |raw| {
                drop(raw.row(
                    "SELECT id, value FROM t WHERE key = ?1",
                    params![key(next(&mut look.0) % KEYS).as_bytes()],
                ))
            }),
            with(&Rc::new(ours.clone()), move |ours| {
                drop(
                    ours.get(key(next(&mut look.1) % KEYS).as_str())
                        .expect("a read"),
                )
            }),
        ),
        pair(
            "Index::insert, over",
            1.3,
            with(&raw, move |raw| {
                let n = next(&mut over.0);
                raw.execute(
                    UPSERT,
                    params![key(n % KEYS).as_bytes(), value(n).as_bytes()],
                );
            }),
            with(&Rc::new(ours.clone()), move |ours| {
                let n = next(&mut over.1);
                ours.insert(key(n % KEYS).as_str(), value(n).as_str())
                    .expect("a write");
            }),
        ),
        pair(
            "Index::insert, new",
            1.3,
            with(&raw, move |raw| {
                let n = next(&mut new.0);
                raw.execute(UPSERT, params![key(n).as_bytes(), value(n).as_bytes()]);
            }),
            with(&Rc::new(ours.clone()), move |ours| {
                let n = next(&mut new.1);
                ours.insert(key(n).as_str(), value(n).as_str())
                    .expect("a write");
            }),
        ),
        pair(
            // With a count to keep, which the raw statements have not.
            "Index::insert, then remove",
            1.5,
            with(&raw, move |raw| {
                let key = key(next(&mut gone.0));
                raw.execute(UPSERT, params![key.as_bytes(), value(0).as_bytes()]);
                raw.transaction(|raw| {
                    let (id, _) = raw.row(
                        "SELECT id, value FROM t WHERE key = ?1",
                        params![key.as_bytes()],
                    );
                    raw.execute("DELETE FROM t WHERE id = ?1", params![id]);
                });
            }),
            with(&Rc::new(ours.clone()), move |ours| {
                let key = key(next(&mut gone.1));
                ours.insert(key.as_str(), value(0).as_str())
                    .expect("a write");
                ours.remove(key.as_str()).expect("a write");
            }),
        ),
        Pair {
            name: "Index::extend by 100, each",
            budget: 1.3,
            each: 100,
            raw: with(&raw, move |raw| {
                raw.transaction(|raw| {
                    for n in batch.0.by_ref().take(100) {
                        raw.execute(
                            UPSERT,
                            params![key(n % KEYS).as_bytes(), value(n).as_bytes()],
                        );
                    }
                });
            }),
            ours: with(&Rc::new(ours), move |ours| {
                let entries = batch
                    .1
                    .by_ref()
                    .take(100)
                    .map(|n| (key(n % KEYS), value(n)));
                ours.extend(entries).expect("a write");
            }),
        },
    ]
}

fn deque(dir: &Path) -> Vec<Pair> {
    let raw = Rc::new(Raw::open(&dir.join("deque.db"), DEQUE));
    raw.transaction(|raw| (0..ITEMS).for_each(|_| raw.execute(PUSH, params![value(0).as_bytes()])));
    let store = Store::open(dir.join("deque")).expect("a store");
    let ours = Deque::<String>::new(&store, "bench").expect("a deque");
    ours.extend((0..ITEMS).map(|_| value(0))).expect("room");
    let ours = Rc::new(ours);

    let pair = |name, budget, raw, ours| Pair {
        name,
        budget,
        each: 1,
        raw,
        ours,
    };
    let mut pushed = (0_u64.., 0_u64..);
    let mut batch = (0_u64.., 0_u64..);
    let middle = || params![ITEMS / 2];
    vec![
        pair(
            "Deque::len, of 100,000",
            1.3,
            with(&raw, move |raw| drop(raw.row(POINT, middle()))),
            with(&ours, |ours| assert!(ours.len().expect("a read") > 0)),
        ),
        pair(
            "Deque::get, the middle of 100,000",
            1.3,
            with(&raw, move |raw| drop(raw.row(POINT, middle()))),
            with(&ours, |ours| {
                drop(ours.get(ITEMS as usize / 2).expect("a read"))
            }),
        ),
        pair(
            "Deque::push_back",
            1.3,
            with(&raw, move |raw| {
                raw.execute(PUSH, params![value(next(&mut pushed.0)).as_bytes()])
            }),
            with(&ours, move |ours| {
                ours.push_back(value(next(&mut pushed.1)).as_str())
                    .expect("a write")
            }),
        ),
        Pair {
            name: "Deque::extend by 100, each",
            budget: 1.3,
            each: 100,
            raw: with(&raw, move |raw| {
                raw.transaction(|raw| {
                    batch
                        .0
                        .by_ref()
                        .take(100)
                        .for_each(|n| raw.execute(PUSH, params![value(n).as_bytes()]));
                });
            }),
            ours: with(&ours, move |ours| {
                ours.extend(batch.1.by_ref().take(100).map(value))
                    .expect("a write")
            }),
        },
        pair(
            "Deque::pop_front",
            1.3,
            with(&raw, |raw| {
                raw.transaction(|raw| {
                    let (pos, _) = raw.row(FRONT, params![]);
                    raw.execute(DELETE, params![pos]);
                });
            }),
            with(&ours, |ours| drop(ours.pop_front().expect("a write"))),
        ),
        pair(
            "Deque: claim_front, then complete",
            2.0,
            with(&raw, |raw| {
                raw.transaction(|raw| {
                    let (pos, value) = raw.row(FRONT, params![]);
                    raw.execute(
                        "INSERT INTO claims (pos, value) VALUES (?1, ?2)",
                        params![pos, value],
                    );
                    raw.execute(DELETE, params![pos]);
                });
                raw.execute("DELETE FROM claims", params![]);
            }),
            with(&ours, |ours| {
                let claim = ours.try_claim_front().expect("a write").expect("an item");
                claim.complete_now().expect("a write");
            }),
        ),
    ]
}

/// On both sides of the length at which a value becomes a file, which is synced by itself.
fn large(dir: &Path) -> Vec<Pair> {
    let raw = Rc::new(Raw::open(&dir.join("large.db"), INDEX));
    let store = Store::open(dir.join("large")).expect("a store");
    let ours = Rc::new(Index::<u64, Bytes>::new(&store, "bench").expect("an index"));
    let size = |name: [&'static str; 2], bytes: usize| {
        let mut written = (0_u64.., 0_u64..);
        [
            Pair {
                name: name[0],
                budget: f64::INFINITY,
                each: 1,
                raw: with(&raw, move |raw| {
                    let value = large_value(next(&mut written.0), bytes);
                    raw.execute(UPSERT, params![b"large", value]);
                }),
                ours: with(&ours, move |ours| {
                    let value = large_value(next(&mut written.1), bytes);
                    ours.insert(&0, &Bytes(value)).expect("a write");
                }),
            },
            Pair {
                name: name[1],
                budget: f64::INFINITY,
                each: 1,
                raw: with(&raw, |raw| {
                    drop(raw.row("SELECT id, value FROM t WHERE key = ?1", params![b"large"]))
                }),
                ours: with(&ours, |ours| drop(ours.get(&0).expect("a read"))),
            },
        ]
    };
    [
        size(
            ["insert of 500 KiB, inline", "get of 500 KiB, inline"],
            500 << 10,
        ),
        size(
            ["insert of 600 KiB, a file", "get of 600 KiB, a file"],
            600 << 10,
        ),
        size(["insert of 4 MiB, a file", "get of 4 MiB, a file"], 4 << 20),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Bytes that are encoded as such.
#[derive(serde::Serialize, serde::Deserialize)]
struct Bytes(#[serde(with = "serde_bytes")] Vec<u8>);

/// Each unlike the last in every page: SQLite doesn't write a page that stays as it was.
fn large_value(n: u64, bytes: usize) -> Vec<u8> {
    vec![n.to_le_bytes()[0]; bytes]
}

/// With so little memory that all that is read is kept there, and gone when it is read again.
pub(crate) fn all_from_disk(path: &Path) -> Store {
    let store = Store::options().memory(64 << 10).open(path);
    store.expect("a store")
}

pub(crate) fn with<T: 'static>(
    on: &Rc<T>,
    mut operation: impl FnMut(&T) + 'static,
) -> Box<dyn FnMut()> {
    let on = Rc::clone(on);
    Box::new(move || operation(&on))
}

pub(crate) fn key(n: u64) -> String {
    format!("https://example.org/{n:010}")
}

pub(crate) fn value(n: u64) -> String {
    format!("{n:030}")
}

/// Numbers below [`KEYS`] in no order, and above it in the same one: never twice the same value.
pub(crate) fn scattered() -> impl Iterator<Item = u64> {
    (0..).map(|n: u64| (n * 7_919) % KEYS + KEYS * (n / KEYS))
}

pub(crate) fn next(numbers: &mut impl Iterator<Item = u64>) -> u64 {
    numbers.next().expect("an endless row")
}
