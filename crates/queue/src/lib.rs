//! A persistent job queue that many processes share.
//!
//! - [`Queue`]: jobs that are pushed, claimed by workers of any process, tried again, and finished, with their effects, in one
//!   transaction.
//! - [`Claim`]: a job in the hands of a worker, which is ready again if that dies.
//! - [`Worker`]: threads that claim jobs and give them to a handler; [`Supervisor`]: keeps processes of them running.
//! - `Schedule`, `Cron`: jobs that come again and again, with the feature `cron`.
//! - [`Push`], [`Unique`], [`Pushed`]: for later, with a priority, the only one of its kind, one after the other.
//! - [`QueueOptions`], [`Backoff`], [`Keep`]: how often and when what failed is tried again, and what is kept.
//! - [`Job`], [`Jobs`], [`JobState`], [`Why`], [`QueueStats`]: what there is to see; [`Outcome`]: how a job ended.
//!
//! ```
//! use diskette::{Index, Queue, Store};
//!
//! # let dir = tempfile::tempdir()?;
//! # std::env::set_current_dir(&dir)?;
//! let store = Store::open("store")?;
//! let words = Queue::<String>::new(&store, "words")?;
//! let lengths = Index::<String, usize>::new(&store, "lengths")?;
//! words.push("deque")?;
//!
//! while let Some(claim) = words.try_claim()? {
//!     // If this process dies here, the job is ready again at once.
//!     let length = claim.len();
//!     store.transaction(|tx| {
//!         lengths.within(tx).insert(&*claim, &length)?;
//!         if length > 4 {
//!             words.within(tx).push(&claim[..4])?;
//!         }
//!         claim.complete(tx)
//!     })?;
//! }
//! assert_eq!(lengths.get("dequ")?, Some(4));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod backoff;
mod claim;
mod claiming;
mod completing;
mod config;
mod crew;
#[cfg(feature = "cron")]
mod cron;
mod death;
mod due;
mod follow;
mod held;
mod home;
mod inner;
mod job;
mod keep;
mod list;
mod new_job;
mod options;
mod push;
mod pushing;
mod queue;
mod retention;
#[cfg(feature = "cron")]
mod schedule;
mod sql;
mod supervisor;
mod tend;
mod turns;
mod waiting;
mod worker;

pub use backoff::Backoff;
pub use claim::{Claim, ClaimWithin};
#[cfg(feature = "cron")]
pub use cron::Cron;
pub use diskette_ipc::{Clock, ManualClock, Party, SystemClock};
pub use job::{Content, Job, JobId, JobState, Why};
pub use keep::Keep;
pub use list::Jobs;
pub use options::QueueOptions;
pub use push::{Push, Pushed, Unique};
pub use queue::Queue;
#[cfg(feature = "cron")]
pub use schedule::Schedule;
pub use supervisor::Supervisor;
pub use tend::QueueStats;
pub use waiting::Outcome;
pub use worker::{Next, Worked, Worker};
