//! A database whose members have its locks in memory, beside strangers who use stock SQLite, with processes that are killed.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "this is how a test fails, and opens what nobody else does"
)]

mod contents;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod killed;
mod spilled;
#[cfg(target_os = "linux")]
mod strangers;
mod synced;
mod torture;
