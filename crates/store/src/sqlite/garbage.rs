//! Value files that no row names any more.
//!
//! The file is unlinked later, in this order of writes, of which each step may be the last of a process that is killed:
//!
//! 1. the transaction in which the row goes writes the file down as garbage of the next [era](diskette_ipc::Eras);
//! 2. once that is committed, and before anybody else has the turn to write, the next era begins: no snapshot that is taken in
//!    it can name the file;
//! 3. once all eras before are over, the log is synced: after a power cut no row names the file either;
//! 4. the file is unlinked;
//! 5. it leaves the table.
//!
//! Whoever ends a snapshot during which there was more garbage begins with step 3.

use std::collections::btree_map::{BTreeMap, Entry};
use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

use diskette_ipc::{Deadline, Eras, FileLock, Mode, Seen, Stay, plain_file};
use rusqlite::Connection;

use crate::db::Db;
use crate::error::{Error, Result, from_sqlite};
use crate::sqlite::Sqlite;
use crate::sqlite::directory::Directory;
use crate::sqlite::housekeeping::Job;
use crate::sqlite::values::Values;

/// A line of the doorbell that no structure has, as long as there are fewer than its lines: rung when there is more garbage.
const MORE: usize = 0;

/// Who has made garbage of so many bytes takes it out himself: else writers of large values would leave it far behind.
const MUCH: u64 = 1024 * 1024;

/// And waits no longer for another who is at it.
const PATIENCE: Duration = Duration::from_secs(1);

/// So many files are unlinked between two turns to write.
const BATCH: i64 = 1000;

const ADD: &str = "INSERT OR IGNORE INTO garbage (id, era) VALUES ($1, $2)";
const SOME: &str = "SELECT id, era FROM garbage WHERE id > $1 ORDER BY id LIMIT $2";
const LATEST: &str = "SELECT coalesce(max(era), 0) FROM garbage";
const STRIKE: &str = "DELETE FROM garbage WHERE id = ?1";

/// While this is held, no file goes that a row named when it was taken.
pub(crate) struct Files<'s> {
    store: &'s Sqlite,
    stay: Option<Stay<'s>>,
    /// The garbage that there was, for who may remove some.
    seen: Option<Seen>,
}

/// Step 1.
pub(crate) fn add(sqlite: &Sqlite, db: &Db<'_>, file: i64) -> Result<()> {
    let era = match db.next_era().get() {
        Some(era) => era,
        None => {
            let era = sqlite.values().eras()?.now().map_err(cant_keep)? + 1;
            db.next_era().set(Some(era));
            let sqlite = sqlite.clone();
            db.on_commit(move |_| {
                if let Ok(bell) = sqlite.bell() {
                    bell.ring(MORE);
                }
                sqlite.wake(Job::Sweep);
            });
            era
        }
    };
    db.execute(ADD, &[file.into(), era.cast_signed().into()])?;
    Ok(())
}

/// Whether there is any.
pub(crate) fn is_there(db: &Db<'_>) -> Result<bool> {
    let some = db.query_one(SOME, &[i64::MIN.into(), 1.into()], |row| row.int(0))?;
    Ok(some.is_some())
}

impl Sqlite {
    /// Step 2, in the turn to write. If it fails, whoever sweeps does it.
    pub(crate) fn begin_era(&self, era: u64) {
        if let Ok(eras) = self.values().eras() {
            let _ = eras.begin(era);
        }
    }

