//! A persistent cache that many processes share: entries that expire, limits with a policy, tags.
//!
//! - [`Cache`]: the map that forgets. [`Terms`], [`Expiry`]: what an entry is kept for. [`Policy`]: who makes room.
//! - [`ShardedCache`]: the same, spread over several databases, in which as many processes can write at once.
//! - [`Cache::memoize`], [`Memoized`]: values that one process computes for all; [`Fresh`]: for how long they are good.
//! - [`Meta`], [`CacheStats`]: what is known of an entry, and of all.
//!
//! ```
//! use std::time::Duration;
//! use diskette::Cache;
//!
//! # let dir = tempfile::tempdir()?;
//! # std::env::set_current_dir(&dir)?;
//! let cache = Cache::<String, u32>::open("cache")?;
//! cache.insert_with("answer", &42, Duration::from_secs(60))?;
//! assert_eq!(cache.get("answer")?, Some(42));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod batch;
mod cache;
mod change;
mod choose;
mod config;
mod cost;
mod early;
mod evict;
mod flight;
mod fresh;
mod handle;
mod hash;
mod inner;
mod known;
mod memoize;
mod memoized;
mod meta;
mod notes;
mod options;
mod order;
mod part;
mod policy;
mod reach;
mod recorded;
mod reshard;
mod rows;
mod settle;
mod sharded;
mod shards;
mod sql;
mod stream;
mod terms;
mod upkeep;
mod uses;
mod way;

pub use cache::Cache;
pub use diskette_ipc::{Clock, ManualClock, SystemClock};
pub use diskette_store::entries::{Entry, Iter, Keys, Maybe, Range, RangeKeys, Values};
pub use diskette_store::{Content, Stream};
pub use fresh::Fresh;
pub use memoized::Memoized;
pub use meta::{CacheStats, Meta};
pub use options::CacheOptions;
pub use policy::Policy;
pub use reach::Reach;
pub use sharded::ShardedCache;
pub use shards::Shards;
pub use terms::{Expiry, Terms};
pub use upkeep::Upkeep;
