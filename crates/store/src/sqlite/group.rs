//! Calls of several threads that share one commit, where a commit takes long.
//!
//! The thread that has the writer does its part in a savepoint. Then it hands the open transaction on to the next, and waits for
//! the commit, which the last of them makes. So until that has synced nobody sees what a part did, and no call returns: neither
//! with a result, nor with an error that is about what others did.
//!
//! Only single statements of the toolkit's own share one, since nobody waits for what a program does in its transactions.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use diskette_ipc::{Deadline, Stop};

use crate::error::{Error, ErrorKind, Result};
use crate::sqlite::gate::TURN;

/// A transaction that is handed from thread to thread. Who drops it ends it.
pub(crate) struct Group {
    ending: Arc<Ending>,
    size: u32,
    /// When it is to be committed, whoever waits.
    until: Deadline,
    /// The latest of the eras of value files that begin with the commit.
    pub(crate) next_era: Option<u64>,
}

/// What all who share a commit wait for.
#[derive(Default)]
pub(crate) struct Ending {
    over: Stop,
    /// `None`: it was committed.
    failure: OnceLock<Option<Arc<Error>>>,
}

impl Group {
    /// So many threads, and then it is committed.
    const LARGEST: u32 = 64;

    /// So long, and then it is committed: other processes wait. A test may run on a slow machine.
    const LONGEST: Duration = match cfg!(test) {
        true => Duration::from_secs(60),
        false => TURN,
    };

    pub(crate) fn begin() -> Self {
        Group {
            ending: Arc::default(),
            size: 1,
            until: Deadline::after(Self::LONGEST),
            next_era: None,
        }
    }

    /// The same, in the hands of the next.
    pub(crate) fn joined(mut self) -> Self {
        self.size += 1;
        self
    }

    /// How many threads have had it.
    pub(crate) fn size(&self) -> u32 {
        self.size
    }

    pub(crate) fn may_grow(&self) -> bool {
        self.size < Self::LARGEST && !self.until.is_past()
    }

    pub(crate) fn ending(&self) -> Arc<Ending> {
        Arc::clone(&self.ending)
    }

    /// Tells all who wait how it has ended.
    pub(crate) fn end(self, committed: Result<()>) {
        let failure = committed.err().map(Arc::new);
        let _ = self.ending.failure.set(failure);
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.ending.over.stop();
    }
}

impl Ending {
    /// Waits until the commit has returned; fails as it did.
    pub(crate) fn wait(&self) -> Result<()> {
        Stop::wait_any(&[&self.over]);
        match self.failure.get() {
            Some(None) => Ok(()),
            Some(Some(error)) => Err(shared(error)),
            None => Err(Error::new(
                ErrorKind::Io,
                "the thread that was to commit has panicked",
            )),
        }
    }
}

/// SQLite has rolled back what all have done, because of what one has.
pub(crate) fn rolled_back(error: &Error) -> Error {
    let message =
        format!("another thread's part failed, and SQLite rolled back the whole: {error}");
    Error::new(error.kind(), message)
}

fn shared(error: &Arc<Error>) -> Error {
    let message = format!("the commit that several threads had together failed: {error}");
    Error::new(error.kind(), message).caused_by(Arc::clone(error))
}

/// Whether it is worth it.
#[derive(Default)]
pub(crate) struct Habits {
    /// About how long a commit takes, in microseconds, beside the writing of its pages.
    cost: AtomicU32,
    /// How many threads had the last commit together.
    company: AtomicU32,
}

impl Habits {
    /// A commit that takes less than this is had sooner than a sleeping thread is woken.
    const WORTH: u32 = 40;

    /// What each part adds to it.
    const PART: u32 = 2;

    /// How long to wait, at most, for those who had the last commit together with this thread.
    const PATIENCE: Duration = Duration::from_micros(100);

    /// Whether a commit is to be shared, if it can be, by whoever gets the writer while others wait or not.
    pub(crate) fn share(&self, others_wait: bool) -> bool {
        self.cost.load(Relaxed) >= Self::WORTH && (others_wait || self.has_company())
    }

    /// A commit of so many parts took so long. What is slow by chance is hardly counted, since the next one is faster.
    pub(crate) fn took(&self, time: Duration, parts: u32) {
        let cost = u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
        let cost = cost.saturating_sub(parts.saturating_mul(Self::PART));
        let before = self.cost.load(Relaxed);
        let at_most = before.saturating_add(before / 8 + 1);
        self.cost.store(cost.min(at_most), Relaxed);
    }

    pub(crate) fn has_company(&self) -> bool {
        self.company.load(Relaxed) > 1
    }

    pub(crate) fn had_company(&self, size: u32) {
        self.company.store(size, Relaxed);
    }

    /// Until when a group of this size waits for another thread to come. All who have just had a commit together come back at
    /// about the same time.
    pub(crate) fn patience(&self, size: u32) -> Option<Deadline> {
        if size >= self.company.load(Relaxed) {
            return None;
        }
        let half = Duration::from_micros((self.cost.load(Relaxed) / 2).into());
        Some(Deadline::after(half.min(Self::PATIENCE)))
    }
}

#[cfg(test)]
mod tests;
