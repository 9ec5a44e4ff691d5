use std::fmt;
use std::sync::Arc;

use diskette_store::{Fence, Hold, Holdable, Result};

/// A lock, held by the process and by no thread in particular; made by [`Guard::into_owned`](crate::Guard::into_owned). It goes into
/// a worker thread or across an `.await`, and is given back by [`release`](Self::release), or when it is dropped, wherever that is.
///
/// # Process safety
///
/// The lock stays held when the thread that took it ends; [`holder`](crate::Lock::holder) goes on naming that thread. To take
/// the lock again, as one may with an [`RLock`](crate::RLock), is to wait for it, in every thread. In a forked child it is a
/// copy that holds nothing: [`is_held`](Self::is_held) is false, and dropping it does nothing.
///
/// Since any thread may give the lock back, a wait for it is never called a deadlock: neither that of the thread that has the
/// guard, nor that in a circle of threads. Circles of what is held by [`Guard`](crate::Guard)s are found as before. Wait with a
/// timeout where this matters.
///
/// It keeps the store open. One that is forgotten ([`std::mem::forget`]) holds the lock until the process ends.
///
/// # Crashes
///
/// If the process dies, the lock is free at once.
///
/// # Example
///
/// ```
/// use diskette::{Lock, OwnedGuard, Result, Store};
///
/// # let dir = tempfile::tempdir()?;
/// # std::env::set_current_dir(&dir)?;
/// let store = Store::open("store")?;
/// let lock = Lock::new(&store, "import")?;
/// let guard: OwnedGuard = lock.lock()?.into_owned()?;
/// let worker = std::thread::spawn(move || -> Result<()> {
///     // … the import
///     guard.release()
/// });
/// worker.join().unwrap()?;
/// assert!(lock.holder()?.is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a lock whose guard is dropped is free at once"]
pub struct OwnedGuard {
    lock: Arc<Holdable>,
    hold: Hold,
}

impl OwnedGuard {
    pub(crate) fn new(lock: Arc<Holdable>, hold: Hold) -> Result<Self> {
        lock.make_owned(&hold)?;
        Ok(Self { lock, hold })
    }

    /// The fencing token, as [`Guard::token`](crate::Guard::token): the same as before it was owned.
    pub fn token(&self) -> u64 {
        self.hold.token()
    }

    /// Whether the lock is still held: `false` only in a forked child, and once the files that say who holds what were
    /// removed under this process.
    pub fn is_held(&self) -> bool {
        self.lock.is_held(&self.hold)
    }

    /// Gives the lock back, and says whether it was still held.
    ///
    /// # Errors
    ///
    /// [`is_overtaken`](diskette_store::Error::is_overtaken) if it wasn't.
    pub fn release(self) -> Result<()> {
        self.lock.give_back(self.hold)
    }
}

impl Fence for OwnedGuard {
    fn each(&self, visit: &mut dyn FnMut(&Holdable, &Hold) -> Result<()>) -> Result<()> {
        visit(&self.lock, &self.hold)
    }
}

impl fmt::Debug for OwnedGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedGuard")
            .field("lock", &self.lock.structure().name())
            .field("token", &self.token())
            .finish()
    }
}
