//! Transactions that write to the log before they commit, since they have no room in memory.

use std::fs;
use std::path::{Path, PathBuf};

use diskette_testkit::{Child, role};
use rusqlite::Connection;

use crate::contents::{
    PATIENCE, begin, change, copy_log, count_on, member, must_be_sound, number, stranger,
};

fn cramped(dir: &Path) -> Connection {
    let connection = member(dir);
    connection.execute_batch("PRAGMA cache_spill = 1").unwrap();
    connection
}

/// More than what is gathered before it goes out.
const COME: &str = "INSERT INTO rows VALUES (1000, 0, zeroblob(300000))";
static OTHER: [u8; 300_000] = [1; 300_000];
const GO: &str = "DELETE FROM rows WHERE id = 1000";

#[test]
fn one_that_is_rolled_back_leaves_nothing_to_what_others_write() {
    let home = tempfile::tempdir().unwrap();
    let (mut first, mut second) = (cramped(home.path()), member(home.path()));
    for round in 1..10 {
        // So that what it reads is not in the log, into which it writes.
        assert!(copy_log(&second, "TRUNCATE").unwrap());
        let next = begin(&mut first).unwrap();
        change(&next).unwrap();
        next.execute_batch(COME).unwrap();
        next.rollback().unwrap();

        assert_eq!(count_on(&mut second).unwrap(), round);
        let come = "INSERT INTO rows VALUES (1000, 0, ?1)";
        second.execute(come, [&OTHER[..]]).unwrap();
        let mut read = first
            .prepare("SELECT fill = ?1 FROM rows WHERE id = 1000")
            .unwrap();
        let same: bool = read.query_row([&OTHER[..]], |row| row.get(0)).unwrap();
        assert!(same);
        second.execute_batch(GO).unwrap();
        assert_eq!(number(&first).unwrap(), round);
    }
}

role! {
    /// What is found by who has only what is in the files.
    pub(crate) fn heir(parent) {
        let (dir, copy): (PathBuf, PathBuf) = (parent.arg(0), parent.arg(1));
        for file in ["database", "database-wal"] {
            fs::copy(dir.join(file), copy.join(file)).unwrap();
        }
        let connection = stranger(&copy);
        must_be_sound(&connection);
        parent.say(number(&connection).unwrap());
    }
}

#[test]
fn one_that_writes_pages_twice_and_takes_some_back_is_whole_in_the_file() {
    let home = tempfile::tempdir().unwrap();
    let mut connection = cramped(home.path());
    for round in 1..10 {
        let next = begin(&mut connection).unwrap();
        change(&next).unwrap();
        next.execute_batch("SAVEPOINT some").unwrap();
        change(&next).unwrap();
        next.execute_batch(COME).unwrap();
        next.execute_batch("ROLLBACK TO some").unwrap();
        next.execute_batch(COME).unwrap();
        next.execute_batch(GO).unwrap();
        next.execute_batch("UPDATE rows SET number = number WHERE id % 7 = 0")
            .unwrap();
        next.commit().unwrap();

        let copy = tempfile::tempdir().unwrap();
        let mut heir = Child::spawn(heir, &[&home.path().display(), &copy.path().display()]);
        assert_eq!(heir.hear(PATIENCE), round.to_string());
        assert_eq!(number(&connection).unwrap(), round);
    }
}
