//! What several processes measured, as one.

use std::time::Duration;

use hdrhistogram::Histogram;

/// Latencies in nanoseconds, and how many operations each process had.
pub(crate) struct Report {
    latencies: Histogram<u64>,
    shares: Vec<u64>,
    seconds: f64,
}

impl Report {
    pub(crate) fn new(seconds: f64) -> Self {
        Report {
            latencies: Histogram::new_with_bounds(1, 600_000_000_000, 3)
                .expect("up to ten minutes, three digits"),
            shares: Vec::new(),
            seconds,
        }
    }

    pub(crate) fn record(&mut self, took: Duration) {
        self.latencies
            .saturating_record(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
    }

    /// The line in which a child sends its report to the parent.
    pub(crate) fn to_line(&self) -> String {
        let counts: Vec<_> = self
            .latencies
            .iter_recorded()
            .map(|step| (step.value_iterated_to(), step.count_at_value()))
            .collect();
        serde_json::to_string(&counts).expect("numbers")
    }

    /// All children's lines in one report.
    pub(crate) fn gather(lines: impl Iterator<Item = String>, seconds: f64) -> Self {
        let mut all = Report::new(seconds);
        for line in lines {
            let counts: Vec<(u64, u64)> = serde_json::from_str(&line).expect("a child's report");
            all.shares.push(counts.iter().map(|(_, count)| count).sum());
            for (value, count) in counts {
                all.latencies.saturating_record_n(value, count);
            }
        }
        all
    }

    /// Operations a second, of all processes.
    pub(crate) fn throughput(&self) -> f64 {
        self.latencies.len() as f64 / self.seconds
    }

    /// In microseconds.
    pub(crate) fn median(&self) -> f64 {
        self.latencies.value_at_quantile(0.5) as f64 / 1000.0
    }

    pub(crate) fn header() {
        println!(
            "{:<36} {:>9} {:>8} {:>8} {:>9} {:>10} {:>6}",
            "", "ops/s", "p50", "p99", "p99.9", "longest", "share"
        );
    }

    pub(crate) fn print(&self, name: &str) {
        let at = |quantile| self.latencies.value_at_quantile(quantile) as f64 / 1000.0;
        let (p50, p99, p999, longest) = (
            at(0.5),
            at(0.99),
            at(0.999),
            self.latencies.max() as f64 / 1000.0,
        );
        match (self.shares.iter().min(), self.shares.iter().max()) {
            (Some(&least), Some(&most)) => println!(
                "{name:<36} {:>9.0} {p50:>8.1} {p99:>8.1} {p999:>9.1} {longest:>10.1} {:>6.2}",
                self.throughput(),
                least as f64 / most as f64,
            ),
            _ => println!(
                "{name:<36} {:>9} {p50:>8.1} {p99:>8.1} {p999:>9.1} {longest:>10.1}",
                ""
            ),
        }
    }
}
