//! Waiting: for a job to come, for one to end. Nobody polls.

use std::time::Duration;

use diskette_ipc::Deadline;
use diskette_store::{Access, Arrivals, Attempt, Codec, Db, Result, Store, Structure};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::claim::Claim;
use crate::job::{JobId, JobState, Why};
use crate::queue::Queue;
use crate::sql;

/// How it ended for a job; told by [`Queue::wait`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<R> {
    /// It is done, with this result, if it was completed with one.
    Done(Option<R>),
    /// It is dead.
    Dead {
        /// Why.
        why: Why,
        /// What its worker said, or what became of it.
        error: Option<String>,
    },
    /// There is no such job: it was finished, and isn't kept any more; or discarded, or never pushed.
    Gone,
}

impl<J, C> Queue<J, C>
where
    J: Serialize + DeserializeOwned,
    C: Codec,
{
    /// Claims the next job, and waits for one if none is ready: until one is pushed, is due, or comes back.
    ///
    /// # Errors
    ///
    /// Those of [`try_claim`](Self::try_claim); [`is_stopped`](diskette_store::Error::is_stopped) if none is ready and the store's
    /// [`Stop`](diskette_store::Stop) is, or was, stopped.
    pub fn claim(&self) -> Result<Claim<J, C>> {
        loop {
            if let Some(claim) = self.claim_timeout(Duration::MAX)? {
                return Ok(claim);
            }
        }
    }

    /// Claims the next job, and waits for one if none is ready; `None` when the time is up.
    ///
    /// # Errors
    ///
    /// Those of [`claim`](Self::claim).
    ///
    /// # Example
    ///
    /// ```
    /// use std::time::Duration;
    /// use diskette::{Push, Queue, Store};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # std::env::set_current_dir(&dir)?;
    /// let store = Store::open("store")?;
    /// let calls = Queue::<String>::new(&store, "calls")?;
    /// calls.push_with("back", &Push::new().delay(Duration::from_millis(20)))?;
    /// assert!(calls.try_claim()?.is_none());
    /// let claim = calls.claim_timeout(Duration::from_secs(60))?.expect("it is due soon");
    /// assert_eq!(*claim, "back");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn claim_timeout(&self, timeout: Duration) -> Result<Option<Claim<J, C>>> {
        let claimed = self.wait_for_jobs(timeout, Self::claim_next);
        self.doing("claim", claimed)
    }

    /// Claims up to so many jobs, and waits for one if none is ready; none when the time is up.
    ///
    /// # Errors
    ///
    /// Those of [`claim`](Self::claim).
    pub fn claim_many_timeout(&self, most: usize, timeout: Duration) -> Result<Vec<Claim<J, C>>> {
        if most == 0 {
            return Ok(Vec::new());
        }
        let claimed = self.wait_for_jobs(timeout, |queue| {
            let claims = queue.claim_some(most)?;
            Ok(Some(claims).filter(|claims| !claims.is_empty()))
        });
        self.doing("claim_many", claimed)
            .map(Option::unwrap_or_default)
    }

    fn wait_for_jobs<R>(
        &self,
        timeout: Duration,
        mut take: impl FnMut(&Self) -> Result<Option<R>>,
    ) -> Result<Option<R>> {
        let (structure, deadline) = (&self.inner.structure, Deadline::after(timeout));
        let attempt = |store: &Store, at_once: bool| {
            let queue = self.through(store.clone());
            if (at_once || queue.has_any()?)
                && let Some(taken) = take(&queue)?
            {
                return Ok(Attempt::Done(taken));
            }
            Ok(queue.next()?.map_or(Attempt::NotYet, Attempt::NotBefore))
        };
        self.access.wait_for_arrivals(structure, deadline, attempt)
    }
}

impl<J, C: Codec> Queue<J, C> {
    /// Waits until every job is done or dead; `false` when the time is up.
    ///
    /// # Errors
    ///
    /// Those of [`wait`](Self::wait).
    pub fn wait_idle(&self, timeout: Duration) -> Result<bool> {
        let (structure, deadline) = (&self.inner.structure, Deadline::after(timeout));
        let waited = self
            .access
            .wait_for(structure, structure.departures(), deadline, |store| {
                let idle = self.through(store.clone()).is_idle()?;
                Ok(idle.then_some(()))
            });
        self.doing("wait_idle", waited).map(|idle| idle.is_some())
    }

