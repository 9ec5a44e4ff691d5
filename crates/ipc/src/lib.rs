//! What the kernel gives to diskette: file locks, wake-ups across processes, and who is alive.
//!
//! Everything here is small, knows nothing of databases, and fails with [`std::io::Error`].
//!
//! | need | take |
//! |---|---|
//! | one process at a time, released when its holder dies | [`FileLock`] |
//! | the same for thousands of names, in the order of arrival, and see who holds what | [`Board`] |
//! | sleep until another process has changed something | [`Doorbell`] |
//! | know whether the process that left a mark still lives | [`Owners`], [`DeathWatch`] |
//! | stop waiting in time | [`Deadline`] |
//! | write down a time that another process reads | [`Clock`], [`boot`] |
//! | survive `fork` | [`fork`], [`Mutex`] |
//! | refuse a network file system | [`filesystem`] |
#![allow(unsafe_code)] // the only crate that has any: all the others forbid it

#[cfg(target_os = "linux")]
mod alarm;
#[cfg(not(target_os = "linux"))]
#[path = "alarm_polling.rs"]
mod alarm;
mod back_off;
mod board;
pub mod boot;
pub mod clock;
mod deadlock;
mod death_watch;
mod doorbell;
mod file_lock;
pub mod filesystem;
pub mod fork;
#[cfg(target_os = "linux")]
mod futex;
#[cfg(not(target_os = "linux"))]
#[path = "futex_polling.rs"]
mod futex;
mod line;
mod mapping;
mod mutex;
#[cfg(target_os = "linux")]
mod news;
#[cfg(not(target_os = "linux"))]
#[path = "news_polling.rs"]
mod news;
mod owner_file;
mod owner_id;
mod owners;
mod places;
mod queue;
mod seat;
mod slots;

pub use board::Board;
pub use clock::{Clock, Deadline, ManualClock, Reading, SystemClock};
pub use deadlock::Link;
pub use death_watch::{DeathWatch, Stopper};
pub use doorbell::Doorbell;
pub use file_lock::{FileLock, Mode};
pub use line::Seen;
pub use mutex::{ArcMutexGuard, Mutex, MutexGuard, RawMutex};
pub use owner_id::OwnerId;
pub use owners::Owners;
pub use queue::{Custody, Taken};
pub use seat::Party;
pub use slots::{Hold, Holder, Lost, Slots};
