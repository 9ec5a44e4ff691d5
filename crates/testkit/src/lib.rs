//! Real processes, gates and signals for diskette's tests.
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
//! Everything fails by panicking, with what the children printed.
#![allow(clippy::expect_used, reason = "this is how a test fails")]

mod asleep;
mod child;
mod eventually;
mod files;
mod forked;
mod gate;
#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
mod power_cut;
mod proc;
mod random;
mod role;
mod small_disk;
mod stop_on;

pub use asleep::asleep;
pub use child::Child;
pub use eventually::{PATIENCE, eventually};
pub use files::files_below;
pub use forked::Forked;
pub use gate::Gate;
pub use nix::sys::signal::Signal;
#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
pub use power_cut::{PowerCut, Worst, power_cuts};
pub use proc::{context_switches, cpu_time, take_all_descriptors};
pub use random::Random;
pub use role::{Parent, is_child, play};
pub use small_disk::{Filler, SmallDisk};
pub use stop_on::stop_on;
