//! The yardstick: the statements that a careful user would write himself, and `flock` where it is about locks.

use std::fs::File;
use std::hint::black_box;
use std::path::Path;
use std::rc::Rc;

use rusqlite::params;

use crate::raw::Raw;
use crate::subject::Subject;

const SCHEMA: &str = "PRAGMA busy_timeout = 600000;
    CREATE TABLE IF NOT EXISTS entries (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, value BLOB);
    CREATE TABLE IF NOT EXISTS deque (pos INTEGER PRIMARY KEY, value BLOB);
    CREATE TABLE IF NOT EXISTS jobs (id INTEGER PRIMARY KEY, state TEXT NOT NULL, attempts INTEGER NOT NULL, owner INTEGER, value BLOB);
    CREATE INDEX IF NOT EXISTS ready ON jobs (id) WHERE state = 'ready'";
const SET: &str = "INSERT INTO entries (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value";
const GET: &str = "SELECT id, value FROM entries WHERE key = ?1";
const DELETE: &str = "DELETE FROM entries WHERE key = ?1";
const PUSH: &str =
    "INSERT INTO deque (pos, value) VALUES ((SELECT coalesce(max(pos), 0) + 1 FROM deque), ?1)";
const FRONT: &str = "SELECT pos, value FROM deque ORDER BY pos LIMIT ?1";
const POP: &str = "DELETE FROM deque WHERE pos = ?1";
const PUSH_JOB: &str = "INSERT INTO jobs (state, attempts, value) VALUES ('ready', 0, ?1)";
const CLAIM: &str = "UPDATE jobs SET state = 'claimed', owner = 7, attempts = attempts + 1 WHERE id IN \
    (SELECT id FROM jobs WHERE state = 'ready' ORDER BY id LIMIT ?1) RETURNING id, value";
const COMPLETE: &str = "DELETE FROM jobs WHERE id = ?1";

pub(crate) fn open(power: bool) -> Subject {
    let synchronous = if power { "FULL" } else { "NORMAL" };
    let schema = format!("PRAGMA synchronous = {synchronous}; {SCHEMA}");
    let set = Rc::new(Raw::open(Path::new("raw.db"), &schema));
    let [get, delete, push, pop, job] = [0; 5].map(|_| Rc::clone(&set));
    let file = File::create("lock").expect("a file");
    Subject::default()
        .with("set", move |items| {
            each(&set, items, |item| {
                set.execute(SET, params![item.key, item.value.as_bytes()]);
            })
        })
        .with("get", move |items| {
            for item in items {
                black_box(get.row(GET, params![item.key]));
            }
            items.len()
        })
        .with("delete", move |items| {
            each(&delete, items, |item| {
                delete.execute(DELETE, params![item.key]);
            })
        })
        .with("push", move |items| {
            each(&push, items, |item| {
                push.execute(PUSH, params![item.value.as_bytes()]);
            })
        })
        .with("pop", move |items| {
            let mut popped = 0;
            pop.transaction(|pop| {
                for (pos, _) in pop.rows(FRONT, params![items.len() as i64]) {
                    pop.execute(POP, params![pos]);
                    popped += 1;
                }
            });
            popped
        })
        .with("job", move |items| {
            each(&job, items, |item| {
                job.execute(PUSH_JOB, params![item.value.as_bytes()]);
            });
            let claimed = job.rows(CLAIM, params![items.len() as i64]);
            each(&job, &claimed, |(id, _)| job.execute(COMPLETE, params![id]))
        })
        .with("lock", move |_| {
            file.lock().expect("a lock");
            file.unlock().expect("a lock");
            1
        })
}

/// In a transaction, if there are several.
fn each<T>(raw: &Raw, all: &[T], run: impl Fn(&T)) -> usize {
    match all {
        [one] => run(one),
        _ => raw.transaction(|_| all.iter().for_each(run)),
    }
    all.len()
}
