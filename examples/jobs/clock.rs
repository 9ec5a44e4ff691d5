//! A clock that stands still between two runs.

use crate::diary::Time;

/// Runs by their beginning, with the time that those before took.
pub struct Clock {
    runs: Vec<(Time, u64)>,
    length: u64,
}

impl Clock {
    /// A run lasts from its beginning to the last that happens before the next one.
    pub fn of(runs: &[Time], events: impl IntoIterator<Item = Time>) -> Self {
        let mut all: Vec<(Time, bool)> = events.into_iter().map(|at| (at, false)).collect();
        all.extend(runs.iter().map(|at| (*at, true)));
        all.sort_unstable();
        let mut clock = Clock {
            runs: Vec::new(),
            length: 0,
        };
        let mut last = None;
        for (at, begins) in all {
            match last {
                Some(last) if !begins => clock.length += at - last,
                _ => clock.runs.push((at, clock.length)),
            }
            last = Some(at);
        }
        clock
    }

    /// Of all runs.
    pub fn length(&self) -> f64 {
        self.length as f64 / 1e6
    }

    /// Seconds since the beginning of the first run; what was between two runs was at the end of the first of them.
    pub fn seconds(&self, at: Time) -> f64 {
        let run = self.run(at);
        let (began, before) = run.map_or((at, 0), |run| self.runs[run]);
        let end = self.end(at);
        ((before + at - began) as f64 / 1e6).min(end)
    }

    /// When the run ended in which this happened.
    pub fn end(&self, at: Time) -> f64 {
        let next = self.run(at).map_or(0, |run| run + 1);
        let end = self
            .runs
            .get(next)
            .map_or(self.length, |(_, before)| *before);
        end as f64 / 1e6
    }

    pub fn beginnings(&self) -> Vec<f64> {
        self.runs
            .iter()
            .map(|(_, before)| *before as f64 / 1e6)
            .collect()
    }

    fn run(&self, at: Time) -> Option<usize> {
        let after = self.runs.partition_point(|(began, _)| *began <= at);
        after.checked_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Time = 1_000_000;

    #[test]
    fn the_night_between_two_runs_is_no_time() {
        let night = 30_000 * SECOND;
        let events = [SECOND, 4 * SECOND, night + SECOND, night + 6 * SECOND];
        let clock = Clock::of(&[0, night], events);
        assert_eq!((clock.length(), clock.beginnings()), (10.0, vec![0.0, 4.0]));
        let seconds =
            [SECOND, 4 * SECOND, night / 2, night, night + SECOND].map(|at| clock.seconds(at));
        assert_eq!(seconds, [1.0, 4.0, 4.0, 4.0, 5.0]);
        assert_eq!((clock.end(SECOND), clock.end(night + SECOND)), (4.0, 10.0));
    }
}
