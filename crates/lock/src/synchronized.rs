use diskette_store::{Result, Store};

use crate::guard::Guard;
use crate::lock::Lock;

/// Runs `work` under the [`Lock`] of this name: in one thread of one process at a time. diskcache calls this a barrier.
///
/// Who does it often keeps the lock, and calls [`Lock::synchronized`]: that spares the look for the name.
///
/// # Errors
///
/// Those of [`Lock::new`] and [`Lock::synchronized`].
///
/// # Example
///
/// ```
/// use diskette::Store;
///
/// # let dir = tempfile::tempdir()?;
/// # std::env::set_current_dir(&dir)?;
/// let store = Store::open("store")?;
/// let sum = diskette::synchronized(&store, "sums", |_guard| 1 + 1)?;
/// assert_eq!(sum, 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn synchronized<T>(store: &Store, name: &str, work: impl FnOnce(&Guard) -> T) -> Result<T> {
    Lock::new(store, name)?.synchronized(work)
}
