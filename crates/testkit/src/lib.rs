//! Real processes, gates, signals and histories for diskette's tests.
//!
//! A test plays its other processes itself: each is the test's own binary, started again for one named [`role!`].
//!
//! ```no_run
//! use diskette_testkit::{Child, PATIENCE, role};
//!
//! role! {
//!     /// Says hello to whoever its first argument names.
//!     fn greeter(parent) {
//!         let whom: String = parent.arg(0);
//!         parent.say(format!("hello, {whom}"));
//!         parent.hear(); // stays until it is told to go, or killed
//!     }
//! }
//!
//! #[test]
//! fn a_greeter_greets() {
//!     let mut child = Child::spawn(greeter, &[&"world"]);
//!     assert_eq!(child.hear(PATIENCE), "hello, world");
//!     child.kill();
//! }
//! # fn main() {}
//! ```
//!
//! What needs PostgreSQL takes the server that all tests share, or one to kill, and is left out where none is installed.
//!
//! ```no_run
//! use diskette_testkit::{Postgres, unique_store};
//!
//! if let Some(postgres) = Postgres::shared() {
//!     println!("{}", postgres.url(&unique_store()));
//! }
//! if let Some(mut postgres) = Postgres::private(&[("max_connections", "20")]) {
//!     let network = postgres.proxy();
//!     println!("{}", postgres.url_over_tcp(&network, &unique_store()));
//!     network.cut();
//!     postgres.kill();
//!     postgres.start();
//! }
//! ```
//!
//! Everything fails by panicking, with what the children printed.
#![allow(clippy::expect_used, reason = "this is how a test fails")]

mod asleep;
mod at_best;
mod child;
mod eventually;
mod files;
mod forked;
mod gate;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod instructions;
mod linear;
mod place;
mod postgres;
#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
mod power_cut;
mod proc;
mod proxy;
mod random;
mod role;
mod shifted;
mod small_disk;
mod stop_on;
mod unique_store;

pub use asleep::asleep;
pub use at_best::at_best_within;
pub use child::Child;
pub use eventually::{PATIENCE, eventually};
pub use files::files_below;
pub use forked::Forked;
pub use gate::Gate;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub use instructions::{kill_at_step, thread_id};
pub use linear::{Call, linearizable};
pub use nix::sys::signal::Signal;
pub use place::{Place, cases, on_postgres};
pub use postgres::{Bouncer, Postgres};
#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
pub use power_cut::{PowerCut, Worst, power_cuts};
pub use proc::{assert_rest, context_switches, cpu_time, take_all_descriptors};
pub use proxy::Proxy;
pub use random::Random;
pub use role::{Parent, is_child, play};
pub use shifted::Shifted;
pub use small_disk::{Filler, SmallDisk};
pub use stop_on::stop_on;
pub use unique_store::unique_store;
