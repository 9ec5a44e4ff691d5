//! What an operation takes when another process has committed since, so that SQLite has dropped the pages that it had in memory; beside what other
//! pages would make of it, and a database that is mapped.

use std::fs;
use std::path::Path;

use diskette::{Index, Store};
use diskette_benches::scaled;
use diskette_testkit::{Child, PATIENCE, role};
use rusqlite::{Connection, params};

use crate::report::Report;
use crate::roles::{dir, now};
use crate::tempdir;

const ENTRIES: u64 = scaled(50_000, 50);
const ROUNDS: u64 = scaled(5_000, 5);
const READ: &str = "SELECT value FROM t WHERE key = ?1";
const WRITE: &str = "UPDATE t SET value = ?2 WHERE key = ?1";

/// Of a database by itself.
struct Paging {
    name: &'static str,
    page: u32,
    mapped: u64,
}

const PAGINGS: [Paging; 4] = [
    Paging::new("pages of 4 KiB, as diskette's", 4 << 10, 0),
    Paging::new("pages of 1 KiB", 1 << 10, 0),
    Paging::new("pages of 16 KiB", 16 << 10, 0),
    Paging::new("pages of 4 KiB, mapped", 4 << 10, 256 << 20),
];

impl Paging {
    const fn new(name: &'static str, page: u32, mapped: u64) -> Self {
        Paging { name, page, mapped }
    }

    #[allow(clippy::disallowed_methods)]
    fn open(&self, dir: &Path) -> Connection {
        let connection = Connection::open(dir.join("raw.db")).expect("a database");
        connection
            .execute_batch(&format!(
                "PRAGMA page_size = {}; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -16384;
                 PRAGMA mmap_size = {};
                 CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, value BLOB);",
                self.page, self.mapped
            ))
            .expect("settings");
        connection
    }
}

pub(crate) fn compare() {
    println!(
        "\nmicroseconds at the median, and reads of a file, of an operation: after its own process's, and after another has committed"
    );
    println!(
        "{:<36} {:>8} {:>6} {:>8} {:>6}",
        "", "own", "reads", "another", "reads"
    );
    for paging in &PAGINGS {
        let dir = tempdir();
        let [mine, other] = [(); 2].map(|()| paging.open(dir.path()));
        fill(&mine);
        let disturb = |n| write(&other, &key(n), n);
        print(&format!("SELECT, {}", paging.name), disturb, |n| {
            let mut statement = mine.prepare_cached(READ).expect("a statement");
            let _: Vec<u8> = statement
                .query_row(params![key(n).as_bytes()], |row| row.get(0))
                .expect("a row");
        });
        print(&format!("UPDATE, {}", paging.name), disturb, |n| {
            write(&mine, &key(n), n);
        });
    }

    let dir = tempdir();
    let store = Store::open(dir.path().join("store")).expect("a store");
    let index = index(&store);
    let all = (0..ENTRIES).map(|n| (key(n), value(n)));
    index.extend(all).expect("entries");
    let mut other = Child::spawn(write_when_told, &[&dir.path().display()]);
    assert_eq!(other.hear(PATIENCE), "ready");
    let mut disturb = |n| {
        other.say(n);
        assert_eq!(other.hear(PATIENCE), "written");
    };
    print("Index::get, not from memory", &mut disturb, |n| {
        index.get(&key(n)).expect("a read").expect("an entry");
    });
    print("Index::insert", &mut disturb, |n| {
        index.insert(&key(n), &value(n)).expect("a write");
    });
}

role! {
    pub(crate) fn write_when_told(parent) {
        let index = index(&Store::open(dir(parent).join("store")).unwrap());
        parent.say("ready");
        loop {
            let n: u64 = parent.hear().parse().unwrap();
            index.insert(&key(n), &value(n)).unwrap();
            parent.say("written");
        }
    }
}

fn print(name: &str, mut disturb: impl FnMut(u64), mut once: impl FnMut(u64)) {
    let mut measure = |disturbed: bool| {
        let mut report = Report::new(1.0);
        let mut reads = 0;
        for n in 0..ROUNDS {
            if disturbed {
                disturb(n * 104_729 % ENTRIES);
            }
            let (before, begun) = (reads_so_far(), now());
            once(n * 7_919 % ENTRIES);
            report.record(begun.elapsed());
            reads += reads_so_far() - before;
        }
        let looking = reads_so_far().abs_diff(reads_so_far());
        (
            report.median(),
            reads as f64 / ROUNDS as f64 - looking as f64,
        )
    };
    // The first time around, pages are read that are not in memory yet.
    measure(false);
    let (own, own_reads) = measure(false);
    let (another, reads) = measure(true);
    println!("{name:<36} {own:>8.1} {own_reads:>6.2} {another:>8.1} {reads:>6.2}");
}

/// System calls of this process that read.
fn reads_so_far() -> u64 {
    let io = fs::read_to_string("/proc/self/io").expect("Linux");
    let line = io.lines().find_map(|line| line.strip_prefix("syscr: "));
    line.and_then(|number| number.parse().ok())
        .expect("a count")
}

fn fill(connection: &Connection) {
    connection.execute_batch("BEGIN").expect("a transaction");
    for n in 0..ENTRIES {
        connection
            .prepare_cached("INSERT INTO t (key, value) VALUES (?1, ?2)")
            .and_then(|mut statement| statement.execute(bytes(&key(n), &value(n))))
            .expect("a row");
    }
    connection
        .execute_batch("COMMIT; PRAGMA wal_checkpoint(TRUNCATE);")
        .expect("a transaction");
}

fn write(connection: &Connection, key: &str, n: u64) {
    let mut statement = connection.prepare_cached(WRITE).expect("a statement");
    statement.execute(bytes(key, &value(n))).expect("a write");
}

fn bytes<'b>(key: &'b str, value: &'b str) -> [&'b [u8]; 2] {
    [key, value].map(str::as_bytes)
}

fn index(store: &Store) -> Index<String, String> {
    Index::new(&store.without_memory(), "bench").expect("an index")
}

fn key(n: u64) -> String {
    format!("https://example.org/{n:010}")
}

/// Never what is there: SQLite writes nothing then.
fn value(n: u64) -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static WRITTEN: AtomicU64 = AtomicU64::new(0);
    format!("{n:010}{:020}", WRITTEN.fetch_add(1, Ordering::Relaxed))
}
