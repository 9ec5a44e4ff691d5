//! Rate limits that many processes keep together.
//!
//! - [`Throttle`]: no more than so many calls a second, over all processes, restarts included; callers
//!   that wait are let through one by one, each at the very time that it was told.
//! - [`Rate`]: how many, in how long, and how many of them at once.
//! - [`Chain`]: several throttles that a call has to pass together, such as a host's and a global one.
//! - [`Reservation`]: a time that is booked ahead, and given back if it isn't kept.
//! - [`RetryAfter`]: how long until the next try can succeed.
//! - [`ThrottleOptions`]: another [`Clock`], such as a [`ManualClock`] for tests.
//!
//! ```
//! use diskette::{Rate, Store, Throttle};
//!
//! # let dir = tempfile::tempdir()?;
//! # std::env::set_current_dir(&dir)?;
//! let store = Store::open("crawl")?;
//! let host = Throttle::new(&store, "host example.org", Rate::per_second(20).burst(5))?;
//! let global = Throttle::new(&store, "global", [Rate::per_second(200), Rate::per_hour(100_000)])?;
//!
//! let polite = host.and(&global);
//! for page in ["/", "/about", "/contact"] {
//!     polite.acquire()?; // sleeps until it is this call's turn in both
//!     println!("fetching {page}");
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The arithmetic is GCRA, the *generic cell rate algorithm* of ITU-T I.371 and the ATM Forum's Traffic
//! Management 4.0: a throttle remembers one time for each of its rates, so that all it is takes one row
//! of some 50 bytes.
#![forbid(unsafe_code)]

mod booking;
mod chain;
mod changing;
mod fine;
mod gcra;
mod links;
mod notation;
mod options;
mod passing;
mod rate;
mod reservation;
mod retry_after;
mod sql;
mod state;
mod throttle;

pub use chain::Chain;
pub use diskette_ipc::{Clock, ManualClock, Reading, SystemClock};
pub use options::ThrottleOptions;
pub use rate::Rate;
pub use reservation::Reservation;
pub use retry_after::RetryAfter;
pub use throttle::Throttle;
