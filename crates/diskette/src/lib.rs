//! Persistent data structures that many processes share, with no server to run.
//!
//! A [`Store`] is a directory. Structures live in it by name, and every thread of every process on the
//! machine may use them at once:
//!
//! - [`Deque`]: a queue with two ends; waiting pops, and claims that come back when their owner dies.
//! - [`Index`]: a map in insertion order and in key order; streams for what doesn't fit into memory.
//! - [`Cache`]: a map that forgets: expiry, tags, limits and the policy by which entries make room; [`ShardedCache`]: spread over
//!   several databases, in which as many processes can write at once.
//! - [`Queue`]: jobs for workers of any process, with priorities, delays, retries and results; [`Worker`] and [`Supervisor`]: threads and
//!   processes that work them off.
//! - [`Lock`], [`RLock`], [`RwLock`], [`BoundedSemaphore`]: held by threads of any process, never by the dead.
//! - [`Throttle`]: a rate limit that all processes keep together.
//! - [`Stop`]: ends all waiting, from a signal handler or another thread. [`wait_any`]: waits for several deques and queues at once.
//!
//! ```
//! use std::time::Duration;
//! use diskette::{Deque, Error, Index, Store};
//!
//! # let dir = tempfile::tempdir()?;
//! # std::env::set_current_dir(&dir)?;
//! let store = Store::open("words")?;
//! let todo = Deque::<String>::new(&store, "todo")?;
//! let lengths = Index::<String, usize>::new(&store, "lengths")?;
//!
//! todo.extend(["deque", "index"].map(String::from))?;
//! while let Some(claim) = todo.claim_front(Duration::from_millis(1))? {
//!     // If this process dies here, the word is back in its place at once.
//!     let length = claim.len();
//!     store.transaction(|tx| {
//!         lengths.within(tx).insert(&*claim, &length)?;
//!         claim.complete(tx)
//!     })?;
//! }
//! assert_eq!(lengths.get("deque")?, Some(5));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Each is opened by `new`, which makes it if it is missing, or by `find`, which doesn't. A [`Deque`], an [`Index`], a [`Cache`] and a [`Queue`] can have a
//! store of their own, by `open`, and be made within a transaction, by `new_within`. What isn't the default is said by `options()`.
//!
//! # One operation, one transaction
//!
//! Each method is atomic by itself. [`Store::transaction`] makes one transaction of several, over
//! several structures: `structure.within(tx)` is the structure inside it, with the same methods.
//! [`Store::snapshot`] is for reading several things as of one moment.
//!
//! # What is kept, and when
//!
//! A process that is killed loses nothing that a call had returned, and holds nothing afterwards.
//! What a power cut may take is the store's [`Durability`].
//!
//! # Bytes
//!
//! Values are whatever serde can handle, written by a [`Codec`]: [`MessagePack`] unless another is asked
//! for, [`Json`] where people read, [`Bincode`] where types never change; and `Zstd` of each of them, with the feature `zstd`,
//! where values are large and alike within. Keys are written so that
//! their bytes sort as they do: see [`key`], and [`key::Ordered`] for instants and ids.
//!
//! # Features
//!
//! - `bundled`, on by default: SQLite is compiled in.
//! - `chrono`, `jiff`, `uuid`: instants and ids of these crates as keys, in a [`key::Ordered`].
//! - `cron`: jobs at the times of a cron expression, by `Queue::every`.
//! - `postgres`: stores in a PostgreSQL database, for the processes of several machines, by `Store::open("postgres://…?store=name")`;
//!   one in a directory moves there by `Store::promote`.
//! - `zstd`: the codec `Zstd`, which compresses values; it compiles zstd in, and needs a C compiler.
#![forbid(unsafe_code)]

pub use diskette_cache as cache;
pub use diskette_cache::{
    Cache, CacheOptions, CacheStats, Expiry, Fresh, Memoized, Meta, Policy, ShardedCache, Terms,
    Upkeep,
};
pub use diskette_deque as deque;
pub use diskette_deque::{Claim, Claimed, Deque, DequeOptions, Unreadable, WhenFull};
pub use diskette_index as index;
pub use diskette_index::{Entry, Index, IndexOptions, Stream};
pub use diskette_lock as lock;
pub use diskette_lock::{
    Barrier, BarrierWait, Guard, Holder, Lock, OwnedGuard, Party, RLock, RwLock, synchronized,
};
pub use diskette_queue as queue;
pub use diskette_queue::{
    Backoff, Job, JobId, JobState, Keep, Outcome, Push, Pushed, Queue, QueueOptions, QueueStats,
    Supervisor, Unique, Why, Worker,
};
#[cfg(feature = "cron")]
pub use diskette_queue::{Cron, Schedule};
pub use diskette_semaphore as semaphore;
pub use diskette_semaphore::{BoundedSemaphore, Permit};
#[cfg(feature = "zstd")]
pub use diskette_store::Zstd;
pub use diskette_store::{
    Access, Arrivals, Bincode, Codec, Durability, Error, ErrorKind, Fence, Json, Like, MessagePack,
    Options, Problem, Report, Result, Snapshot, Stats, Stop, Store, StreamReader, StructureStats,
    Structures, Transaction, key, wait_any,
};
#[cfg(feature = "postgres")]
pub use diskette_store::{Progress, Promoted, Step};
pub use diskette_throttle as throttle;
pub use diskette_throttle::{Chain, Rate, Reservation, RetryAfter, Throttle, ThrottleOptions};

/// `Ok`, with diskette's error: for the end of a closure that says nothing else of its error.
///
/// # Example
///
/// ```
/// use diskette::{Deque, Store};
///
/// # let dir = tempfile::tempdir()?;
/// # std::env::set_current_dir(&dir)?;
/// let store = Store::open("store")?;
/// let todo = Deque::<String>::new(&store, "todo")?;
/// store.transaction(|tx| {
///     todo.within(tx).push_back("write")?;
///     diskette::Ok(())
/// })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[allow(non_snake_case, reason = "it is the variant, but for its type")]
pub const fn Ok<T>(value: T) -> Result<T> {
    Result::Ok(value)
}

#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/cookbook.md")]
struct Cookbook;
