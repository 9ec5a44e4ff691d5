//! Value files that no row names any more.
//!
//! The transaction in which a row goes writes its file down as garbage. It is unlinked later, in this order of writes, of
//! which each step may be the last of a process that is killed:
//!
//! 1. it is read what is garbage;
//! 2. the log is synced: after a power cut no row names these files either;
//! 3. another [era](diskette_ipc::Eras) begins, from which on no snapshot can name them; if earlier ones are still open, it is
//!    written down beside the files, and whoever ends such a snapshot begins anew;
//! 4. once all eras before are over, the files are unlinked;
//! 5. they leave the table.

use std::collections::btree_map::{BTreeMap, Entry};
use std::io;

use diskette_ipc::{Doorbell, FileLock, Mode, Seen, Stay, plain_file};
use rusqlite::Connection;

use crate::db::Db;
use crate::directory::Directory;
use crate::error::{Error, Result, from_sqlite};
use crate::housekeeping::Job;
use crate::store::Store;
use crate::values::Values;

/// A line of the doorbell that no structure has, as long as there are fewer than its lines: rung when there is more garbage, and
/// when an era begins in which it isn't wanted any more.
const MORE: usize = 0;

/// So many files are unlinked between two turns to write.
const BATCH: i64 = 1000;

const ADD: &str = "INSERT OR IGNORE INTO garbage (id) VALUES ($1)";
const SOME: &str = "SELECT id, era FROM garbage WHERE id > ?1 ORDER BY id LIMIT ?2";
const LATEST: &str = "SELECT coalesce(max(era), 0) FROM garbage";
const MARK: &str = "UPDATE garbage SET era = ?2 WHERE id = ?1";
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
    db.on_commit(|store| {
        store.bell().ring(MORE);
        store.wake(Job::Sweep);
    });
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
                let batch = Batch::after(last, reader.connection()?)?;
                let swept = batch.unlink(self.values(), self.directory(), self.bell())?;
                drop(reader);
                if swept.changes_anything() {
                    swept.write_down(self.writer().enter(self)?.connection()?)?;
                }
                match batch.files.last() {
                    Some(&(end, _)) => last = end,
                    None => return Ok(()),
                }
            }
        })
    }
}

/// What the last to close a store in a process can do with its only connection: the first batch.
pub(crate) fn sweep_before_closing(
    connection: &Connection,
    values: &Values,
    directory: &Directory,
    bell: &Doorbell,
) -> Result<()> {
    alone(directory, || {
        let batch = Batch::after(i64::MIN, connection)?;
        batch
            .unlink(values, directory, bell)?
            .write_down(connection)
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

/// Some of the garbage.
struct Batch {
    /// With the era in which it can't be wanted any more.
    files: Vec<(i64, Option<u64>)>,
    /// The latest of these eras, of all the garbage.
    latest: u64,
}

/// What was done with it.
struct Swept {
    gone: Vec<i64>,
    wanted: Vec<i64>,
    /// From which on those can't be wanted any more.
    era: u64,
}

impl Batch {
    /// Step 1.
    fn after(last: i64, connection: &Connection) -> Result<Self> {
        let read = || {
            let mut some = connection.prepare_cached(SOME)?;
            let rows = some.query_map((last, BATCH), |row| {
                let era: Option<i64> = row.get(1)?;
                Ok((row.get(0)?, era.map(i64::cast_unsigned)))
            })?;
            let files = rows.collect::<Result<_, _>>()?;
            let latest: i64 = connection.query_row(LATEST, [], |row| row.get(0))?;
            Ok(Batch {
                files,
                latest: latest.cast_unsigned(),
            })
        };
        read().map_err(from_sqlite)
    }

    /// Steps 2 to 4.
    fn unlink(&self, values: &Values, directory: &Directory, bell: &Doorbell) -> Result<Swept> {
        let unlink = || {
            let mut swept = Swept {
                gone: Vec::new(),
                wanted: Vec::new(),
                era: 0,
            };
            if self.files.iter().any(|(_, era)| era.is_none()) {
                sync_log(directory)?;
                swept.era = values.eras.advance(self.latest)?;
                // Before the look whether earlier ones are over: who is still in one then hears of it at its end.
                bell.ring(MORE);
            }
            // Of a thousand files most have the same era.
            let mut over = BTreeMap::new();
            for &(file, era) in &self.files {
                let over = match over.entry(era.unwrap_or(swept.era)) {
                    Entry::Vacant(unknown) => {
                        let is_over = values.eras.is_over(*unknown.key())?;
                        *unknown.insert(is_over)
                    }
                    Entry::Occupied(known) => *known.get(),
                };
                if over {
                    values.remove(file)?;
                    swept.gone.push(file);
                } else if era.is_none() {
                    swept.wanted.push(file);
                }
            }
            Ok(swept)
        };
        unlink().map_err(|error| Error::io("can't remove value files that were replaced", error))
    }
}

impl Swept {
    fn changes_anything(&self) -> bool {
        !self.gone.is_empty() || !self.wanted.is_empty()
    }

    /// Step 5, and the era of what is still wanted.
    fn write_down(&self, connection: &Connection) -> Result<()> {
        let write = || {
            let all = connection.unchecked_transaction()?;
            for file in &self.gone {
                all.prepare_cached(STRIKE)?.execute([file])?;
            }
            for file in &self.wanted {
                all.prepare_cached(MARK)?
                    .execute((file, self.era.cast_signed()))?;
            }
            all.commit()
        };
        write().map_err(from_sqlite)
    }
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
