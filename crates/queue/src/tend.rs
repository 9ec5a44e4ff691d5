//! For those who tend a queue: how it stands, and what becomes of single jobs.

use std::time::SystemTime;

use diskette_store::{Access, Db, Result};

use crate::job::{JobId, JobState};
use crate::queue::Queue;
use crate::retention::Leaving;
use crate::sql;

/// So many jobs come back in one turn to write.
const STEP: i64 = 256;

/// How a queue stands; told by [`Queue::stats`].
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct QueueStats {
    /// Jobs that aren't due yet.
    pub scheduled: u64,
    /// Jobs that can be claimed.
    pub ready: u64,
    /// Jobs that wait for others of their group.
    pub held: u64,
    /// Jobs in the hands of workers.
    pub claimed: u64,
    /// Completed jobs that are kept.
    pub done: u64,
    /// Jobs that were given up.
    pub dead: u64,
    /// Is it paused?
    pub paused: bool,
    /// When the job was pushed that is claimed next.
    pub next_pushed: Option<SystemTime>,
    /// When something is due: a scheduled job, the end of a claim's time limit, an expiry.
    pub next_due: Option<SystemTime>,
}

impl QueueStats {
    /// The number of jobs in a state.
    #[must_use]
    pub fn of(&self, state: JobState) -> u64 {
        match state {
            JobState::Scheduled => self.scheduled,
            JobState::Ready => self.ready,
            JobState::Held => self.held,
            JobState::Claimed => self.claimed,
            JobState::Done => self.done,
            JobState::Dead => self.dead,
        }
    }

    /// The number of jobs that are neither done nor dead.
    #[must_use]
    pub fn unfinished(&self) -> u64 {
        self.scheduled + self.ready + self.held + self.claimed
    }
}

/// A job's row, as far as changing it needs it.
struct Found {
    state: JobState,
    group: Option<String>,
    attempts: i64,
    max_attempts: i64,
    leaving: Leaving,
}

impl<J, C, A: Access> Queue<J, C, A> {
    /// How the queue stands, in one consistent state. Jobs that are due, or have expired, count as what they were until somebody
    /// claims.
    ///
    /// # Errors
    ///
    /// Those of the database.
    ///
    /// # Cost
    ///
    /// It counts the jobs, some 20 to 200 ns for each.
    pub fn stats(&self) -> Result<QueueStats> {
        let stats = self.inside().read(|db| {
            let standing = self.inner.standing(db)?;
            let queue = [self.inner.id()];
            let count = |sql| {
                let count = db.query_one(sql, &queue, |row| row.int(0))?;
                Ok::<_, diskette_store::Error>(u64::try_from(count.unwrap_or(0)).unwrap_or(0))
            };
            let wall = |time| self.inner.timeline.wall(time);
            let next = db.query_one(sql::NEXT_PUSHED, &queue, |row| row.int(0))?;
            Ok(QueueStats {
                scheduled: count(sql::COUNT_SCHEDULED)?,
                ready: count(sql::COUNT_READY)?,
                held: count(sql::COUNT_HELD)?,
                claimed: count(sql::COUNT_CLAIMED)?,
                done: count(sql::COUNT_DONE)?,
                dead: count(sql::COUNT_DEAD)?,
                paused: standing.paused,
                next_pushed: next.map(wall),
                next_due: standing.next.map(wall),
            })
        });
        self.doing("stats", stats)
    }

