//! What SQLite leaves that is killed at each step of a commit that begins the log anew.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(clippy::unwrap_used, reason = "this is how a test fails")]

use std::path::{Path, PathBuf};

use diskette_testkit::{Child, PATIENCE, kill_at_step, role, thread_id};
use diskette_wal_index::mend;
use rusqlite::Connection;

const COUNT_ON: &str = "UPDATE t SET n = n + 1 RETURNING n";

#[allow(clippy::disallowed_methods)]
fn open(path: &Path) -> Connection {
    let connection = Connection::open(path).unwrap();
    let settings = "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0;
        CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, n);
        INSERT OR IGNORE INTO t VALUES (1, 0)";
    connection.execute_batch(settings).unwrap();
    connection
}

fn number(connection: &Connection, sql: &str) -> i64 {
    connection.query_row(sql, [], |row| row.get(0)).unwrap()
}

role! {
    fn victim(parent) {
        let connection = open(&parent.arg::<PathBuf>(0));
        let mut count_on = connection.prepare(COUNT_ON).unwrap();
        parent.say(thread_id());
        parent.hear();
        let _: i64 = count_on.query_row([], |row| row.get(0)).unwrap();
        parent.say("done");
        parent.hear();
    }
}

/// SQLite alone loses the commit that comes after the kill: it empties the log in two steps.
#[test]
fn the_next_commit_is_seen() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    let (writer, reader) = (open(&path), open(&path));
    let index = dir.path().join("db-shm");
    for step in 0.. {
        let mut child = Child::spawn(victim, &[&path.display()]);
        let thread = child.hear(PATIENCE).parse().unwrap();
        mend(&writer);
        let before = number(&writer, COUNT_ON);
        // All of it is in the database, so that the next commit begins it anew.
        assert_eq!(number(&writer, "PRAGMA wal_checkpoint(PASSIVE)"), 0);
        let was_killed = kill_at_step(child, thread, "go", &[(&index, 136)], step);
        mend(&writer);
        let after = number(&writer, COUNT_ON);
        assert!((before + 1..=before + 2).contains(&after), "at step {step}");
        assert_eq!(number(&reader, "SELECT n FROM t"), after, "at step {step}");
        if !was_killed {
            assert!(step > 5);
            return;
        }
    }
}
