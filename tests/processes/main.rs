//! What processes share, tested with real processes and real signals. One binary, so that SQLite is linked once.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "this is how a test fails"
)]

mod cache;
mod claims;
mod clocks;
mod coherent;
mod conservation;
mod crashes;
mod crawler;
mod damage;
mod earlier;
mod files;
mod fork;
mod full;
mod growth;
mod histories;
mod hostile;
// Elsewhere workers outlive a supervisor that is killed.
#[cfg(target_os = "linux")]
mod jobs;
// What it counts is what glibc does.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod large_values;
mod locks;
mod memoize;
mod moving;
mod over;
mod paper;
mod postgres;
#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
mod power_cuts;
mod queue;
mod read_only;
mod sharded;
mod sharing;
mod stops;
mod structures;
mod throttle;
mod torture;
mod turns;
mod waiting;
mod workers;
