//! Who uses the databases below a store that one of its structures is spread over: they are not to go under him.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use diskette_ipc::{Deadline, FileLock, Mode, fork};

use crate::error::{Error, Result};
use crate::sqlite::Sqlite;

/// The right to use the databases of a structure, together with others or alone. The kernel takes it back from the dead.
#[derive(Debug)]
pub struct Tenancy {
    /// `None`: there is nobody who could have the file, nor make it.
    lock: Option<FileLock>,
    /// In which it was taken: a child made by `fork` has to take its own.
    generation: AtomicU64,
}

impl Sqlite {
    pub(crate) fn tenancy(&self, structure: i64) -> Result<Tenancy> {
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
