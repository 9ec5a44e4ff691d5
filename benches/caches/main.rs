//! How well each policy of a cache chooses: the share of reads that find what they look for, beside caches in memory. And a
//! cache of millions of entries: how long its writers wait at most while it evicts, expires and is culled.
//!
//! `cargo bench --bench caches`; `-- --trace FILE`, in which each line is a key; `-- --entries N`: only the waits, with so many.
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    reason = "it measures time, and ends at the first error"
)]

mod choices;
mod pauses;

use std::env;
use std::fs;

use diskette_benches::scaled;

fn main() {
    if !diskette_benches::is_asked_for() {
        return;
    }
    let argument = |name: &str| {
        let mut arguments = env::args().skip_while(|argument| argument != name);
        arguments.nth(1)
    };
    let entries = argument("--entries").map(|n| n.parse().expect("a number"));
    if entries.is_none() {
        let trace = argument("--trace").map(|path| fs::read_to_string(path).expect("a trace"));
        choices::compare(trace.as_deref());
    }
    pauses::measure(entries.unwrap_or(scaled(1_000_000, 2_000)));
}