    /// Waits for the end of a job, in whatever process that comes; `None` when the time is up. Its result must be of the type
    /// that it was [completed with](Claim::complete_with).
    ///
    /// A job that is finished is known as long as it is [kept](crate::QueueOptions::keep_done).
    ///
    /// # Errors
    ///
    /// [`is_codec`](diskette_store::Error::is_codec) when the result is no `R`;
    /// [`is_misuse`](diskette_store::Error::is_misuse) within a transaction of this thread;
    /// [`is_stopped`](diskette_store::Error::is_stopped); those of the database.
    ///
    /// # Example
    ///
    /// ```
    /// use std::time::Duration;
    /// use diskette::{Outcome, Queue, Store};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # std::env::set_current_dir(&dir)?;
    /// let store = Store::open("store")?;
    /// let lengths = Queue::<String>::new(&store, "lengths")?;
    /// let worker = lengths.clone();
    /// let working = std::thread::spawn(move || {
    ///     let claim = worker.claim()?;
    ///     let length = claim.len();
    ///     worker.store().transaction(|tx| claim.complete_with(tx, &length))
    /// });
    /// let id = lengths.push("diskette")?;
    /// let outcome = lengths.wait::<usize>(id, Duration::from_secs(60))?;
    /// assert_eq!(outcome, Some(Outcome::Done(Some(8))));
    /// working.join().unwrap()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn wait<R: DeserializeOwned>(
        &self,
        id: JobId,
        timeout: Duration,
    ) -> Result<Option<Outcome<R>>> {
        let (structure, deadline) = (&self.inner.structure, Deadline::after(timeout));
        let waited = self
            .access
            .wait_for(structure, structure.departures(), deadline, |store| {
                self.through(store.clone()).outcome(id)
            });
        self.doing("wait", waited)
    }
}

impl<J, C, A: Access> Queue<J, C, A> {
    /// Is every job done or dead?
    ///
    /// # Errors
    ///
    /// Those of the database.
    pub fn is_idle(&self) -> Result<bool> {
        let sql = sql::ANY_UNFINISHED;
        let any = self
            .inside()
            .look(|db| db.query_one(sql, &[self.inner.id()], |_| Ok(())));
        self.doing("is_idle", any).map(|any| any.is_none())
    }
}

impl<J, C: Codec, A: Access> Queue<J, C, A> {
    /// How it ended for a job; `None` while it is unfinished.
    ///
    /// # Errors
    ///
    /// Those of [`wait`](Queue::wait).
    pub fn outcome<R: DeserializeOwned>(&self, id: JobId) -> Result<Option<Outcome<R>>> {
        let Some(row) = self.inner.row(id) else {
            return Ok(Some(Outcome::Gone));
        };
        let look = |db: &Db<'_>| {
            db.query_one(sql::OUTCOME, &[row.into()], |row| {
                Ok(match JobState::named(row.text(0)?)? {
                    JobState::Done => {
                        let has_result = row.opt_int(3)?.is_some();
                        let result = has_result.then(|| self.store().load_value::<C, R>(row, 5, 4));
                        Some(Outcome::Done(result.transpose()?))
                    }
                    JobState::Dead => Some(Outcome::Dead {
                        why: Why::named(row.opt_text(1)?.unwrap_or_default())?,
                        error: row.opt_text(2)?.map(str::to_owned),
                    }),
                    _ => None,
                })
            })
        };
        let found = self.doing("outcome", self.inside().look(look))?;
        Ok(found.unwrap_or(Some(Outcome::Gone)))
    }
}

impl<J, C> Arrivals for Queue<J, C> {
    fn place(&self) -> (&Store, &Structure) {
        (&self.access, &self.inner.structure)
    }

    fn has_any(&self) -> Result<bool> {
        loop {
            let standing = self.standing()?;
            // What is due may be a job that has expired.
            if !self.fire(standing)? {
                return Ok(standing.has_ready && !standing.paused);
            }
        }
    }

    fn next(&self) -> Result<Option<Duration>> {
        let standing = self.standing()?;
        let now = self.inner.timeline.now();
        let next = standing.next.filter(|_| !standing.paused);
        Ok(next.map(|next| Duration::from_micros(next.saturating_sub(now).max(0).unsigned_abs())))
    }
}
