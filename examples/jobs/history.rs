//! All that happened, in seconds of work, as the diary has it.

use std::collections::{HashMap, HashSet};

use anyhow::Result;
use diskette::JobId;

use crate::clock::Clock;
use crate::diary::{Attempt, Key};
use crate::job::{Kind, Works};

pub struct History {
    /// Of all runs together.
    pub seconds: f64,
    /// When they began.
    pub runs: Vec<f64>,
    /// By their beginning.
    pub attempts: Vec<Bar>,
    pub workers: u32,
    /// How many worker processes did not end in good order.
    pub deaths: usize,
}

/// An attempt at a job.
pub struct Bar {
    pub worker: u32,
    pub job: JobId,
    pub attempt: u32,
    pub kind: Kind,
    pub path: String,
    /// From the push to this one, if it is the first.
    pub waited: Option<f64>,
    pub from: f64,
    pub to: f64,
    pub fate: Fate,
    pub bytes_in: u64,
}

impl Bar {
    pub fn seconds(&self) -> f64 {
        self.to - self.from
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Done,
    Failed,
    /// Its worker was killed.
    CutOff,
}

impl History {
    pub fn of(works: &Works) -> Result<Self> {
        let diary = &works.diary;
        let runs = diary.runs.iter().collect::<diskette::Result<Vec<_>>>()?;
        let lives = diary.lives.iter().collect::<diskette::Result<Vec<_>>>()?;
        let mut attempts = diary
            .attempts
            .iter()
            .collect::<diskette::Result<Vec<_>>>()?;
        attempts.sort_by_key(|(_, attempt)| attempt.begun);

        let begun = attempts.iter().map(|(_, attempt)| attempt.begun);
        let ended = attempts
            .iter()
            .filter_map(|(_, attempt)| Some(attempt.end?.at));
        let beginnings: Vec<_> = runs.iter().map(|(began, _)| *began).collect();
        let clock = Clock::of(&beginnings, begun.chain(ended));
        Ok(History {
            seconds: clock.length(),
            runs: clock.beginnings(),
            attempts: bars(works, &clock, &attempts)?,
            workers: runs.iter().map(|(_, workers)| *workers).max().unwrap_or(0),
            deaths: lives
                .iter()
                .filter(|(_, life)| life.ended.is_none())
                .count(),
        })
    }

    pub fn count(&self, fate: Fate) -> usize {
        self.attempts.iter().filter(|bar| bar.fate == fate).count()
    }
}

fn bars(works: &Works, clock: &Clock, attempts: &[(Key, Attempt)]) -> Result<Vec<Bar>> {
    let mut bytes_in = HashMap::new();
    for file in works.files.iter() {
        let (job, file) = file?;
        bytes_in.insert(job, file.bytes_in);
    }
    let (mut next_of_job, mut next_of_worker) = (HashMap::new(), HashMap::new());
    let mut bars = Vec::with_capacity(attempts.len());
    // From the last one on: what was cut off had ended when its job or its worker began anew.
    for ((job, number, _), attempt) in attempts.iter().rev() {
        let from = clock.seconds(attempt.begun);
        let next = [
            next_of_job.insert(*job, from),
            next_of_worker.insert(attempt.worker, from),
        ];
        let (to, fate) = match attempt.end {
            Some(end) if end.succeeded => (clock.seconds(end.at), Fate::Done),
            Some(end) => (clock.seconds(end.at), Fate::Failed),
            None => {
                let next = next.into_iter().flatten();
                (next.fold(clock.end(attempt.begun), f64::min), Fate::CutOff)
            }
        };
        let done = (fate == Fate::Done).then(|| bytes_in.get(job)).flatten();
        bars.push(Bar {
            worker: attempt.worker,
            job: *job,
            attempt: *number,
            kind: attempt.kind,
            path: attempt.path.clone(),
            waited: Some(from - clock.seconds(attempt.pushed)),
            from,
            to: to.max(from),
            fate,
            bytes_in: done.copied().unwrap_or(0),
        });
    }
    bars.reverse();
    let mut begun = HashSet::new();
    for bar in &mut bars {
        bar.waited = bar.waited.filter(|_| begun.insert(bar.job));
    }
    Ok(bars)
}
