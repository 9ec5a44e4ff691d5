//! Locks that many processes share, and that the dead don't hold.
//!
//! - [`Lock`]: one thread of one process at a time.
//! - [`RLock`]: the same, which a thread that holds it may take again.
//! - [`RwLock`]: many that read, or one that writes.
//! - [`Guard`]: the lock while it is held, with a token that fences off whoever lost it.
//! - [`OwnedGuard`]: the same, for any thread of the process, and across an `.await`.
//! - [`synchronized`]: a closure under a named lock.
//! - [`Barrier`]: a number of processes that wait for each other.
//!
//! ```
//! use diskette::{Error, Lock, Store};
//!
//! # let dir = tempfile::tempdir()?;
//! # std::env::set_current_dir(&dir)?;
//! let store = Store::open("store")?;
//! let import = Lock::new(&store, "import")?;
//!
//! let guard = import.lock()?; // if this process dies here, the lock is free at once
//! store.transaction_fenced(&guard, |tx| {
//!     // structure.within(tx).insert(…)?;
//!     Ok::<(), Error>(())
//! })?;
//! guard.release()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod barrier;
mod guard;
mod lock;
mod owned_guard;
mod rlock;
mod rounds;
mod rw_lock;
mod sql;
mod synchronized;

pub use barrier::{Barrier, BarrierWait};
pub use diskette_ipc::{Holder, Party};
pub use guard::Guard;
pub use lock::Lock;
pub use owned_guard::OwnedGuard;
pub use rlock::RLock;
pub use rw_lock::RwLock;
pub use synchronized::synchronized;
