//! What the workers are at, and how fast they have been of late.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use crate::worker::Report;

/// What "of late" means.
const LATELY: Duration = Duration::from_secs(5);

pub struct Activity {
    /// By worker and URL, since when.
    in_hand: HashMap<(usize, String), Instant>,
    recorded: u64,
    /// How many were recorded at a time, oldest first.
    earlier: VecDeque<(Instant, u64)>,
}

/// A URL that a worker has in hand.
#[derive(Debug, PartialEq)]
pub struct InHand<'a> {
    pub worker: usize,
    pub url: &'a str,
    pub time: Duration,
}

impl Activity {
    pub fn new(now: Instant) -> Self {
        Self {
            in_hand: HashMap::new(),
            recorded: 0,
            earlier: [(now, 0)].into(),
        }
    }

    pub fn hear(&mut self, worker: usize, report: &Report, now: Instant) {
        match report {
            Report::Fetching { url } => drop(self.in_hand.insert((worker, url.clone()), now)),
            Report::Recorded { url, .. } => {
                self.recorded += 1;
                self.in_hand.remove(&(worker, url.clone()));
            }
            Report::PutOff { url, .. } => drop(self.in_hand.remove(&(worker, url.clone()))),
            Report::Broken { .. } => {}
        }
    }

    /// What it had in hand is in other hands now.
    pub fn died(&mut self, worker: usize) {
        self.in_hand.retain(|(owner, _), _| *owner != worker);
    }

    /// Pages a second.
    pub fn rate(&mut self, now: Instant) -> f64 {
        let is_old = |at: &Instant| now.duration_since(*at) > LATELY;
        while self.earlier.get(1).is_some_and(|(at, _)| is_old(at)) {
            self.earlier.pop_front();
        }
        self.earlier.push_back((now, self.recorded));
        let (from, recorded) = self.earlier[0];
        let seconds = now.duration_since(from).as_secs_f64();
        (self.recorded - recorded) as f64 / seconds.max(f64::EPSILON)
    }

    /// What has been in hand for longest.
    pub fn slowest(&self, now: Instant) -> Option<InHand<'_>> {
        let in_hand = self.in_hand.iter();
        let ((worker, url), since) = in_hand.min_by_key(|(_, since)| **since)?;
        Some(InHand {
            worker: *worker,
            url,
            time: now.duration_since(*since),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fetching(url: &str) -> Report {
        Report::Fetching {
            url: url.to_owned(),
        }
    }

    fn recorded(url: &str) -> Report {
        let (url, outcome) = (url.to_owned(), "200".to_owned());
        Report::Recorded { url, outcome }
    }

    #[test]
    fn a_worker_that_hangs_is_seen_though_the_average_is_high() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut activity = Activity::new(start);
        for url in 0..100 {
            activity.hear(1, &fetching(&url.to_string()), at(1));
            activity.hear(1, &recorded(&url.to_string()), at(1));
        }
        activity.hear(0, &fetching("slow"), at(1));
        activity.hear(1, &fetching("slower"), at(2));
        for second in 1..=4 {
            assert_eq!(activity.rate(at(second)), 100.0 / second as f64);
        }
        for second in 5..=20 {
            activity.rate(at(second));
        }
        assert_eq!(activity.rate(at(20)), 0.0);
        let slow = InHand {
            worker: 0,
            url: "slow",
            time: Duration::from_secs(19),
        };
        assert_eq!(activity.slowest(at(20)), Some(slow));

        activity.died(0);
        let slower = InHand {
            worker: 1,
            url: "slower",
            time: Duration::from_secs(18),
        };
        assert_eq!(activity.slowest(at(20)), Some(slower));
    }
}
