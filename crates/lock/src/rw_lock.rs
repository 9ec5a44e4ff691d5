use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use diskette_ipc::{Custody, Deadline, Holder};
use diskette_store::{Hold, Holdable, Kind, Result, Store, Structure};

use crate::guard::Guard;

static KIND: Kind = Kind {
    name: "rwlock",
    format: 1,
    schema: &[],
    tables: &[],
    bring_over: &[],
    claims: None,
};

/// A lock that many hold to read, or one to write.
///
/// A handle: cheap to clone, and to send to other threads. Made of [`READERS`](Self::READERS) permits: a reader takes
/// one, a writer all. What is said of a [`Lock`](crate::Lock) holds for it, but for this:
///
/// # Process safety
///
/// A thread that waits for what it holds itself waits until its time is up: circles of waits are not
/// found, whether of [`Guard`]s or of [`OwnedGuard`](crate::OwnedGuard)s. A writer is not a reader as well: don't read while writing, nor write while reading.
///
/// # Fairness
///
/// Readers and writers wait in one queue. Nobody overtakes a writer that waits, but for a millisecond after each hand-over.
///
/// # Cost
///
/// Reading: as a [`Lock`](crate::Lock). Writing: some microseconds, and in a fenced transaction a statement for each reader that
/// there could be.
///
/// # Example
///
/// ```
/// use diskette::{RwLock, Store};
///
/// # let dir = tempfile::tempdir()?;
/// # std::env::set_current_dir(&dir)?;
/// let store = Store::open("store")?;
/// let lock = RwLock::new(&store, "model")?;
///
/// let one = lock.read()?;
/// let two = lock.read()?;
/// assert!(lock.try_write()?.is_none());
/// drop((one, two));
/// let _alone = lock.write()?;
/// assert!(lock.try_read()?.is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct RwLock {
    inner: Arc<Holdable>,
}

impl RwLock {
    /// So many may read at a time; more wait.
    pub const READERS: u32 = 127;

    /// Opens the lock of this name in a store; makes it if there is none.
    ///
    /// # Errors
    ///
    /// Those of [`Lock::new`](crate::Lock::new).
    pub fn new(store: &Store, name: &str) -> Result<Self> {
        Self::of(
            store,
            Structure::open(store, &KIND, name, "", |_, _| Ok(()))?,
        )
    }

    /// Opens the lock of this name; `None` if there is none.
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new).
    pub fn find(store: &Store, name: &str) -> Result<Option<Self>> {
        let found = Structure::find(store, &KIND, name, "")?;
        found.map(|found| Self::of(store, found)).transpose()
    }

    fn of(store: &Store, structure: Arc<Structure>) -> Result<Self> {
        let inner = Holdable::with_slots(store, structure, Custody::Any, Self::READERS)?;
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Takes the lock to read, if nobody writes, or has long waited to.
    ///
    /// # Errors
    ///
    /// Those of [`Lock::try_lock`](crate::Lock::try_lock).
    pub fn try_read(&self) -> Result<Option<Guard>> {
        self.guard("try_read", self.inner.try_take(1))
    }

    /// Takes the lock to read, however long it takes.
    ///
    /// # Errors
    ///
    /// Those of [`try_read`](Self::try_read); [`is_misuse`](diskette_store::Error::is_misuse) within a transaction of this thread;
    /// [`is_stopped`](diskette_store::Error::is_stopped).
    pub fn read(&self) -> Result<Guard> {
        self.forever("read", 1)
    }

    /// Takes the lock to read; `None` when the time is up.
    ///
    /// # Errors
    ///
    /// Those of [`read`](Self::read).
    pub fn read_timeout(&self, timeout: Duration) -> Result<Option<Guard>> {
        self.guard("read_timeout", self.inner.take(1, Deadline::after(timeout)))
    }

    /// Takes the lock to write, if nobody holds it.
    ///
    /// # Errors
    ///
    /// Those of [`try_read`](Self::try_read).
    pub fn try_write(&self) -> Result<Option<Guard>> {
        self.guard("try_write", self.inner.try_take(Self::READERS))
    }

    /// Takes the lock to write, however long it takes.
    ///
    /// # Errors
    ///
    /// Those of [`read`](Self::read).
    pub fn write(&self) -> Result<Guard> {
        self.forever("write", Self::READERS)
    }

    /// Takes the lock to write; `None` when the time is up.
    ///
    /// # Errors
    ///
    /// Those of [`read`](Self::read).
    pub fn write_timeout(&self, timeout: Duration) -> Result<Option<Guard>> {
        let taken = self.inner.take(Self::READERS, Deadline::after(timeout));
        self.guard("write_timeout", taken)
    }

    /// Who holds the lock: a writer has all permits, a reader one each.
    ///
    /// # Errors
    ///
    /// [`is_removed`](diskette_store::Error::is_removed).
    pub fn holders(&self) -> Result<Vec<Holder>> {
        self.inner
            .structure()
            .doing("holders", self.inner.holders())
    }

    /// The name of the lock in its store.
    pub fn name(&self) -> &str {
        self.inner.structure().name()
    }

    /// The store that it is in.
    pub fn store(&self) -> &Store {
        self.inner.store()
    }

    fn forever(&self, verb: &str, n: u32) -> Result<Guard> {
        let guard = self.guard(verb, self.inner.take(n, Deadline::never()))?;
        guard.ok_or_else(|| unreachable!("a wait without a deadline doesn't time out"))
    }

    fn guard(&self, verb: &str, taken: Result<Option<Hold>>) -> Result<Option<Guard>> {
        let hold = self.inner.structure().doing(verb, taken)?;
        Ok(hold.map(|hold| Guard::new(&self.inner, hold)))
    }
}

impl fmt::Debug for RwLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.describe(f, "RwLock")
    }
}
