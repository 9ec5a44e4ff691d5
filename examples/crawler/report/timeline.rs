//! When pages were recorded, on a clock that stands still between the runs of a crawl.

use crate::frontier::Event;

/// Points of the curve: as many as have enough pages each to be more than chance.
const PAGES_A_STEP: usize = 25;
const STEPS: std::ops::RangeInclusive<usize> = 10..=120;

#[derive(Debug, PartialEq)]
pub struct Timeline {
    pub seconds: f64,
    /// At equal steps from the beginning to the end.
    pub pages_a_second: Vec<f64>,
    /// When runs began.
    pub runs: Vec<f64>,
    pub restarts: Vec<f64>,
}

impl Timeline {
    /// Events and pages by their time in microseconds, the events in their order.
    pub fn of(events: &[(u64, Event)], pages: &[u64]) -> Self {
        let clock = Clock::of(events, pages);
        let of_kind = |kind| {
            let events = events.iter().filter(move |(_, event)| *event == kind);
            events.map(|(at, _)| clock.seconds(*at)).collect()
        };
        let seconds = clock.length as f64 / 1e6;
        let steps = (pages.len() / PAGES_A_STEP).clamp(*STEPS.start(), *STEPS.end());
        let mut pages_a_second = vec![0.0; steps];
        let step = (seconds / steps as f64).max(f64::EPSILON);
        for page in pages {
            let at = (clock.seconds(*page) / step) as usize;
            pages_a_second[at.min(steps - 1)] += 1.0 / step;
        }
        Self {
            seconds,
            pages_a_second,
            runs: of_kind(Event::Began),
            restarts: of_kind(Event::Restarted),
        }
    }
}

/// Runs by their beginning, with the time that those before took.
struct Clock {
    runs: Vec<(u64, u64)>,
    length: u64,
}

impl Clock {
    fn of(events: &[(u64, Event)], pages: &[u64]) -> Self {
        let mut times: Vec<(u64, bool)> = pages.iter().map(|at| (*at, false)).collect();
        times.extend(
            events
                .iter()
                .map(|(at, event)| (*at, *event == Event::Began)),
        );
        times.sort_unstable();
        let (mut runs, mut length, mut last) = (Vec::new(), 0, None);
        for (at, begins) in times {
            match last {
                Some(last) if !begins => length += at - last,
                _ => runs.push((at, length)),
            }
            last = Some(at);
        }
        Self { runs, length }
    }

    fn seconds(&self, at: u64) -> f64 {
        let run = self.runs.partition_point(|(began, _)| *began <= at);
        let (began, before) = run.checked_sub(1).map_or((at, 0), |run| self.runs[run]);
        (before + at - began) as f64 / 1e6
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    #[test]
    fn the_night_between_two_runs_is_no_time() {
        let night = 30_000 * SECOND;
        let events = [
            (0, Event::Began),
            (3 * SECOND, Event::Restarted),
            (night, Event::Began),
        ];
        let pages = [SECOND, 4 * SECOND, night + SECOND, night + 6 * SECOND];
        let timeline = Timeline::of(&events, &pages);
        assert_eq!(timeline.seconds, 10.0);
        assert_eq!(
            (timeline.runs, timeline.restarts),
            (vec![0.0, 4.0], vec![3.0])
        );
        let busy = timeline
            .pages_a_second
            .iter()
            .zip(0..)
            .filter(|(rate, _)| **rate > 0.0);
        let busy: Vec<_> = busy.map(|(rate, step)| (step, rate.round())).collect();
        assert_eq!(busy, [(1, 1.0), (4, 1.0), (5, 1.0), (9, 1.0)]);
    }

    #[test]
    fn a_crawl_without_pages_has_no_time() {
        assert_eq!(Timeline::of(&[], &[]).seconds, 0.0);
    }
}
