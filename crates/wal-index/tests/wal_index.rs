//! What changes the header, and what doesn't.
#![allow(clippy::unwrap_used, reason = "this is how a test fails")]

use std::path::Path;

use diskette_wal_index::WalIndex;
use rusqlite::Connection;

#[allow(clippy::disallowed_methods)]
fn open(path: &Path) -> Connection {
    let connection = Connection::open(path).unwrap();
    connection
        .execute_batch("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0")
        .unwrap();
    connection
}

#[test]
fn each_commit_changes_the_header_and_nothing_that_changes_no_row_does() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    let other = open(&path);
    other
        .execute_batch("CREATE TABLE t (id INTEGER PRIMARY KEY, n)")
        .unwrap();
    let index = WalIndex::of(open(&path)).unwrap();

    let mut seen = Vec::new();
    let mut changes = |sql: &str| {
        let before = index.header().unwrap();
        assert!(index.is(&before));
        other.execute_batch(sql).unwrap();
        let after = index.header().unwrap();
        assert_eq!(index.is(&before), before == after);
        if before != after {
            assert!(!seen.contains(&after), "{sql}");
            seen.push(after);
        }
        before != after
    };
    assert!(changes("INSERT INTO t VALUES (1, 1)"));
    assert!(changes("UPDATE t SET n = 2"));
    assert!(!changes("UPDATE t SET n = 2"));
    assert!(!changes("BEGIN; UPDATE t SET n = 3; ROLLBACK"));
    assert!(!changes("PRAGMA wal_checkpoint(PASSIVE)"));
    assert!(changes("UPDATE t SET n = 1"), "where the log begins anew");
    assert!(!changes("PRAGMA wal_checkpoint(RESTART)"));
    assert!(changes("UPDATE t SET n = 2"));
    assert!(changes("PRAGMA wal_checkpoint(TRUNCATE)"), "in vain");
    assert!(changes("UPDATE t SET n = 1"));
    assert!(changes("VACUUM"));
    assert!(changes("PRAGMA user_version = 7"));
    assert!(changes("DELETE FROM t"));
}

#[test]
fn the_index_outlives_all_other_connections() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    let other = open(&path);
    other.execute_batch("CREATE TABLE t (n)").unwrap();
    let index = WalIndex::of(open(&path)).unwrap();
    let before = index.header().unwrap();
    drop(other);
    assert!(index.is(&before));
    open(&path)
        .execute_batch("INSERT INTO t VALUES (1)")
        .unwrap();
    assert!(!index.is(&before));
    assert!(index.header().is_some());
}

#[test]
#[allow(clippy::disallowed_methods)]
fn a_database_without_a_log_that_is_shared_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    assert!(WalIndex::of(Connection::open_in_memory().unwrap()).is_err());
    assert!(WalIndex::of(Connection::open(dir.path().join("rollback")).unwrap()).is_err());
    let alone = open(&dir.path().join("alone"));
    alone
        .execute_batch("PRAGMA locking_mode = EXCLUSIVE; CREATE TABLE t (n)")
        .unwrap();
    assert!(WalIndex::of(alone).is_err());
}
