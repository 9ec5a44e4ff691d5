//! Who uses the databases below a store that one of its structures is spread over: they are not to go under him.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use diskette_ipc::{Deadline, FileLock, Mode, fork, plain_file};

use crate::access::Access;
use crate::db::Db;
use crate::error::{Error, Result};
use crate::store::Store;

/// The right to use the databases of a structure, together with others or alone. The kernel takes it back from the dead.
#[doc(hidden)]
#[derive(Debug)]
pub struct Tenancy {
    /// `None`: there is nobody who could have the file, nor make it.
    lock: Option<FileLock>,
    /// In which it was taken: a child made by `fork` has to take its own.
    generation: AtomicU64,
}

const IS_THERE: &str = "SELECT 1 FROM structures WHERE id = $1";

#[doc(hidden)]
impl Store {
    /// Somebody who will use the databases of the structure with this number, and doesn't yet.
    ///
    /// # Errors
    ///
    /// Those of opening a lock file.
    pub fn tenancy(&self, structure: i64) -> Result<Tenancy> {
        let path = self.directory().lock(&format!("tenants-{structure}"));
        let lock = match self.is_read_only() {
            false => FileLock::open(path).map(Some),
            true => match FileLock::open_to_read(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                lock => lock.map(Some),
            },
        };
        Ok(Tenancy {
            lock: lock.map_err(|error| Error::io("can't open the lock of the shards", error))?,
            generation: AtomicU64::new(u64::MAX),
        })
    }

    /// The name of a set of databases of a structure: the number `set` is drawn, so that no other one ever had it.
    pub fn name_of_shards(structure: i64, set: i64) -> String {
        format!("{structure}-{set:016x}")
    }

    /// The sets of a structure but this one.
    ///
    /// # Errors
    ///
    /// Those of reading a directory.
    pub fn other_shards(&self, structure: i64, but: i64) -> Result<Vec<String>> {
        let but = Self::name_of_shards(structure, but);
        let mut others = self.sets_of_shards()?;
        others.retain(|name| structure_of(name) == Some(structure) && *name != but);
        Ok(others)
    }

    /// Removes all sets of a structure but this one, which is the one that the database names, for good. The caller is alone.
    ///
    /// # Errors
    ///
    /// Those of removing files, and of the database.
    pub fn remove_other_shards(&self, structure: i64, but: i64) -> Result<()> {
        let others = self.other_shards(structure, but)?;
        if !others.is_empty() {
            self.write_down()?;
        }
        others.iter().try_for_each(|name| self.clear_away(name))
    }

    /// Removes the sets whose structure was removed, for good.
    ///
    /// # Errors
    ///
    /// Those of removing files, and of the database.
    pub fn remove_orphaned_shards(&self) -> Result<()> {
        let mut orphans = Vec::new();
        // A set is made after its structure: so they are listed first.
        for name in self.sets_of_shards()? {
            let Some(structure) = structure_of(&name) else {
                continue;
            };
            let found = |db: &Db<'_>| db.query_one(IS_THERE, &[structure.into()], |_| Ok(()));
            if self.read_one(found)?.is_none() {
                orphans.push((name, structure));
            }
        }
        if !orphans.is_empty() {
            self.write_down()?;
        }
        for (name, structure) in orphans {
            self.clear_away(&name)?;
            let lock = self.directory().lock(&format!("tenants-{structure}"));
            let _ = std::fs::remove_file(lock);
        }
        Ok(())
    }

    /// Sees to it that no power cut takes what was committed until now.
    ///
    /// # Errors
    ///
    /// Those of the database.
    pub fn write_down(&self) -> Result<()> {
        self.copy_log()?;
        let synced = plain_file::sync_directory(self.path());
        synced.map_err(|error| Error::io("can't sync the store's directory", error))
    }
}

impl Store {
    /// Others may still be about to make a file there.
    fn clear_away(&self, set: &str) -> Result<()> {
        let remove = || self.remove_shards(set);
        remove().or_else(|_| remove()).or_else(|_| remove())?;
        let synced = plain_file::sync_directory(&self.path().join("shards"));
        synced.map_err(|error| Error::io("can't sync the directory of the shards", error))
    }
}

fn structure_of(set: &str) -> Option<i64> {
    set.split_once('-')?.0.parse().ok()
}

impl Tenancy {
    /// Uses the databases, together with others; `false` when one who is alone didn't leave in time.
    ///
    /// # Errors
    ///
    /// Those of locking a file.
    pub fn stay(&self, deadline: Deadline) -> Result<bool> {
        self.take(Mode::Shared, deadline)
    }

    /// Uses them alone; `false` when others didn't leave in time: then it uses them no more.
    ///
    /// # Errors
    ///
    /// Those of locking a file.
    pub fn be_alone(&self, deadline: Deadline) -> Result<bool> {
        self.take(Mode::Exclusive, deadline)
    }

    /// Whether it was this process that took it, and not the one that this was forked from.
    pub fn is_mine(&self) -> bool {
        self.generation.load(Ordering::Acquire) == fork::generation()
    }

    fn take(&self, mode: Mode, deadline: Deadline) -> Result<bool> {
        let taken = match &self.lock {
            Some(lock) => lock.lock(mode, deadline),
            None => Ok(true),
        };
        let taken = taken.map_err(|error| Error::io("can't lock the shards", error))?;
        if taken {
            self.generation.store(fork::generation(), Ordering::Release);
        }
        Ok(taken)
    }
}
