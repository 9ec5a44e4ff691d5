//! A job, and all that the processes share.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use diskette::{Backoff, Index, JobId, Keep, Queue, Stop, Store};
use serde::{Deserialize, Serialize};

use crate::diary::Diary;
use crate::options::Options;

#[derive(Debug, Serialize, Deserialize)]
pub struct Job {
    pub kind: Kind,
    /// From the root on.
    pub path: OsString,
    /// How hard to compress.
    pub level: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// Becomes a job for each file and each directory in it.
    Directory,
    /// Is compressed.
    File,
}

/// What comes of a file.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Compressed {
    pub bytes_in: u64,
    pub bytes_out: u64,
}

#[derive(Clone)]
pub struct Works {
    pub store: Store,
    pub jobs: Queue<Job>,
    pub files: Index<JobId, Compressed>,
    pub diary: Diary,
}

/// A job that fails so often is dead.
const ATTEMPTS: u32 = 5;

impl Works {
    /// Those in the directory that keeps them; they are made if there are none.
    pub fn open(options: &Options, stop: &Stop) -> Result<Self> {
        for directory in [&options.data, &options.output()] {
            let made = fs::create_dir_all(directory);
            made.with_context(|| format!("cannot make {}", directory.display()))?;
        }
        let store = Store::open(options.data.join("store"))?.with_stop(stop);
        let (first, most) = (Duration::from_millis(100), Duration::from_secs(10));
        let jobs = Queue::options()
            .max_attempts(ATTEMPTS)
            .backoff(Backoff::exponential(first, most))
            .keep_done(Keep::all()) // how far it all is, is counted by them
            .new(&store, "jobs")?;
        Ok(Works {
            jobs,
            files: Index::new(&store, "files")?,
            diary: Diary::open(&store)?,
            store,
        })
    }
}

impl Job {
    pub fn path(&self) -> &Path {
        Path::new(&self.path)
    }
}
