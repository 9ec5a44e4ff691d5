//! What the processes do.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use diskette::{Cache, Deque, Index, Store};
use diskette_benches::scaled;
use diskette_ipc::{Deadline, Doorbell};
use diskette_testkit::{Gate, PATIENCE, Parent, role};
use rusqlite::{Connection, params};

use crate::report::Report;
use crate::{PROCESSES, after_others, holding};

const KEYS: u64 = 10_000;
const ASKED: usize = scaled(3_000, 20);

/// What is done, by its name.
#[derive(Clone, Copy)]
pub(crate) enum Mix {
    Writes,
    Reads,
}

impl Mix {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Mix::Writes => "writes",
            Mix::Reads => "90% reads",
        }
    }

    fn writes(name: &str, n: u64) -> bool {
        name == Mix::Writes.name() || n.is_multiple_of(10)
    }
}

/// Plays the role that this process was started for.
pub(crate) fn play() {
    work_on_raw_sqlite();
    work_on_diskette();
    work_on_one_cache();
    work_on_shards();
    answer_by_futex();
    answer_by_deque();
    claim_and_wait();
    after_others::write_when_told();
    holding::play();
}

#[allow(clippy::disallowed_methods)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Made before the processes come: SQLite does not bear that several of them turn WAL on at once.
pub(crate) fn create_raw_sqlite(dir: &Path) {
    open_raw_sqlite(dir)
        .execute_batch(
            "PRAGMA journal_mode = WAL;
             CREATE TABLE t (id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, value BLOB);",
        )
        .expect("a fresh database");
}

#[allow(clippy::disallowed_methods)]
fn open_raw_sqlite(dir: &Path) -> Connection {
    let connection = Connection::open(dir.join("raw.db")).expect("a database");
    connection.busy_timeout(PATIENCE).expect("a setting");
    connection
        .execute_batch("PRAGMA synchronous = NORMAL; PRAGMA cache_size = -16384;")
        .expect("a setting");
    connection
}

role! {
    pub(crate) fn work_on_raw_sqlite(parent) {
        let connection = open_raw_sqlite(&dir(parent));
        let read = "SELECT value FROM t WHERE key = ?1";
        let write =
            "INSERT INTO t (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value";
        work(parent, |key, value| match value {
            Some(value) => {
                connection.execute_batch("BEGIN IMMEDIATE").unwrap();
                let mut statement = connection.prepare_cached(write).unwrap();
                statement.execute(params![key.as_bytes(), value.as_bytes()]).unwrap();
                connection.execute_batch("COMMIT").unwrap();
            }
            None => {
                let mut statement = connection.prepare_cached(read).unwrap();
                let _ = statement.query_row(params![key.as_bytes()], |row| row.get::<_, Vec<u8>>(0));
            }
        });
    }
}

role! {
    pub(crate) fn work_on_diskette(parent) {
        let store = Store::open(dir(parent).join("store")).unwrap();
        let index = Index::<String, String>::new(&store, "bench").unwrap();
        work(parent, |key, value| match value {
            Some(value) => index.insert(key, value).unwrap(),
            None => drop(index.get(key).unwrap()),
        });
    }
}

role! {
    pub(crate) fn work_on_one_cache(parent) {
        let store = Store::open(dir(parent).join("store")).unwrap();
        let cache = Cache::<String, String>::new(&store, "bench").unwrap();
        work(parent, |key, value| match value {
            Some(value) => cache.insert(key, value).unwrap(),
            None => drop(cache.get(key).unwrap()),
        });
    }
}

role! {
    pub(crate) fn work_on_shards(parent) {
        let store = Store::open(dir(parent).join("store")).unwrap();
        let options = Cache::<String, String>::options().shards(PROCESSES as u32);
        let cache = options.new(&store, "bench").unwrap();
        work(parent, |key, value| match value {
            Some(value) => cache.insert(key, value).unwrap(),
            None => drop(cache.get(key).unwrap()),
        });
    }
}

role! {
    pub(crate) fn answer_by_futex(parent) {
        let bell = Doorbell::open(dir(parent).join("bell")).unwrap();
        let mut seen = bell.seen(0);
        parent.say("ready");
        loop {
            while !bell.wait(0, seen, Deadline::after(PATIENCE)) {}
            seen = bell.seen(0);
            bell.ring(1);
        }
    }
}

role! {
    pub(crate) fn answer_by_deque(parent) {
        let [asked, answered] = deques(&dir(parent));
        parent.say("ready");
        while let Some(n) = asked.pop_front_timeout(PATIENCE).unwrap() {
            answered.push_back(&n).unwrap();
        }
    }
}

role! {
    pub(crate) fn claim_and_wait(parent) {
        let store = Store::open(dir(parent).join("store")).unwrap();
        let _claim = Deque::<u64>::new(&store, "todo").unwrap().claim_front(PATIENCE).unwrap();
        parent.say("claimed");
        parent.hear();
    }
}

pub(crate) fn ask_by_futex(dir: &Path) -> Report {
    let bell = Doorbell::open(dir.join("bell")).expect("a bell");
    ask(|_| {
        let seen = bell.seen(1);
        bell.ring(0);
        while !bell.wait(1, seen, Deadline::after(PATIENCE)) {}
    })
}

pub(crate) fn ask_by_deque(dir: &Path) -> Report {
    let [asked, answered] = deques(dir);
    ask(|n| {
        asked.push_back(&n).expect("a write");
        answered
            .pop_front_timeout(PATIENCE)
            .expect("a read")
            .expect("an answer");
    })
}

/// Halves of round trips.
fn ask(mut once: impl FnMut(u64)) -> Report {
    let mut report = Report::new(1.0);
    for n in 0..ASKED as u64 {
        let asked = now();
        once(n);
        report.record(asked.elapsed() / 2);
    }
    report
}

/// Runs an operation again and again, from the opening of the gate on.
fn work(parent: &Parent, mut operation: impl FnMut(&str, Option<&str>)) {
    let (me, seconds, mix): (u64, f64, String) = (parent.arg(1), parent.arg(2), parent.arg(3));
    operation("first", Some("value"));
    parent.say("ready");
    Gate::pass(dir(parent).join("gate"));
    let mut report = Report::new(seconds);
    let end = now() + Duration::from_secs_f64(seconds);
    let mut n = me;
    let mut start = now();
    while start < end {
        n += 1;
        let key = format!("https://example.org/{:010}", (n * 7_919) % KEYS);
        let value = Mix::writes(&mix, n).then(|| format!("{me:010}{n:020}"));
        start = now();
        operation(&key, value.as_deref());
        report.record(start.elapsed());
    }
    parent.say(report.to_line());
    parent.hear();
}

fn deques(dir: &Path) -> [Deque<u64>; 2] {
    let store = Store::open(dir.join("store")).expect("a store");
    ["asked", "answered"].map(|name| Deque::new(&store, name).expect("a deque"))
}

pub(crate) fn dir(parent: &Parent) -> PathBuf {
    PathBuf::from(parent.arg::<String>(0))
}
