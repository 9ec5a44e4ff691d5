use std::fmt;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use diskette_ipc::Hold;
use diskette_store::{Fence, Holdable, Result};

/// A lock, held; given back by [`release`](Self::release), or when it is dropped. A panic drops it too: the
/// lock is free then, whatever state the work is in.
///
/// # Process safety
///
/// It belongs to the thread that took it, and can't be sent to another. In a forked child it is a copy that holds
/// nothing: [`is_held`](Self::is_held) is false, and dropping it does nothing.
///
/// # Crashes
///
/// If the process dies, the lock is free at once.
///
/// # Example
///
/// ```
/// # use diskette::{Lock, Store};
/// # let dir = tempfile::tempdir()?;
/// # let store = Store::open(dir.path())?;
/// let lock = Lock::new(&store, "import")?;
/// let first = lock.lock()?;
/// let token = first.token();
/// first.release()?;
/// assert!(lock.lock()?.token() > token);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a lock whose guard is dropped is free at once"]
pub struct Guard {
    lock: Arc<Holdable>,
    /// Shared by all guards that a thread has of it. Not to be sent: who holds a lock is a thread.
    hold: Rc<Hold>,
}

impl Guard {
    pub(crate) fn new(lock: &Arc<Holdable>, hold: Hold) -> Self {
        Self {
            lock: Arc::clone(lock),
            hold: Rc::new(hold),
        }
    }

    /// Another guard, while there is one.
    pub(crate) fn again(lock: &Arc<Holdable>, hold: &Weak<Hold>) -> Option<Self> {
        Some(Self {
            hold: hold.upgrade()?,
            lock: Arc::clone(lock),
        })
    }

    pub(crate) fn hold(&self) -> Weak<Hold> {
        Rc::downgrade(&self.hold)
    }

    /// The fencing token: greater than that of every guard of this lock before, over crashes, restarts and power cuts. To
    /// be shown to whatever else is written to under the lock; a transaction of the store checks it by
    /// [`transaction_fenced`](diskette_store::Store::transaction_fenced).
    ///
    /// A lock that is taken again by the thread that holds it has the same token.
    pub fn token(&self) -> u64 {
        self.hold.token()
    }

    /// Whether the lock is still held: `false` only in a forked child, and once the files that say who holds what were
    /// removed under this process.
    pub fn is_held(&self) -> bool {
        self.hold.is_held()
    }

    /// Gives the lock back, and says whether it was still held.
    ///
    /// # Errors
    ///
    /// [`is_overtaken`](diskette_store::Error::is_overtaken) if it wasn't.
    pub fn release(self) -> Result<()> {
        match Rc::try_unwrap(self.hold) {
            Ok(hold) => self.lock.give_back(hold),
            Err(_held_by_another_guard) => Ok(()),
        }
    }
}

impl Fence for Guard {
    fn each(&self, visit: &mut dyn FnMut(&Holdable, &Hold) -> Result<()>) -> Result<()> {
        visit(&self.lock, &self.hold)
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard")
            .field("lock", &self.lock.structure().name())
            .field("token", &self.token())
            .finish()
    }
}