    pub(crate) fn keep_files(&self) -> Result<Files<'_>> {
        let (seen, eras) = match self.reading() {
            None => (Some(self.bell()?.seen(MORE)), Some(self.values().eras()?)),
            Some(reading) => {
                let failed = |error| Error::reading("can't keep the value files", error);
                (None, reading.eras().map_err(failed)?)
            }
        };
        let stay = eras.map(Eras::enter).transpose().map_err(cant_keep)?;
        Ok(Files {
            store: self,
            stay,
            seen,
        })
    }

    /// After a commit by which a file of so many bytes became garbage.
    pub(crate) fn made_garbage(&self, bytes: u64) {
        let made = &self.housekeeper().garbage;
        if made.fetch_add(bytes, Ordering::Relaxed) + bytes < MUCH {
            return;
        }
        made.store(0, Ordering::Relaxed);
        // What fails is tried again in the background.
        let _ = self.sweep_within(PATIENCE);
    }

    /// Unlinks what is garbage and what no snapshot may want.
    pub(crate) fn sweep(&self) -> Result<()> {
        self.sweep_within(Duration::ZERO)
    }

    fn sweep_within(&self, patience: Duration) -> Result<()> {
        alone(self.directory(), patience, || {
            let mut last = i64::MIN;
            loop {
                let reader = self.readers().lend(self)?;
                let batch = Batch::after(last, reader.connection()?)?;
                drop(reader);
                if batch.latest > self.values().eras()?.now().map_err(cant_keep)? {
                    let _turn = self.writer().enter(self)?;
                    self.begin_era(batch.latest);
                }
                let gone = batch.unlink(self.values(), self.directory())?;
                if !gone.is_empty() {
                    strike(&gone, self.writer().enter(self)?.connection()?)?;
                }
                match batch.files.last() {
                    Some(&(end, _)) => last = end,
                    None => return Ok(()),
                }
            }
        })
    }
}

/// What the last to close a store in a process can do with its only connection, in its turn to write: the first batch.
pub(crate) fn sweep_before_closing(
    connection: &Connection,
    values: &Values,
    directory: &Directory,
) -> Result<()> {
    alone(directory, Duration::ZERO, || {
        let batch = Batch::after(i64::MIN, connection)?;
        values.eras()?.begin(batch.latest).map_err(cant_keep)?;
        strike(&batch.unlink(values, directory)?, connection)
    })
}

/// One process at a time; whoever is at it looks again.
fn alone(
    directory: &Directory,
    patience: Duration,
    sweep: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let failed = |error| Error::io("can't lock the garbage", error);
    let lock = FileLock::open(directory.lock("sweep")).map_err(failed)?;
    let deadline = Deadline::after(patience);
    match lock.lock(Mode::Exclusive, deadline).map_err(failed)? {
        true => sweep(),
        false => Ok(()),
    }
}

/// Some of the garbage.
struct Batch {
    /// With the era in which it can't be wanted any more.
    files: Vec<(i64, u64)>,
    /// The latest of the eras, of all the garbage.
    latest: u64,
}

impl Batch {
    fn after(last: i64, connection: &Connection) -> Result<Self> {
        let read = || {
            let mut some = connection.prepare_cached(SOME)?;
            let rows = some.query_map((last, BATCH), |row| {
                Ok((row.get(0)?, row.get::<_, i64>(1)?.cast_unsigned()))
            })?;
            let files = rows.collect::<Result<Vec<_>, _>>()?;
            let latest: i64 = connection.query_row(LATEST, [], |row| row.get(0))?;
            Ok(Batch {
                files,
                latest: latest.cast_unsigned(),
            })
        };
        read().map_err(from_sqlite)
    }

    /// Steps 3 and 4; says which are gone.
    fn unlink(&self, values: &Values, directory: &Directory) -> Result<Vec<i64>> {
        let eras = values.eras()?;
        let unlink = || {
            // Of a thousand files most have the same era.
            let mut over = BTreeMap::new();
            let mut gone = Vec::new();
            for &(file, era) in &self.files {
                let is_over = match over.entry(era) {
                    Entry::Vacant(unknown) => *unknown.insert(eras.is_over(era)?),
                    Entry::Occupied(known) => *known.get(),
                };
                if is_over {
                    gone.push(file);
                }
            }
            if !gone.is_empty() {
                sync_log(directory)?;
            }
            gone.iter().try_for_each(|&file| values.remove(file))?;
            Ok(gone)
        };
        unlink().map_err(|error| Error::io("can't remove value files that were replaced", error))
    }
}

/// Step 5.
fn strike(gone: &[i64], connection: &Connection) -> Result<()> {
    let strike = || {
        let all = connection.unchecked_transaction()?;
        for file in gone {
            all.prepare_cached(STRIKE)?.execute([file])?;
        }
        all.commit()
    };
    strike().map_err(from_sqlite)
}

fn cant_keep(error: io::Error) -> Error {
    Error::io("can't keep the value files", error)
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
        if let (Ok(bell), Some(seen)) = (self.store.bell(), self.seen)
            && bell.seen(MORE) != seen
        {
            self.store.wake(Job::Sweep);
        }
    }
}
