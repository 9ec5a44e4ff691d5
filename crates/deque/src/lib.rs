//! A persistent double-ended queue that many processes share.
//!
//! - [`Deque`]: `VecDeque`'s methods, each of them one atomic transaction; pops that wait without
//!   polling.
//! - [`Claim`]: an item that one process works on, and that returns to its place if that process dies.
//! - [`DequeOptions`], [`WhenFull`]: another codec, a bound and what happens at it.
//! - [`Iter`]: both ways, in bounded memory.
//!
//! ```
//! use std::time::Duration;
//! use diskette::{Deque, Error, Store};
//!
//! # let dir = tempfile::tempdir()?;
//! # std::env::set_current_dir(&dir)?;
//! let store = Store::open("crawl")?;
//! let todo = Deque::<String>::new(&store, "todo")?;
//! let done = Deque::<String>::new(&store, "done")?;
//! todo.push_back("https://example.org/")?;
//!
//! while let Some(claim) = todo.claim_front(Duration::ZERO)? {
//!     // If this process dies here, the item is back in its place at once.
//!     store.transaction(|tx| {
//!         done.within(tx).push_back(&*claim)?;
//!         claim.complete(tx)
//!     })?;
//! }
//! assert_eq!(done.front()?.as_deref(), Some("https://example.org/"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod bound;
mod claim;
mod claiming;
mod claims;
mod deque;
mod ends;
mod gaps;
mod held;
mod iter;
mod middle;
mod options;
mod order;
mod popped;
mod positions;
mod rearrange;
mod sql;
mod unreadable;
mod waiting;
mod whole;

pub use bound::WhenFull;
pub use claim::Claim;
pub use claims::Claimed;
pub use deque::Deque;
pub use diskette_ipc::Party;
pub use iter::Iter;
pub use options::DequeOptions;
pub use unreadable::Unreadable;
