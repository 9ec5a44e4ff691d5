//! When what happened, noted where it is committed with that. Who is killed can't note it: what has no end was cut off.

use std::process;
use std::time::SystemTime;

use diskette::queue::Claim;
use diskette::{Index, JobId, Result, Store, Transaction};
use serde::{Deserialize, Serialize};

use crate::job::{Job, Kind};

/// Microseconds since 1970.
pub type Time = u64;

#[derive(Clone)]
pub struct Diary {
    pub runs: Index<Time, u32>,
    pub lives: Index<(Time, u32), Life>,
    pub attempts: Index<Key, Attempt>,
}

/// The job, the number of the attempt, and the process: a job that is given back has another attempt of the same number.
pub type Key = (JobId, u32, u32);

#[derive(Debug, Serialize, Deserialize)]
pub struct Attempt {
    pub worker: u32,
    pub kind: Kind,
    pub path: String,
    /// When the job was pushed.
    pub pushed: Time,
    pub begun: Time,
    pub end: Option<End>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct End {
    pub at: Time,
    pub succeeded: bool,
}

/// That of a worker process; its key is when it began, and its pid.
#[derive(Debug, Serialize, Deserialize)]
pub struct Life {
    pub worker: u32,
    pub ended: Option<Time>,
}

impl Diary {
    pub fn open(store: &Store) -> Result<Self> {
        Ok(Diary {
            runs: Index::new(store, "runs")?,
            lives: Index::new(store, "lives")?,
            attempts: Index::new(store, "attempts")?,
        })
    }

    pub fn run_begins(&self, workers: u32) -> Result<()> {
        self.runs.insert(&now(), &workers)
    }

    pub fn life_begins(&self, worker: u32) -> Result<(Time, u32)> {
        let key = (now(), process::id());
        self.lives.insert(
            &key,
            &Life {
                worker,
                ended: None,
            },
        )?;
        Ok(key)
    }

    pub fn life_ends(&self, key: (Time, u32)) -> Result<()> {
        let ended = Some(now());
        let end = |life: Option<Life>| life.map(|life| Life { ended, ..life });
        self.lives.update(&key, end).map(drop)
    }

    pub fn attempt_begins(&self, worker: u32, claim: &Claim<Job>) -> Result<()> {
        let attempt = Attempt {
            worker,
            kind: claim.kind,
            path: claim.path().display().to_string(),
            pushed: micros(claim.pushed()),
            begun: now(),
            end: None,
        };
        self.attempts.insert(&key(claim), &attempt)
    }

    pub fn attempt_ends(
        &self,
        tx: &Transaction<'_>,
        claim: &Claim<Job>,
        succeeded: bool,
    ) -> Result<()> {
        let end = Some(End {
            at: now(),
            succeeded,
        });
        let with_end = |attempt: Option<Attempt>| attempt.map(|attempt| Attempt { end, ..attempt });
        self.attempts
            .within(tx)
            .update(&key(claim), with_end)
            .map(drop)
    }
}

fn key(claim: &Claim<Job>) -> Key {
    (claim.id(), claim.attempt(), process::id())
}

fn now() -> Time {
    micros(SystemTime::now())
}

fn micros(time: SystemTime) -> Time {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
    })
}