    /// Brings a dead job back: it is ready, with all its attempts before it, and doesn't expire any more. Was it dead?
    ///
    /// # Errors
    ///
    /// Those of [`push`](Queue::push).
    ///
    /// # Example
    ///
    /// ```
    /// use diskette::{JobState, Queue, Store};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # std::env::set_current_dir(&dir)?;
    /// let store = Store::open("store")?;
    /// let mails = Queue::<String>::new(&store, "mails")?;
    /// mails.push("Ada")?;
    /// mails.claim()?.cancel("the server is gone for good")?;
    ///
    /// for job in mails.list(JobState::Dead) {
    ///     let job = job?;
    ///     println!("{}: {}", job.id, job.error.unwrap_or_default());
    ///     assert!(mails.retry_dead(job.id)?);
    /// }
    /// assert_eq!(mails.stats()?.ready, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn retry_dead(&self, id: JobId) -> Result<bool> {
        let Some(row) = self.inner.row(id) else {
            return Ok(false);
        };
        let retried = self.inside().write(|db| self.revive(db, row));
        self.doing("retry_dead", retried)
    }

    /// Brings back all jobs that are dead now, as [`retry_dead`](Self::retry_dead) does; returns how many.
    ///
    /// # Errors
    ///
    /// Those of [`push`](Queue::push).
    ///
    /// # Cost
    ///
    /// A turn to write for every 256 jobs, between which others can write.
    pub fn retry_all_dead(&self) -> Result<usize> {
        let retry = || {
            let count = |db: &Db<'_>| {
                let count = db.query_one(sql::COUNT_DEAD, &[self.inner.id()], |row| row.int(0))?;
                Ok(count.unwrap_or(0))
            };
            // Those that die meanwhile are left alone.
            let (dead, mut all) = (self.inside().read_one(count)?, 0);
            while all < dead {
                let step = self
                    .inside()
                    .write(|db| self.revive_some(db, STEP.min(dead - all)))?;
                if step == 0 {
                    break;
                }
                all += step;
            }
            Ok(usize::try_from(all).unwrap_or(0))
        };
        self.doing("retry_all_dead", retry())
    }

    /// Drops a job with its result, whatever its state. If it is claimed, its worker finds out when he ends the claim. Was it there?
    ///
    /// # Errors
    ///
    /// Those of [`push`](Queue::push).
    pub fn discard(&self, id: JobId) -> Result<bool> {
        let Some(row) = self.inner.row(id) else {
            return Ok(false);
        };
        let discarded = self.inside().free(|db| self.discard_row(db, row));
        self.doing("discard", discarded)
    }

    /// Drops the jobs that have a [tag](crate::Push::tag) now, with their results, whatever their states, as [`discard`](Self::discard) does;
    /// returns how many.
    ///
    /// # Errors
    ///
    /// Those of [`push`](Queue::push).
    ///
    /// # Cost
    ///
    /// A turn to write for every 256 jobs, between which others can write.
    ///
    /// # Example
    ///
    /// ```
    /// use diskette::{Push, Queue, Store};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # std::env::set_current_dir(&dir)?;
    /// let store = Store::open("store")?;
    /// let mails = Queue::<String>::new(&store, "mails")?;
    /// let to_ada = Push::new().tag("customer 1815");
    /// mails.push_with("welcome", &to_ada)?;
    /// mails.push_with("news", &to_ada)?;
    /// mails.push("to somebody else")?;
    ///
    /// // Ada has left.
    /// assert_eq!(mails.discard_tag("customer 1815")?, 2);
    /// assert_eq!(mails.stats()?.ready, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn discard_tag(&self, tag: &str) -> Result<usize> {
        let discard = || {
            let rows = self.inner.rows();
            let all = [tag.into(), rows.start.into(), rows.end.into()];
            let last = |db: &Db<'_>| db.query_one(sql::LAST_TAGGED, &all, |row| row.opt_int(0));
            // Those that come meanwhile are left alone.
            let last = self.inside().read_one(last)?.flatten();
            let (mut after, end) = (rows.start, last.map_or(rows.start, |last| last + 1));
            let mut all = 0;
            loop {
                let some = self.inside().free(|db| {
                    let params = [tag.into(), after.into(), end.into(), STEP.into()];
                    let some = db.query(sql::SOME_TAGGED, &params, |row| row.int(0))?;
                    for &row in &some {
                        self.discard_row(db, row)?;
                    }
                    Ok(some)
                })?;
                all += some.len();
                match some.last() {
                    Some(&last) => after = last,
                    None => return Ok(all),
                }
            }
        };
        self.doing("discard_tag", discard())
    }

    /// Takes a claimed job away from its worker, who lives and hangs: it is ready for others, and the attempt counts. Was it
    /// claimed, and is ready now? After the last of its attempts it is left alone; [`discard`](Self::discard) drops it.
    ///
    /// # Errors
    ///
    /// Those of [`push`](Queue::push).
    pub fn take_away(&self, id: JobId) -> Result<bool> {
        let Some(row) = self.inner.row(id) else {
            return Ok(false);
        };
        let taken = self.inside().write(|db| match self.row_of(db, row)? {
            Some(found)
                if found.state == JobState::Claimed && found.attempts < found.max_attempts =>
            {
                db.run(sql::ROB, &[0_i64.into(), row.into()])?;
                db.ring(self.inner.structure.arrivals());
                Ok(true)
            }
            _ => Ok(false),
        });
        self.doing("take_away", taken)
    }

    fn discard_row(&self, db: &Db<'_>, row: i64) -> Result<bool> {
        let Some(found) = self.row_of(db, row)? else {
            return Ok(false);
        };
        self.inner.drop_row(db, &found.leaving)?;
        self.inner.dropped(db, row)?;
        if found.state.is_unfinished() && found.state != JobState::Held {
            let now = self.inner.timeline.now();
            self.inner.promote(db, found.group.as_deref(), now)?;
        }
        db.ring(self.inner.structure.departures());
        Ok(true)
    }

    fn revive_some(&self, db: &Db<'_>, most: i64) -> Result<i64> {
        let (dead, last) = (JobState::Dead.name().into(), i64::MAX.into());
        let params = [self.inner.id(), dead, last, last, most.into()];
        let rows = db.query(sql::SETTLED, &params, |row| row.int(0))?;
        for &row in &rows {
            self.revive(db, row)?;
        }
        Ok(i64::try_from(rows.len()).unwrap_or(i64::MAX))
    }

    fn revive(&self, db: &Db<'_>, row: i64) -> Result<bool> {
        let Some(found) = self
            .row_of(db, row)?
            .filter(|found| found.state == JobState::Dead)
        else {
            return Ok(false);
        };
        let other = match &found.group {
            Some(group) => {
                let params = [self.inner.id(), group.as_str().into(), row.into()];
                db.query_one(sql::ANY_OF_GROUP, &params, |_| Ok(()))?
            }
            None => None,
        };
        let state = match other {
            Some(()) => JobState::Held,
            None => JobState::Ready,
        };
        db.run(sql::REVIVE, &[state.name().into(), row.into()])?;
        db.ring(self.inner.structure.arrivals());
        Ok(true)
    }

    fn row_of(&self, db: &Db<'_>, row: i64) -> Result<Option<Found>> {
        db.query_one(sql::STATE, &[row.into()], |found| {
            Ok(Found {
                state: JobState::named(found.text(0)?)?,
                group: found.opt_text(1)?.map(str::to_owned),
                attempts: found.int(2)?,
                max_attempts: found.int(3)?,
                leaving: Leaving {
                    row,
                    file: found.opt_int(4)?,
                    has_tags: found.int(5)? != 0,
                },
            })
        })
    }
}
