use std::fmt;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use diskette_store::{Error, ErrorKind, Fence, Hold, Holdable, Result};

use crate::owned_guard::OwnedGuard;

/// A lock, held; given back by [`release`](Self::release), or when it is dropped. A panic drops it too: the
/// lock is free then, whatever state the work is in.
///
/// # Process safety
///
/// It belongs to the thread that took it, and can't be sent to another: [`into_owned`](Self::into_owned) makes one that can. In a
/// forked child it is a copy that holds nothing: [`is_held`](Self::is_held) is false, and dropping it does nothing.
///
/// It keeps the store open. One that is forgotten ([`std::mem::forget`]) holds the lock until the process ends: the thread of
/// an [`RLock`](crate::RLock) can still take it again, that of a [`Lock`](crate::Lock) is told that it waits for itself.
///
/// # Crashes
///
/// If the process dies, the lock is free at once.
///
/// # Example
///
/// ```
/// use diskette::{Lock, Store};
///
/// # let dir = tempfile::tempdir()?;
/// # std::env::set_current_dir(&dir)?;
/// let store = Store::open("store")?;
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
        let hold = hold.upgrade()?;
        lock.is_from_here(&hold).then(|| Self {
            hold,
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
        self.lock.is_held(&self.hold)
    }

    /// The lock from now on belongs to the process, and any of its threads may give it back; see [`OwnedGuard`].
    ///
    /// # Errors
    ///
    /// [`is_misuse`](Error::is_misuse) while this thread has another guard of the same [`RLock`](crate::RLock), which then goes on
    /// holding it; [`is_overtaken`](Error::is_overtaken) if the lock isn't held any more.
    ///
    /// # Cost
    ///
    /// A system call and an atomic write. The thread's place on the board, of which there are 4096, is kept as long as the guard.
    pub fn into_owned(self) -> Result<OwnedGuard> {
        let Self { lock, hold } = self;
        match Rc::try_unwrap(hold) {
            Ok(hold) => OwnedGuard::new(lock, hold),
            Err(_held_by_another_guard) => {
                lock.structure().doing("into_owned", Err(not_the_last()))
            }
        }
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

fn not_the_last() -> Error {
    Error::new(
        ErrorKind::Misuse,
        "this thread has another guard of it, with which it goes on holding it: drop the inner guards, then call into_owned on \
         the outermost",
    )
}
