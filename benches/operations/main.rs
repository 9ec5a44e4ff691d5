//! Single operations of one process, each beside the same work done raw: criterion's report, then
//! the budget table.
//!
//! `cargo bench --bench operations`
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a bench that fails has nothing to say"
)]

mod again;
mod caching;
mod holding;
mod pairs;
mod queueing;
mod raw;
mod table;

use std::time::{Duration, Instant};

use criterion::Criterion;

use crate::pairs::Pair;
use crate::table::{Row, Timings};

fn main() {
    if !diskette_benches::is_asked_for() {
        return;
    }
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory on the disk");
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2))
        .sample_size(40)
        .configure_from_args();
    let mut rows = Vec::new();
    for pair in pairs::all(dir.path()) {
        rows.extend(measure(&mut criterion, pair));
    }
    criterion.final_summary();
    table::print(&rows);
}

fn measure(criterion: &mut Criterion, pair: Pair) -> Option<Row> {
    let Pair {
        name,
        budget,
        each,
        raw,
        ours,
    } = pair;
    let mut group = criterion.benchmark_group(name);
    let mut side = |label, mut operation: Box<dyn FnMut()>| {
        let mut timings = Timings::default();
        group.bench_function(label, |bencher| {
            bencher.iter_custom(|times| {
                let mut total = Duration::ZERO;
                for _ in 0..times {
                    #[allow(clippy::disallowed_methods)]
                    let start = Instant::now();
                    operation();
                    let took = start.elapsed();
                    timings.record(took / each);
                    total += took;
                }
                total
            });
        });
        timings
    };
    let (raw, ours) = (side("raw", raw), side("diskette", ours));
    // Nothing was measured where a filter left the pair out.
    (!raw.is_empty() && !ours.is_empty()).then_some(Row {
        name,
        budget,
        raw,
        ours,
    })
}
