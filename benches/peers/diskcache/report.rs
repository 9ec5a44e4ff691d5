//! What the processes measured.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// One kind of call, in one process: how often nothing was found, and how often it took how many nanoseconds.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Measured(u64, Vec<(u64, u64)>);

impl Measured {
    pub(crate) fn add(&mut self, took: Duration, found: bool) {
        self.0 += u64::from(!found);
        self.1
            .push((u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), 1));
    }
}

/// Of all processes and rounds.
pub(crate) struct Report {
    pub(crate) latencies: Histogram<u64>,
    misses: u64,
}

impl Default for Report {
    fn default() -> Self {
        Report {
            latencies: Histogram::new_with_bounds(1, 600_000_000_000, 3)
                .expect("up to ten minutes, three digits"),
            misses: 0,
        }
    }
}

pub(crate) type Reports = BTreeMap<String, Report>;

/// Adds the line of a process.
pub(crate) fn gather(reports: &mut Reports, line: &str) {
    let measured: BTreeMap<String, Measured> = serde_json::from_str(line).expect("a report");
    for (name, Measured(misses, took)) in measured {
        let report = reports.entry(name).or_default();
        report.misses += misses;
        for (value, count) in took {
            report.latencies.saturating_record_n(value, count);
        }
    }
}

impl Report {
    pub(crate) fn at(&self, quantile: f64) -> f64 {
        self.latencies.value_at_quantile(quantile) as f64 / 1000.0
    }

    pub(crate) fn row(&self, peer: &str, call: &str) {
        let [median, p90, p99, p999] = [0.5, 0.9, 0.99, 0.999].map(|quantile| self.at(quantile));
        println!(
            "| {peer} | {call} | {} | {} | {median:.1} | {p90:.1} | {p99:.1} | {p999:.1} | {:.0} |",
            self.latencies.len(),
            self.misses,
            self.latencies.max() as f64 / 1000.0,
        );
    }
}
