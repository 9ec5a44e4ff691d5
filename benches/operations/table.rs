//! The budget table: ratios of medians.

use std::time::Duration;

use hdrhistogram::Histogram;

/// How long single operations took, in nanoseconds.
pub(crate) struct Timings(Histogram<u64>);

impl Default for Timings {
    fn default() -> Self {
        Timings(
            Histogram::new_with_bounds(1, 600_000_000_000, 3)
                .expect("up to ten minutes, three digits"),
        )
    }
}

impl Timings {
    pub(crate) fn record(&mut self, took: Duration) {
        self.0
            .saturating_record(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn microseconds(&self) -> [f64; 3] {
        [
            self.0.value_at_quantile(0.5) as f64,
            self.0.mean(),
            self.0.value_at_quantile(0.999) as f64,
        ]
        .map(|nanoseconds| nanoseconds / 1000.0)
    }
}

/// One operation and its yardstick.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// The ratio of medians that it may have at the most; infinite where it is only of interest.
    pub(crate) budget: f64,
    pub(crate) raw: Timings,
    pub(crate) ours: Timings,
}

pub(crate) fn print(rows: &[Row]) {
    println!(
        "\nmicroseconds an operation: median, mean and 99.9th percentile; ratio of the medians\n"
    );
    println!(
        "{:<34} {:>8} {:>8} {:>8}   {:>8} {:>8} {:>8}   {:>6} {:>6}",
        "", "raw p50", "mean", "p99.9", "p50", "mean", "p99.9", "ratio", "budget"
    );
    for Row {
        name,
        budget,
        raw,
        ours,
    } in rows
    {
        let ([raw, raw_mean, raw_tail], [ours, ours_mean, ours_tail]) =
            (raw.microseconds(), ours.microseconds());
        let ratio = ours / raw;
        let budget = if budget.is_finite() {
            format!(
                "{budget:.2}{}",
                if ratio <= *budget { "" } else { "  over" }
            )
        } else {
            "-".to_owned()
        };
        println!(
            "{name:<34} {raw:>8.2} {raw_mean:>8.2} {raw_tail:>8.1}   {ours:>8.2} {ours_mean:>8.2} {ours_tail:>8.1}   {ratio:>6.2}   {budget}"
        );
    }
}
