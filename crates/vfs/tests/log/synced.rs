//! Transactions that are synced as they commit.
//!
//! Each of them made the log longer, and a file that has grown takes twice as long to sync.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use diskette_testkit::Child;
use rusqlite::Connection;

use crate::contents::{PATIENCE, copy_log, count_on, member, number, write_aside};
use crate::spilled::heir;

/// How long the log is after each of so many transactions of one page.
fn lengths(dir: &Path, connection: &Connection, times: usize) -> Vec<u64> {
    let lengths = (0..times).map(|_| {
        write_aside(connection).unwrap();
        fs::metadata(dir.join("database-wal")).unwrap().len()
    });
    lengths.collect()
}

#[test]
fn they_find_room_in_the_log_and_what_is_behind_them_says_nothing() {
    let (home, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let dir = home.path();
    let mut connection = member(dir);
    let others = member(dir);
    assert!(copy_log(&connection, "TRUNCATE").unwrap());
    let grown = |lengths: Vec<u64>| lengths.into_iter().collect::<BTreeSet<_>>().len();
    assert_eq!(grown(lengths(dir, &connection, 100)), 100);

    connection
        .execute_batch("PRAGMA synchronous = FULL")
        .unwrap();
    assert_eq!(grown(lengths(dir, &connection, 2)), 2);
    assert!(grown(lengths(dir, &connection, 400)) < 10);
    for _ in 0..3 {
        let counted = count_on(&mut connection).unwrap();
        let mut heir = Child::spawn(heir, &[&dir.display(), &copy.path().display()]);
        assert_eq!(heir.hear(PATIENCE), counted.to_string());
        assert_eq!(number(&others).unwrap(), counted);
        // Of others, who don't sync, nothing is lengthened, and nothing overwritten.
        write_aside(&others).unwrap();
    }
    let end = fs::metadata(dir.join("database-wal")).unwrap().len();

    assert!(copy_log(&others, "RESTART").unwrap());
    assert_eq!(lengths(dir, &connection, 100), [end; 100]);
    assert!(copy_log(&others, "TRUNCATE").unwrap());
    assert!(grown(lengths(dir, &connection, 100)) < 5);
}
