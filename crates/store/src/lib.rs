//! The store under diskette's structures: one directory, one SQLite database, transactions.
//!
//! - [`Store`]: opening, transactions, snapshots; [`Options`], [`Durability`].
//! - [`Transaction`], [`Snapshot`], [`Access`]: how a structure reaches the database.
//! - [`Codec`]: how values become bytes: [`Bincode`], [`MessagePack`], [`Json`], compressed by `Zstd`; [`key`]: how keys do,
//!   in order; [`Like`]: what may stand for a stored type.
//! - [`Stop`]: ending waits from a signal handler or another thread.
//! - [`wait_any`]: waiting for the first of several structures to get an item.
//! - [`Report`], [`Stats`]: what [`Store::check`] and [`Store::stats`] say.
//! - [`Structure`], [`Kind`], [`Share`], [`Db`]: for those who write a structure.
#![forbid(unsafe_code)]

mod access;
mod ahead;
mod blocks;
mod claims;
mod codec;
mod content;
mod db;
mod engine;
#[doc(hidden)]
pub mod entries;
mod error;
mod fence;
mod following;
mod hold;
mod holdable;
mod inside;
pub mod key;
mod kind;
mod like;
#[cfg(feature = "postgres")]
mod moving;
mod options;
mod over;
#[cfg(feature = "postgres")]
mod postgres;
mod removal;
mod report;
mod row;
mod shards;
mod share;
mod sqlite;
mod stats;
mod store;
mod structure;
mod tenancy;
mod timeline;
mod transaction;
mod upkeep;
mod values;
mod wait_any;
mod waiting;
mod whose;

pub use access::Access;
pub use ahead::Ahead;
#[cfg(feature = "zstd")]
pub use codec::Zstd;
pub use codec::{Bincode, Codec, Json, MessagePack};
pub use content::{Content, Stream};
pub use db::Db;
pub use diskette_ipc::Stop;
pub use error::{Error, ErrorKind, Result};
pub use fence::Fence;
pub use hold::Hold;
pub use holdable::Holdable;
pub use inside::Inside;
pub use kind::{Claims, GiveBack, Kind, Table};
pub use like::Like;
#[cfg(feature = "postgres")]
pub use moving::{Progress, Step};
pub use options::{Durability, Options};
pub use over::Structures;
pub use report::{Problem, Report};
pub use row::{Row, Value};
pub use shards::{MOST_SHARDS, ShardSet};
pub use share::Share;
#[cfg(feature = "postgres")]
pub use sqlite::Promoted;
pub use sqlite::memory::{Keeping, Memory};
pub use sqlite::value_file::StreamReader;
pub use stats::{Stats, StructureStats};
pub use store::Store;
pub use structure::Structure;
pub use tenancy::Tenancy;
pub use timeline::Timeline;
pub use transaction::{Snapshot, Transaction};
pub use values::{INLINE, Stored};
pub use wait_any::{Arrivals, wait_any};
pub use waiting::Attempt;
