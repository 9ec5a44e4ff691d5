//! SQLite with the locks of its write-ahead log in shared memory, for the processes that have agreed on it.
//!
//! Two thirds of a small operation of SQLite are `fcntl` locks on `-shm`: six in a write, two in a read. The VFS of this crate is
//! SQLite's own `unix` one, but that it keeps these locks on a [`Roster`](diskette_ipc::Roster), where each costs an atomic write,
//! and that a transaction goes into the log by one call of the system (`log.rs`).
//! Programs that open the same database by stock SQLite are *strangers*: they may read, and are told `SQLITE_BUSY` when they write,
//! as long as anybody has it open by this VFS. What keeps them and us apart is told at the head of `locks.rs`.
//!
//! Only Linux has what the roster needs. Elsewhere, and by an SQLite without that VFS, [`LogLocks`] changes nothing.
#![allow(unsafe_code)] // it is called by C, and calls C

#[cfg(target_os = "linux")]
mod file;
#[cfg(target_os = "linux")]
mod index;
#[cfg(target_os = "linux")]
mod locks;
#[cfg(target_os = "linux")]
mod log;
#[cfg(target_os = "linux")]
mod vfs;

#[cfg(target_os = "linux")]
pub use vfs::LogLocks;

#[cfg(not(target_os = "linux"))]
mod kernel;
#[cfg(not(target_os = "linux"))]
pub use kernel::LogLocks;
