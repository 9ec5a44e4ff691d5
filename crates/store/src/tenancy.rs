//! Who uses the databases below a store that one of its structures is spread over: they are not to go under him.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use diskette_ipc::{Deadline, FileLock, Mode, Mutex, fork};

use crate::error::{Error, Result};
#[cfg(feature = "postgres")]
use crate::postgres::Tenant;
use crate::store::Store;

/// The right to use the databases of a structure, together with others or alone. It is taken back from the dead.
#[derive(Debug)]
pub struct Tenancy {
    lock: Lock,
    /// Whose shards they are, and of which structure. Once that has moved, what counts is the right to use those there.
    of: (Store, i64),
    next: Mutex<Option<Arc<Tenancy>>>,
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
    pub(crate) fn of(lock: Lock, store: Store, structure: i64) -> Self {
        Tenancy {
            lock,
            of: (store, structure),
            next: Mutex::default(),
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
        if self.of.0.next().is_some() {
            return self.next.lock().as_ref().is_some_and(|next| next.is_mine());
        }
        let kept = match &self.lock {
            Lock::Nobodys | Lock::File(_) => true,
            #[cfg(feature = "postgres")]
            Lock::Session(tenant) => tenant.is_connected(),
        };
        kept && self.generation.load(Ordering::Acquire) == fork::generation()
    }

    fn take(&self, mode: Mode, deadline: Deadline) -> Result<bool> {
        let (store, structure) = &self.of;
        if store.onward()?.is_some() {
            let mut next = self.next.lock();
            let next = match &*next {
                Some(next) => Arc::clone(next),
                None => Arc::clone(next.insert(store.tenancy(*structure)?.into())),
            };
            return next.take(mode, deadline);
        }
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
