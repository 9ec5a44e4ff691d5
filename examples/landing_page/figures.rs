//! What came of it, in numbers.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What one process has seen, or all of them. Times are those since this machine was started.
#[derive(Default, Serialize, Deserialize)]
pub struct Visits {
    pub begin: Duration,
    /// When each began, and how long it took.
    pub calls: Vec<(Duration, Duration)>,
    /// From when to when.
    pub computations: Vec<(Duration, Duration)>,
}

impl Visits {
    /// Those of another process as well.
    pub fn extend(&mut self, other: Visits) {
        self.begin = match self.calls.is_empty() {
            true => other.begin,
            false => self.begin.min(other.begin),
        };
        self.calls.extend(other.calls);
        self.computations.extend(other.computations);
    }

    /// How many compute, from each moment on at which that changes.
    pub fn at_work(&self) -> Vec<(Duration, usize)> {
        let begins = self.computations.iter().map(|(begin, _)| (*begin, true));
        let ends = self.computations.iter().map(|(_, end)| (*end, false));
        let mut changes: Vec<_> = begins.chain(ends).collect();
        changes.sort_unstable();
        let mut working = 0;
        let count = changes.into_iter().map(|(at, begins)| {
            working = if begins { working + 1 } else { working - 1 };
            (at, working)
        });
        count.collect()
    }
}

/// Slower than this is slow.
pub const SLOW: Duration = Duration::from_millis(50);

pub struct Figures {
    pub computations: usize,
    pub most_at_once: usize,
    pub calls: usize,
    pub slow: usize,
    pub p99: Duration,
    pub max: Duration,
}

impl Figures {
    pub const HEADER: &str =
        "              computations  most at once    calls  over 50 ms        p99        max";

    pub fn of(visits: &Visits) -> Self {
        let mut took: Vec<_> = visits.calls.iter().map(|(_, took)| *took).collect();
        took.sort_unstable();
        let part = |percent: usize| {
            let at = (took.len() * percent).div_ceil(100);
            took.get(at.saturating_sub(1)).copied().unwrap_or_default()
        };
        let at_work = visits.at_work();
        Figures {
            computations: visits.computations.len(),
            most_at_once: at_work.iter().map(|(_, count)| *count).max().unwrap_or(0),
            calls: took.len(),
            slow: took.iter().filter(|took| **took > SLOW).count(),
            p99: part(99),
            max: part(100),
        }
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |time: Duration| format!("{:.1} ms", time.as_secs_f64() * 1e3);
        write!(f, "{:>12}{:>14}", self.computations, self.most_at_once)?;
        write!(f, "{:>9}{:>12}", self.calls, self.slow)?;
        write!(f, "{:>11}{:>11}", ms(self.p99), ms(self.max))
    }
}
