//! A process of the benchmark, on diskette and on the raw statements. The other side, in the same words, is work.py.

use std::env;
use std::io::{Write, stdin, stdout};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use diskette::{Keep, Queue, Store};
use rusqlite::{Connection, params};

use crate::{Done, ON_POSTGRES};

trait Jobs {
    fn push(&self, jobs: &[String]);
    /// Claims up to so many and completes them; how many there were.
    fn work(&self, most: u64) -> u64;
}

pub(crate) fn work(peer: &str, directory: &Path, number: u64, phase: &str, jobs: u64, batch: u64) {
    let queue: Box<dyn Jobs> = match peer {
        "diskette" => Box::new(open(&directory.join("store"))),
        ON_POSTGRES => Box::new(open(&in_server(directory))),
        _ => Box::new(Raw::open(directory)),
    };
    println!("ready");
    stdin().read_line(&mut String::new()).expect("a start");
    let (mut done, begin) = (0, now());
    if phase == "push" {
        while done < jobs {
            let (first, some) = (number * jobs + done, batch.min(jobs - done));
            let jobs: Vec<_> = (first..first + some)
                .map(|job| format!("{job:030}"))
                .collect();
            queue.push(&jobs);
            done += some;
        }
    } else {
        loop {
            match queue.work(batch) {
                0 => break,
                some => done += some,
            }
        }
    }
    let done = Done {
        done,
        begin,
        end: now(),
    };
    println!("{}", serde_json::to_string(&done).expect("numbers"));
    stdout().flush().expect("a parent that listens");
}

#[allow(clippy::disallowed_methods)]
fn now() -> f64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.expect("after 1970").as_secs_f64()
}

/// A store for each directory.
fn in_server(directory: &Path) -> PathBuf {
    let server = env::var("PEERS_POSTGRES").expect("a server");
    let name = directory.file_name().unwrap_or_default().display();
    format!("{server}&store=store{name}")
        .replace("store.", "store_")
        .into()
}

fn open(path: &Path) -> Queue<String> {
    let store = Store::open(path).expect("a store");
    let options = Queue::options().keep_done(Keep::none());
    options.new(&store, "jobs").expect("a queue")
}

impl Jobs for Queue<String> {
    fn push(&self, jobs: &[String]) {
        match jobs {
            [job] => drop(Queue::push(self, job.as_str()).expect("a write")),
            jobs => drop(self.push_all(jobs).expect("a write")),
        }
    }

    fn work(&self, most: u64) -> u64 {
        if most == 1 {
            let claim = self.try_claim().expect("a write");
            return claim.map_or(0, |claim| {
                claim.complete_now().expect("a write");
                1
            });
        }
        let claims = self.claim_many(most as usize).expect("a write");
        let some = claims.len() as u64;
        self.complete_all(claims).expect("a write");
        some
    }
}

/// One table, one index of what is ready.
struct Raw(Connection);

const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, state TEXT NOT NULL, priority INTEGER NOT NULL, \
        due INTEGER, pushed INTEGER NOT NULL, attempts INTEGER NOT NULL, owner INTEGER, error TEXT, value BLOB);
    CREATE INDEX IF NOT EXISTS t_ready ON t (priority, id) WHERE state = 'ready';
    CREATE INDEX IF NOT EXISTS t_due ON t (due) WHERE due IS NOT NULL;
    CREATE INDEX IF NOT EXISTS t_owner ON t (owner) WHERE owner IS NOT NULL";
const PUSH: &str =
    "INSERT INTO t (state, priority, pushed, attempts, value) VALUES ('ready', 0, ?1, 0, ?2)";
const CLAIM: &str = "UPDATE t SET state = 'claimed', owner = 7, attempts = attempts + 1 WHERE id IN \
    (SELECT id FROM t WHERE state = 'ready' ORDER BY priority, id LIMIT ?1) RETURNING id, value";
const COMPLETE: &str = "DELETE FROM t WHERE id = ?1";

impl Raw {
    #[allow(clippy::disallowed_methods)]
    fn open(directory: &Path) -> Self {
        let connection = Connection::open(directory.join("raw.db")).expect("a database");
        connection
            .busy_timeout(Duration::from_secs(600))
            .expect("a setting");
        let settings =
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -16384";
        connection
            .execute_batch(&format!("{settings}; {SCHEMA}"))
            .expect("a database");
        Raw(connection)
    }

    fn execute(&self, sql: &str, params: impl rusqlite::Params) {
        let statement = self.0.prepare_cached(sql);
        statement
            .and_then(|mut statement| statement.execute(params))
            .expect("a write");
    }

    /// In a transaction, if there are several.
    fn each<T>(&self, all: &[T], run: impl Fn(&T)) {
        if all.len() > 1 {
            self.execute("BEGIN IMMEDIATE", params![]);
        }
        all.iter().for_each(run);
        if all.len() > 1 {
            self.execute("COMMIT", params![]);
        }
    }
}

impl Jobs for Raw {
    fn push(&self, jobs: &[String]) {
        let now = (now() * 1e6) as i64;
        self.each(jobs, |job| self.execute(PUSH, params![now, job.as_bytes()]));
    }

    fn work(&self, most: u64) -> u64 {
        let mut claim = self.0.prepare_cached(CLAIM).expect("a statement");
        let claimed = claim
            .query_map(params![most.cast_signed()], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .and_then(Iterator::collect::<rusqlite::Result<Vec<(i64, Vec<u8>)>>>);
        let claimed = claimed.expect("a write");
        drop(claim);
        self.each(&claimed, |(id, _)| self.execute(COMPLETE, params![id]));
        claimed.len() as u64
    }
}
