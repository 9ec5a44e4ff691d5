//! What the kernel gives to diskette: file locks, wake-ups across processes, and who is alive.
//!
//! Everything here is small, knows nothing of databases, and fails with [`std::io::Error`].
//!
//! | need | take |
//! |---|---|
//! | one process at a time, released when its holder dies | [`FileLock`] |
//! | the same for thousands of names, in the order of arrival, and see who holds what | [`Board`] |
//! | the same for who takes it a million times a second | [`Roster`] |
//! | sleep until another process has changed something | [`Doorbell`] |
//! | know whether the process that left a mark still lives | [`Owners`], [`DeathWatch`] |
//! | throw away what nobody needs any more | [`Eras`] |
//! | keep others from changing a file that one may only read | [`SharedRange`] |
//! | stop waiting in time | [`Deadline`] |
//! | stop waiting when the program ends | [`Stop`] |
//! | write down a time that another process reads | [`Clock`], [`boot`] |
//! | take turns among the threads of one process, or do what the others wait for | [`Relay`] |
//! | read side by side what is seldom written | [`LaneLock`], [`Lanes`] |
//! | survive `fork` | [`fork`], [`Mutex`] |
//! | work in the background | [`background`] |
//! | start processes that don't outlive this one, and end them | [`offspring`] |
//! | refuse a network file system | [`filesystem`] |
//! | open no file that was put in the way | [`plain_file`] |
//! | name a thing as nobody else does | [`random`] |
#![allow(unsafe_code)] // but for wal-index and vfs the only crate that has any: all the others forbid it

mod back_off;
pub mod background;
mod board;
pub mod boot;
pub mod clock;
mod deadlock;
mod death_watch;
mod doorbell;
mod eras;
mod file_lock;
pub mod filesystem;
pub mod fork;
#[cfg(target_os = "linux")]
mod futex;
#[cfg(not(target_os = "linux"))]
#[path = "futex_polling.rs"]
mod futex;
mod lanes;
mod line;
mod listener;
mod mapping;
mod mutex;
#[cfg(target_os = "linux")]
mod news;
#[cfg(not(target_os = "linux"))]
#[path = "news_polling.rs"]
mod news;
pub mod offspring;
mod owner_file;
mod owner_id;
mod owners;
mod places;
pub mod plain_file;
mod queue;
pub mod random;
mod record;
mod relay;
#[cfg(target_os = "linux")]
mod roster;
mod seat;
mod shared_range;
mod slots;
mod stop;

pub use board::Board;
pub use clock::{Clock, Deadline, ManualClock, Reading, SystemClock};
pub use deadlock::Link;
pub use death_watch::{DeathWatch, Stopper};
pub use doorbell::{Awaited, Doorbell};
pub use eras::{Eras, Stay};
pub use file_lock::{FileLock, Mode};
pub use lanes::{ArcLaneWriteGuard, LaneLock, Lanes, RawLaneLock};
pub use line::Seen;
pub use listener::Listener;
pub use mutex::{ArcMutexGuard, Mutex, MutexGuard, RawMutex};
pub use owner_id::OwnerId;
pub use owners::Owners;
pub use queue::{Custody, Taken};
pub use relay::{Baton, Doing, Errand, Errands, Queue, Relay, Served};
#[cfg(target_os = "linux")]
pub use roster::{Member, Roster};
pub use seat::Party;
pub use shared_range::SharedRange;
pub use slots::{Hold, Holder, Lost, Slots};
pub use stop::Stop;
