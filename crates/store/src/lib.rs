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
mod backup;
mod board;
mod catalog;
mod check;
mod codec;
mod compact;
mod connection;
mod content;
mod db;
mod directory;
#[doc(hidden)]
pub mod entries;
mod error;
mod estate;
mod fence;
mod fork;
mod garbage;
mod gate;
mod holdable;
mod housekeeping;
mod inside;
pub mod key;
mod kind;
mod like;
mod options;
mod readers;
mod reading;
mod removal;
mod reserve;
mod share;
mod stats;
mod store;
mod structure;
mod timeline;
mod transaction;
mod value_file;
mod values;
mod wait_any;
mod waiting;
mod whose;
mod writer;

pub use access::Access;
pub use ahead::Ahead;
pub use check::{Problem, Report};
#[cfg(feature = "zstd")]
pub use codec::Zstd;
pub use codec::{Bincode, Codec, Json, MessagePack};
pub use content::{Content, Stream};
pub use db::{Db, Row, Value};
pub use diskette_ipc::Stop;
pub use error::{Error, ErrorKind, Result};
pub use fence::Fence;
pub use holdable::Holdable;
pub use inside::Inside;
pub use kind::{Claims, GiveBack, Kind, Table};
pub use like::Like;
pub use options::{Durability, Options};
pub use share::Share;
pub use stats::{Stats, StructureStats};
pub use store::Store;
pub use structure::Structure;
pub use timeline::Timeline;
pub use transaction::{Snapshot, Transaction};
pub use value_file::StreamReader;
pub use values::{INLINE, Stored, Values};
pub use wait_any::{Arrivals, wait_any};
pub use waiting::Attempt;
