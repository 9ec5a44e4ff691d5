//! How fast it was, and how long things took, at equal steps from the beginning to the end.

use anyhow::Result;

use crate::history::{Bar, Fate, History};
use crate::latencies::Latencies;

/// As many steps as have enough attempts each to be more than chance.
const ATTEMPTS_A_STEP: usize = 25;
const STEPS: std::ops::RangeInclusive<usize> = 10..=120;

pub struct OverTime {
    /// Done a second.
    pub jobs: Vec<f64>,
    /// Read a second.
    pub megabytes: Vec<f64>,
    /// `None` where nothing was.
    pub waited: Vec<Option<Latencies>>,
    pub ran: Vec<Option<Latencies>>,
}

impl OverTime {
    pub fn of(history: &History) -> Result<Self> {
        let bars = &history.attempts;
        let steps = (bars.len() / ATTEMPTS_A_STEP).clamp(*STEPS.start(), *STEPS.end());
        let step = (history.seconds / steps as f64).max(1e-6);
        let number = |at: f64| ((at / step) as usize).min(steps - 1);
        let (mut jobs, mut megabytes) = (vec![0.0; steps], vec![0.0; steps]);
        for bar in bars.iter().filter(|bar| bar.fate == Fate::Done) {
            jobs[number(bar.to)] += 1.0 / step;
            megabytes[number(bar.to)] += bar.bytes_in as f64 / 1e6 / step;
        }
        let latencies = |what: fn(&Bar) -> Option<(f64, f64)>| {
            let mut by_step = vec![Vec::new(); steps];
            for (at, seconds) in bars.iter().filter_map(what) {
                by_step[number(at)].push(seconds);
            }
            by_step
                .into_iter()
                .map(Latencies::of)
                .collect::<Result<_>>()
        };
        Ok(OverTime {
            jobs,
            megabytes,
            waited: latencies(|bar| Some((bar.from, bar.waited?)))?,
            ran: latencies(|bar| (bar.fate != Fate::CutOff).then(|| (bar.to, bar.seconds())))?,
        })
    }
}
