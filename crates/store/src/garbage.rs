//! Value files that no row names any more.
//!
//! The transaction in which a row goes writes its file down as garbage. It is unlinked later, in this order of writes, of
//! which each step may be the last of a process that is killed:
//!
//! 1. it is read what is garbage;
//! 2. the log is synced: after a power cut no row names these files either;
//! 3. another [era](diskette_ipc::Eras) begins, and those before are over: no snapshot names them any more;
//! 4. the files are unlinked;
//! 5. they leave the table.
//!
//! A snapshot that is in the way at step 3 has it begun anew when it ends.

use std::io;

use diskette_ipc::{FileLock, Mode, Seen, Stay, plain_file};
use rusqlite::Connection;

use crate::db::Db;
use crate::directory::Directory;
use crate::error::{Error, Result, from_sqlite};
use crate::housekeeping::Job;
use crate::store::Store;
use crate::values::Values;

/// A line of the doorbell that no structure has, as long as there are fewer than its lines: rung when there is more garbage.
const MORE: usize = 0;

/// So many files are unlinked between two turns to write.
const BATCH: i64 = 1000;

const ADD: &str = "INSERT OR IGNORE INTO garbage (id) VALUES ($1)";
const SOME: &str = "SELECT id FROM garbage WHERE id > ?1 ORDER BY id LIMIT ?2";
const STRIKE: &str = "DELETE FROM garbage WHERE id = ?1";

/// While this is held, no file goes that a row named when it was taken.
pub(crate) struct Files<'s> {
    store: &'s Store,
    stay: Option<Stay<'s>>,
    /// The garbage that there was.
    seen: Seen,
}

/// Writes down that the row goes that named the file.
pub(crate) fn add(db: &Db<'_>, file: i64) -> Result<()> {
    db.execute(ADD, &[file.into()])?;
    db.ring(MORE);
    db.on_commit(|store| store.wake(Job::Sweep));
    Ok(())
}

/// Whether there is any.
pub(crate) fn is_there(db: &Db<'_>) -> Result<bool> {
    let some = db.query_one(SOME, &[i64::MIN.into(), 1.into()], |row| row.int(0))?;
    Ok(some.is_some())
}

impl Store {
    pub(crate) fn keep_files(&self) -> Result<Files<'_>> {
        let seen = self.bell().seen(MORE);
        let stay = self.values().eras.enter();
        let stay = stay.map_err(|error| Error::io("can't keep the value files", error))?;
        Ok(Files {
            store: self,
            stay: Some(stay),
            seen,
        })
    }

    /// Unlinks what is garbage and what no snapshot may want.
    pub(crate) fn sweep(&self) -> Result<()> {
        alone(self.directory(), || {
            let mut last = i64::MIN;
            loop {
                let reader = self.readers().lend(self)?;
                let files = unlink(reader.connection()?, self.values(), self.directory(), last)?;
                drop(reader);
                let Some(&end) = files.last() else {
                    return Ok(());
                };
                strike(self.writer().enter(self)?.connection()?, &files)?;
                last = end;
            }
        })
    }
}

/// What the last to close a store in a process can do with the only connection: the first batch.
pub(crate) fn sweep_before_closing(
    connection: &Connection,
    values: &Values,
    directory: &Directory,
) -> Result<()> {
    alone(directory, || {
        let files = unlink(connection, values, directory, i64::MIN)?;
        strike(connection, &files)
    })
}

/// One process at a time; whoever is at it looks again.
fn alone(directory: &Directory, sweep: impl FnOnce() -> Result<()>) -> Result<()> {
    let failed = |error| Error::io("can't lock the garbage", error);
    let lock = FileLock::open(directory.lock("sweep")).map_err(failed)?;
    match lock.try_lock(Mode::Exclusive).map_err(failed)? {
        true => sweep(),
        false => Ok(()),
    }
}

/// Steps 1 to 4 for some of the garbage after `last`; none, if a snapshot is in the way.
fn unlink(
    connection: &Connection,
    values: &Values,
    directory: &Directory,
    last: i64,
) -> Result<Vec<i64>> {
    let files = connection
        .prepare_cached(SOME)
        .and_then(|mut some| {
            let rows = some.query_map((last, BATCH), |row| row.get(0))?;
            rows.collect::<Result<Vec<i64>, _>>()
        })
        .map_err(from_sqlite)?;
    if files.is_empty() {
        return Ok(files);
    }
    let unlink = || {
        sync_log(directory)?;
        let era = values.eras.advance()?;
        if !values.eras.is_over(era)? {
            return Ok(Vec::new());
        }
        files.iter().try_for_each(|&file| values.remove(file))?;
        Ok(files)
    };
    unlink().map_err(|error| Error::io("can't remove value files that were replaced", error))
}

/// Step 5.
fn strike(connection: &Connection, files: &[i64]) -> Result<()> {
    let strike = || {
        let all = connection.unchecked_transaction()?;
        for file in files {
            all.prepare_cached(STRIKE)?.execute([file])?;
        }
        all.commit()
    };
    strike().map_err(from_sqlite)
}

/// Makes durable what was committed. SQLite has no lock on this file that closing it could give up.
fn sync_log(directory: &Directory) -> io::Result<()> {
    match plain_file::read(&directory.wal()) {
        Ok(log) => log.sync_data()?,
        // What was in it is in the database, synced.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    plain_file::sync_directory(directory.path())
}

impl Drop for Files<'_> {
    fn drop(&mut self) {
        self.stay = None;
        if self.store.bell().seen(MORE) != self.seen {
            self.store.wake(Job::Sweep);
        }
    }
}
