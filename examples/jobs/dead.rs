//! Jobs that nobody tries any more.

use anyhow::Result;
use diskette::{Job, JobState, Why};

use crate::job::{self, Works};

pub struct Dead {
    pub path: String,
    why: Option<Why>,
    error: String,
    attempts: u32,
}

impl Dead {
    pub fn all(works: &Works) -> Result<Vec<Self>> {
        let dead = works.jobs.list(JobState::Dead);
        dead.map(|job| Ok(Dead::of(job?))).collect()
    }

    pub fn reason(&self) -> String {
        let why = self.why.map(|why| format!("{why} ")).unwrap_or_default();
        format!("{} ({why}in attempt {})", self.error, self.attempts)
    }

    fn of(job: Job<job::Job>) -> Self {
        let path = match job.content.job() {
            Some(readable) => readable.path().display().to_string(),
            None => format!("job {}", job.id),
        };
        Dead {
            path,
            why: job.why,
            error: job.error.unwrap_or_default(),
            attempts: job.attempts,
        }
    }
}
