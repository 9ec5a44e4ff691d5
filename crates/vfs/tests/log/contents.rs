//! What is in the database of these tests: rows on many pages, that all of them say the same number at any time.

use std::path::Path;
use std::time::Duration;

use diskette_ipc::{Deadline, FileLock, Mode};
use diskette_vfs::LogLocks;
use rusqlite::{Connection, OpenFlags, Result, Transaction};

const ROWS: u32 = 40;

/// Opens the database in `dir`, as a member.
pub(crate) fn member(dir: &Path) -> Connection {
    let _alone = alone(dir);
    let connection = prepared(connect(dir));
    let mode = "PRAGMA journal_mode = WAL";
    let mode: String = connection.query_row(mode, [], |row| row.get(0)).unwrap();
    assert_eq!(mode, "wal");
    let settings = "PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 0;
        CREATE TABLE IF NOT EXISTS rows (id INTEGER PRIMARY KEY, number INTEGER, fill BLOB);
        CREATE TABLE IF NOT EXISTS aside (id INTEGER PRIMARY KEY, number INTEGER);
        INSERT OR IGNORE INTO aside VALUES (1, 0)";
    connection.execute_batch(settings).unwrap();
    let fill = "WITH RECURSIVE n (id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n LIMIT ?1)
        INSERT INTO rows SELECT id, 0, zeroblob(1500) FROM n WHERE NOT EXISTS (SELECT 1 FROM rows)";
    connection.execute(fill, [ROWS]).unwrap();
    connection
}

/// Opens it as one who will be a member with the first statement.
pub(crate) fn newcomer(dir: &Path) -> Connection {
    let _alone = alone(dir);
    connect(dir)
}

fn alone(dir: &Path) -> FileLock {
    let opening = FileLock::open(dir.join("open")).unwrap();
    let deadline = Deadline::after(PATIENCE);
    assert!(opening.lock(Mode::Exclusive, deadline).unwrap());
    opening
}

fn connect(dir: &Path) -> Connection {
    let locks = LogLocks::open(&dir.join("locks")).unwrap();
    let connection = locks.connect(|vfs| match vfs {
        Some(vfs) => Connection::open_with_flags_and_vfs(database(dir), OpenFlags::default(), vfs),
        None => Connection::open_with_flags(database(dir), OpenFlags::default()),
    });
    connection.unwrap()
}

/// Opens it as any other program would.
pub(crate) fn stranger(dir: &Path) -> Connection {
    prepared(Connection::open_with_flags(database(dir), OpenFlags::default()).unwrap())
}

/// Opens it as one who may only read.
pub(crate) fn reader_only(dir: &Path) -> Connection {
    let database = format!("file:{}?readonly_shm=1", database(dir).display());
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    prepared(Connection::open_with_flags(database, flags).unwrap())
}

/// Long enough for anything, on any machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// Hardly a page is remembered, so that all is read from the files again.
fn prepared(connection: Connection) -> Connection {
    connection.busy_timeout(PATIENCE).unwrap();
    connection
        .execute_batch("PRAGMA cache_size = 1; PRAGMA cache_spill = OFF")
        .unwrap();
    connection
}

fn database(dir: &Path) -> std::path::PathBuf {
    dir.join("database")
}

/// The number that all rows say.
pub(crate) fn number(connection: &Connection) -> Result<i64> {
    let read = "SELECT min(number), max(number), count(*), count(DISTINCT fill) FROM rows";
    let mut read = connection.prepare(read)?;
    let (least, most, rows, fills): (i64, i64, u32, u32) = read.query_row([], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
    })?;
    assert_eq!((least, rows, fills), (most, ROWS, 1), "two states at once");
    Ok(least)
}

/// Makes all rows say the next number.
pub(crate) fn count_on(connection: &mut Connection) -> Result<i64> {
    let next = begin(connection)?;
    let number = change(&next)?;
    next.commit()?;
    Ok(number)
}

/// Commits what changes none of the rows, so that who reads them then finds their pages outside of a log that this begins.
pub(crate) fn write_aside(connection: &Connection) -> Result<()> {
    connection.execute(WRITE_ASIDE, []).map(drop)
}

pub(crate) const WRITE_ASIDE: &str = "UPDATE aside SET number = number + 1";

/// How often that was done.
pub(crate) fn aside(connection: &Connection) -> Result<i64> {
    connection.query_row(READ_ASIDE, [], |row| row.get(0))
}

pub(crate) const READ_ASIDE: &str = "SELECT number FROM aside";

pub(crate) fn begin(connection: &mut Connection) -> Result<Transaction<'_>> {
    connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
}

pub(crate) fn change(next: &Transaction<'_>) -> Result<i64> {
    let number = number(next)? + 1;
    let fill = format!(
        "UPDATE rows SET number = {number}, fill = CAST(printf('%01500d', {number}) AS BLOB)"
    );
    next.execute(&fill, [])?;
    Ok(number)
}

/// Copies the log; whether all of it, by how long it is and how much of it is copied.
pub(crate) fn copy_log(connection: &Connection, how: &str) -> Result<bool> {
    let copy = format!("PRAGMA wal_checkpoint({how})");
    connection.query_row(&copy, [], |row| {
        let (busy, length, copied): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(busy == 0 && length == copied)
    })
}

pub(crate) fn must_be_sound(connection: &Connection) {
    let check = "PRAGMA integrity_check";
    let said: String = connection.query_row(check, [], |row| row.get(0)).unwrap();
    assert_eq!(said, "ok");
}
