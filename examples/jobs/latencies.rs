//! How long things took.

use anyhow::Result;
use hdrhistogram::Histogram;

/// In seconds, to three digits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Latencies {
    pub p50: f64,
    pub p99: f64,
    pub max: f64,
}

impl Latencies {
    /// `None` of none.
    pub fn of(seconds: impl IntoIterator<Item = f64>) -> Result<Option<Self>> {
        let mut micros = Histogram::<u64>::new(3)?;
        for seconds in seconds {
            micros.record((seconds.max(0.0) * 1e6) as u64)?;
        }
        let at = |quantile| micros.value_at_quantile(quantile) as f64 / 1e6;
        Ok((!micros.is_empty()).then(|| Latencies {
            p50: at(0.5),
            p99: at(0.99),
            max: at(1.0),
        }))
    }
}

/// As people say it.
pub fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 0.9995e-3 => format!("{:.0} µs", s * 1e6),
        s if s < 9.995e-3 => format!("{:.1} ms", s * 1e3),
        s if s < 0.9995 => format!("{:.0} ms", s * 1e3),
        s if s < 9.95 => format!("{s:.1} s"),
        s => format!("{s:.0} s"),
    }
}
