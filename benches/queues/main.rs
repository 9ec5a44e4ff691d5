//! What a queue promises, at its size: a backlog of a million jobs, ten thousand scheduled ones, workers that die, that idle, and that are
//! killed ten times a second.
//!
//! `cargo bench --bench queues`, or with the names of some of them: `-- backlog due deaths idle kills`; with `--quick`, a tenth of it; on
//! PostgreSQL where the environment says `DISKETTE_ENGINE=postgres`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a bench that fails has nothing to say"
)]

mod backlog;
mod deaths;
mod due;
mod idle;
mod kills;

use std::env;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use diskette_benches::scaled;
use diskette_testkit::{Parent, is_child};
use hdrhistogram::Histogram;

fn main() {
    if is_child() {
        due::work();
        due::sleep();
        deaths::work();
        idle::work();
        return kills::work();
    }
    if !diskette_benches::is_asked_for() {
        return;
    }
    let arguments: Vec<_> = env::args().skip(1).collect();
    let scale = match arguments.iter().any(|argument| argument == "--quick") {
        true => 10,
        false => scaled(1, 1000),
    };
    let names = arguments
        .iter()
        .filter(|argument| !argument.starts_with('-'));
    let names: Vec<_> = names.collect();
    type Measure = fn(u32);
    let all: [(&str, Measure); 5] = [
        ("backlog", backlog::measure),
        ("due", due::measure),
        ("deaths", deaths::measure),
        ("idle", idle::measure),
        ("kills", kills::measure),
    ];
    for (name, measure) in all {
        if names.is_empty() || names.iter().any(|wanted| *wanted == name) {
            measure(scale);
            println!();
        }
    }
}

/// The directory that is the first argument of a role.
fn dir(parent: &Parent) -> PathBuf {
    PathBuf::from(parent.arg::<String>(0))
}

/// A time that processes can compare, in microseconds since 1970.
#[allow(clippy::disallowed_methods)]
fn now() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    u64::try_from(now.expect("after 1970").as_micros()).expect("before 586524 AD")
}

/// How long something took, many times; in nanoseconds.
fn latencies() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 600_000_000_000, 3).expect("up to ten minutes, three digits")
}

fn record(latencies: &mut Histogram<u64>, took: Duration) {
    latencies.saturating_record(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
}

fn header(unit: &str) {
    println!(
        "{:<48} {:>9} {:>9} {:>9} {:>9}",
        unit, "p50", "p99", "p99.9", "longest"
    );
}

/// In units of so many nanoseconds.
fn print(name: &str, latencies: &Histogram<u64>, unit: f64) {
    let at = |quantile| latencies.value_at_quantile(quantile) as f64 / unit;
    println!(
        "{name:<48} {:>9.1} {:>9.1} {:>9.1} {:>9.1}",
        at(0.5),
        at(0.99),
        at(0.999),
        latencies.max() as f64 / unit
    );
}
