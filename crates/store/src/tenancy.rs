//! Who uses the databases below a store that one of its structures is spread over: they are not to go under him.

use std::sync::atomic::{AtomicU64, Ordering};

use diskette_ipc::{Deadline, FileLock, Mode, fork};

use crate::error::{Error, Result};
#[cfg(feature = "postgres")]
use crate::postgres::Tenant;

/// The right to use the databases of a structure, together with others or alone. It is taken back from the dead.
#[derive(Debug)]
pub struct Tenancy {
    lock: Lock,
    /// In which it was taken: a child made by `fork` has to take its own.
    generation: AtomicU64,
}

#[derive(Debug)]
pub(crate) enum Lock {
    /// There is nobody who could have the file, nor make it.
    Nobodys,
    File(FileLock),
    #[cfg(feature = "postgres")]
    Session(Box<Tenant>),
}

impl Tenancy {
    pub(crate) fn of(lock: Lock) -> Self {
        Tenancy {
            lock,
            generation: AtomicU64::new(u64::MAX),
        }
    }

    /// Uses the databases, together with others; `false` when one who is alone didn't leave in time.
    ///
    /// # Errors
    ///
    /// Those of locking.
    pub fn stay(&self, deadline: Deadline) -> Result<bool> {
        self.take(Mode::Shared, deadline)
    }

    /// Uses them alone; `false` when others didn't leave in time: then it uses them no more.
    ///
    /// # Errors
    ///
    /// Those of locking.
    pub fn be_alone(&self, deadline: Deadline) -> Result<bool> {
        self.take(Mode::Exclusive, deadline)
    }

    /// Whether it was this process that took it, and not the one that this was forked from.
    pub fn is_mine(&self) -> bool {
        let kept = match &self.lock {
            Lock::Nobodys | Lock::File(_) => true,
            #[cfg(feature = "postgres")]
            Lock::Session(tenant) => tenant.is_connected(),
        };
        kept && self.generation.load(Ordering::Acquire) == fork::generation()
    }

    fn take(&self, mode: Mode, deadline: Deadline) -> Result<bool> {
        let taken = match &self.lock {
            Lock::Nobodys => true,
            Lock::File(lock) => {
                let taken = lock.lock(mode, deadline);
                taken.map_err(|error| Error::io("can't lock the shards", error))?
            }
            #[cfg(feature = "postgres")]
            Lock::Session(tenant) => tenant.lock(mode, deadline)?,
        };
        if taken {
            self.generation.store(fork::generation(), Ordering::Release);
        }
        Ok(taken)
    }
}
