use std::cell::RefCell;
use std::fmt;
use std::rc::Weak;
use std::time::Duration;

use diskette_ipc::{Holder, fork};
use diskette_store::{Hold, Kind, Result, Store};

use crate::guard::Guard;
use crate::lock::Lock;

static KIND: Kind = Kind {
    name: "rlock",
    format: 1,
    schema: &[],
    tables: &[],
    bring_over: &[],
    claims: None,
};

/// A lock that the thread which holds it may take again: each time it gets another guard, and the lock is
/// free when the last of them is gone, whichever that is.
///
/// It has the methods of a [`Lock`], and its promises. Another thread of the same process waits like any other; so does this
/// one, once its guard is an [`OwnedGuard`](crate::OwnedGuard).
///
/// # Cost
///
/// To take it again and give that back: no system call, under 50 ns. So whoever has lost it gets it again all the same, as
/// [`Guard::is_held`] and a fenced transaction can tell.
///
/// # Example
///
/// ```
/// use diskette::{RLock, Result, Store};
///
/// fn refresh(lock: &RLock) -> Result<()> {
///     let _guard = lock.lock()?; // whether or not the caller has it
///     Ok(())
/// }
///
/// # let dir = tempfile::tempdir()?;
/// # std::env::set_current_dir(&dir)?;
/// let store = Store::open("store")?;
/// let lock = RLock::new(&store, "pages")?;
///
/// let guard = lock.lock()?;
/// refresh(&lock)?;
/// assert!(guard.is_held());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct RLock {
    lock: Lock,
}

impl RLock {
    /// Opens the lock of this name in a store; makes it if there is none.
    ///
    /// # Errors
    ///
    /// Those of [`Lock::new`].
    pub fn new(store: &Store, name: &str) -> Result<Self> {
        let lock = Lock::open(store, &KIND, name)?;
        Ok(Self { lock })
    }

    /// Opens the lock of this name; `None` if there is none.
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new).
    pub fn find(store: &Store, name: &str) -> Result<Option<Self>> {
        let found = Lock::seek(store, &KIND, name)?;
        Ok(found.map(|lock| Self { lock }))
    }

    /// Takes the lock if it is free, or this thread's already. Otherwise like [`Lock::try_lock`].
    ///
    /// # Errors
    ///
    /// Those of [`Lock::try_lock`].
    pub fn try_lock(&self) -> Result<Option<Guard>> {
        match self.again() {
            None => Ok(self.lock.try_lock()?.map(|guard| self.noted(guard))),
            again => Ok(again),
        }
    }

    /// Takes the lock, however long it takes.
    ///
    /// # Errors
    ///
    /// Those of [`Lock::lock`].
    pub fn lock(&self) -> Result<Guard> {
        match self.again() {
            None => Ok(self.noted(self.lock.lock()?)),
            Some(again) => Ok(again),
        }
    }

    /// Takes the lock; `None` when the time is up. A timeout of zero doesn't wait.
    ///
    /// # Errors
    ///
    /// Those of [`Lock::lock`].
    pub fn lock_timeout(&self, timeout: Duration) -> Result<Option<Guard>> {
        match self.again() {
            None => Ok(self
                .lock
                .lock_timeout(timeout)?
                .map(|guard| self.noted(guard))),
            again => Ok(again),
        }
    }

    /// Runs `work` under the lock.
    ///
    /// # Errors
    ///
    /// Those of [`Lock::synchronized`].
    pub fn synchronized<T>(&self, work: impl FnOnce(&Guard) -> T) -> Result<T> {
        let guard = self.lock()?;
        let result = work(&guard);
        guard.release()?;
        Ok(result)
    }

    /// Who holds the lock.
    ///
    /// # Errors
    ///
    /// Those of [`Lock::holder`].
    pub fn holder(&self) -> Result<Option<Holder>> {
        self.lock.holder()
    }

    /// The name of the lock in its store.
    pub fn name(&self) -> &str {
        self.lock.name()
    }

    /// The store that it is in.
    pub fn store(&self) -> &Store {
        self.lock.store()
    }
}

impl fmt::Debug for RLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lock.inner.describe(f, "RLock")
    }
}

thread_local! {
    /// What this thread holds: how often it does is nobody else's business.
    static HELD: RefCell<Vec<Held>> = const { RefCell::new(Vec::new()) };
}

struct Held {
    by: Holding,
    hold: Weak<Hold>,
}

/// The lock, by its store in this process and its number there, and the process, by its forks.
#[derive(PartialEq)]
struct Holding {
    store: (u64, u64),
    id: i64,
    generation: u64,
}

impl RLock {
    /// Another guard, if this very thread has one.
    fn again(&self) -> Option<Guard> {
        let mine = self.holding();
        HELD.try_with(|held| {
            let held = held.borrow();
            let mut held = held.iter().filter(|held| held.by == mine);
            held.find_map(|held| Guard::again(&self.lock.inner, &held.hold))
        })
        .ok()?
    }

    fn noted(&self, guard: Guard) -> Guard {
        let (by, hold) = (self.holding(), guard.hold());
        let _ = HELD.try_with(|held| {
            let mut held = held.borrow_mut();
            held.retain(|held| held.hold.strong_count() > 0);
            held.push(Held { by, hold });
        });
        guard
    }

    fn holding(&self) -> Holding {
        Holding {
            store: self.store().identity(),
            id: self.lock.inner.structure().id(),
            generation: fork::generation(),
        }
    }
}
