//! Whether anything was committed to an SQLite database with a write-ahead log, by any process: for the price of reading
//! 96 bytes of memory.
//!
//! All who have the database open share its *WAL-index*, a mapped file, of which each commit changes the [`Header`]. A value that
//! was read under one header is that of the database for as long as [`WalIndex::is`] says that this header is still there.
//!
//! By the same way [`mend`] keeps what SQLite would lose when a process is killed at one certain instruction.
#![allow(unsafe_code)] // beside ipc and vfs the only crate that has any: all the others forbid it

mod header;
mod mend;
mod wal_index;

pub use header::Header;
pub use mend::{mend, mend_at};
pub use wal_index::WalIndex;
