use std::fmt;
use std::sync::Arc;

use diskette_store::{Fence, Hold, Holdable, Result};

/// Permits of a semaphore, one or several taken at once; given back by [`release`](Self::release), or when it is dropped.
/// A panic drops it too.
///
/// # Process safety
///
/// It belongs to the process: it may be sent to another thread, or kept across an `.await`, and given back there;
/// [`holders`](crate::BoundedSemaphore::holders) goes on naming the thread that took it. It keeps the store open. One that is
/// forgotten ([`std::mem::forget`]) holds its permits until the process ends. In a forked child it is a copy that holds nothing:
/// [`is_held`](Self::is_held) is false, and dropping it does nothing.
///
/// # Crashes
///
/// If the process dies, its permits are free at once. The end of the thread that took them frees nothing.
///
/// # Example
///
/// ```
/// use diskette::{BoundedSemaphore, Store};
///
/// # let dir = tempfile::tempdir()?;
/// # std::env::set_current_dir(&dir)?;
/// let store = Store::open("store")?;
/// let semaphore = BoundedSemaphore::new(&store, "workers", 3)?;
/// let permit = semaphore.acquire_n(2)?;
/// assert_eq!(permit.count(), 2);
/// std::thread::spawn(move || permit.release()).join().unwrap()?;
/// assert_eq!(semaphore.available()?, 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "permits that are dropped are free at once"]
pub struct Permit {
    semaphore: Arc<Holdable>,
    hold: Hold,
    count: u32,
}

impl Permit {
    pub(crate) fn new(semaphore: &Arc<Holdable>, hold: Hold, count: u32) -> Self {
        Self {
            semaphore: Arc::clone(semaphore),
            hold,
            count,
        }
    }

    /// How many permits these are.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The fencing token: greater than that of every permit of this semaphore that was given with the same slots before. A
    /// transaction of the store checks it by [`transaction_fenced`](diskette_store::Store::transaction_fenced).
    pub fn token(&self) -> u64 {
        self.hold.token()
    }

    /// Whether they are still held: `false` only in a forked child, and once the files that say who holds what were
    /// removed under this process.
    pub fn is_held(&self) -> bool {
        self.semaphore.is_held(&self.hold)
    }

    /// Gives the permits back, and says whether they were still held.
    ///
    /// # Errors
    ///
    /// [`is_overtaken`](diskette_store::Error::is_overtaken) if they weren't.
    pub fn release(self) -> Result<()> {
        self.semaphore.give_back(self.hold)
    }
}

impl Fence for Permit {
    fn each(&self, visit: &mut dyn FnMut(&Holdable, &Hold) -> Result<()>) -> Result<()> {
        visit(&self.semaphore, &self.hold)
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit")
            .field("semaphore", &self.semaphore.structure().name())
            .field("count", &self.count)
            .finish()
    }
}
