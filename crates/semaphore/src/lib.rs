//! Permits that many processes share, and that the dead don't hold.
//!
//! - [`BoundedSemaphore`]: so many permits over all processes, and no more.
//! - [`Permit`]: one or several of them, while they are held.
//! - [`Holder`]: who holds permits, and since when.
//!
//! ```
//! use diskette::{BoundedSemaphore, Store};
//!
//! # let dir = tempfile::tempdir()?;
//! # std::env::set_current_dir(&dir)?;
//! let store = Store::open("store")?;
//! let connections = BoundedSemaphore::new(&store, "connections to example.org", 4)?;
//!
//! let permit = connections.acquire()?; // if this process dies here, the permit is free at once
//! // … one of at most four, over all processes
//! permit.release()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod permit;
mod semaphore;
mod sql;

pub use diskette_ipc::{Holder, Party};
pub use permit::Permit;
pub use semaphore::BoundedSemaphore;
