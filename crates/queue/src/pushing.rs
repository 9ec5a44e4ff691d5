//! Jobs come into the queue.

use diskette_store::{Access, Codec, Db, Error, ErrorKind, Like, Result, Stored};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::inner::Inner;
use crate::job::{JobId, JobState};
use crate::new_job::NewJob;
use crate::push::{Push, Pushed};
use crate::queue::Queue;
use crate::sql;

impl<J, C, A> Queue<J, C, A>
where
    J: Serialize + DeserializeOwned,
    C: Codec,
    A: Access,
{
    /// Pushes a job, and returns its number.
    ///
    /// # Errors
    ///
    /// Those of every writing method:
    ///
    /// - [`is_codec`](Error::is_codec): it can't be written as bytes, or couldn't be read back;
    /// - [`is_timeout`](Error::is_timeout): the turn to write didn't come in time;
    /// - [`is_disk_full`](Error::is_disk_full), [`is_read_only`](Error::is_read_only), [`is_removed`](Error::is_removed);
    /// - [`is_misuse`](Error::is_misuse) within a transaction of this thread: use [`within`](Self::within).
    pub fn push<Q: Like<J> + ?Sized>(&self, job: &Q) -> Result<JobId> {
        let push = || {
            let stored = self.encode(job)?;
            self.put(stored, &Push::default()).map(Pushed::id)
        };
        self.doing("push", push())
    }

    /// Pushes jobs, all of them or none, in their order; returns their numbers.
    ///
    /// # Errors
    ///
    /// Those of [`push`](Self::push).
    ///
    /// # Example
    ///
    /// ```
    /// use diskette::{Queue, Store};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # std::env::set_current_dir(&dir)?;
    /// let store = Store::open("store")?;
    /// let pages = Queue::<String>::new(&store, "pages")?;
    /// pages.push_all(["/", "/about"])?;
    /// assert_eq!(pages.stats()?.ready, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn push_all<I>(&self, jobs: I) -> Result<Vec<JobId>>
    where
        I: IntoIterator,
        I::Item: Like<J>,
    {
        let push = || {
            let jobs = jobs.into_iter().map(|job| self.encode(&job));
            let jobs = jobs.collect::<Result<Vec<_>>>()?;
            self.inside().write(|db| self.put_all(db, jobs))
        };
        self.doing("push_all", push())
    }

    /// Pushes a job in another way than by default.
    ///
    /// # Errors
    ///
    /// Those of [`push`](Self::push); [`is_invalid_input`](Error::is_invalid_input) for `max_attempts` of 0, a text of more than 512
    /// bytes or with control characters, and a job that would expire before it is due.
    pub fn push_with<Q: Like<J> + ?Sized>(&self, job: &Q, push: &Push) -> Result<Pushed> {
        let push = || {
            push.check()?;
            self.put(self.encode(job)?, push)
        };
        self.doing("push", push())
    }

    fn encode<Q: Like<J> + ?Sized>(&self, job: &Q) -> Result<Stored> {
        self.store().store_value::<C, J, _>(job)
    }

    fn put(&self, stored: Stored, push: &Push) -> Result<Pushed> {
        if stored.is_file() || push.is_more_than_a_row() {
            return self.inside().write(|db| self.put_with(db, stored, push));
        }
        // Without a transaction around it.
        let inner = &*self.inner;
        let pushed = self.inside().write_one(|db| {
            let usual = inner.usual_attempts(db)?;
            let row = NewJob::of(push, usual, (None, None), inner.timeline.now());
            inner.insert(db, &row, &stored, JobState::Ready)
        });
        pushed.map(Pushed::New)
    }

    fn put_with(&self, db: &Db<'_>, stored: Stored, push: &Push) -> Result<Pushed> {
        let timeline = &self.inner.timeline;
        let (usual, now) = (self.inner.usual_attempts(db)?, timeline.now());
        let times = push.times(timeline, now);
        let row = NewJob::of(push, usual, times, now);
        if let Some(key) = row.unique_key
            && let Some(pushed) = self.put_beside(db, &row, &stored, key)?
        {
            if let Pushed::Replaced(id) = pushed {
                stored.link(db)?;
                self.tag(db, id, &push.tags)?;
            }
            return Ok(pushed);
        }
        let state = self.state_of(db, &row, None)?;
        let id = self.inner.insert(db, &row, &stored, state)?;
        stored.link(db)?;
        self.tag(db, id, &push.tags)?;
        if push.is_for_later() {
            timeline.keep(db)?;
        }
        Ok(Pushed::New(id))
    }

    /// What becomes of a job whose key another one has; `None`, if none has, or one that runs already.
    fn put_beside(
        &self,
        db: &Db<'_>,
        row: &NewJob<'_>,
        stored: &Stored,
        key: &str,
    ) -> Result<Option<Pushed>> {
        let Some(Other {
            row: other,
            state,
            file,
            group,
        }) = self.other(db, key, row.pushed)?
        else {
            let of_key = [self.inner.id(), key.into(), row.pushed.into()];
            let finished = db.query_one(sql::SAME_KEY_FINISHED, &of_key, |row| row.int(0))?;
            return Ok(finished.map(|other| Pushed::Skipped(self.inner.job(other))));
        };
        let id = self.inner.job(other);
        if !row.replaces {
            return Ok(Some(Pushed::Skipped(id)));
        }
        if state == JobState::Claimed {
            return Ok(None);
        }
        // It leaves its group, and those behind it go on, before it comes into its new one.
        if state != JobState::Held && group.is_some() && group.as_deref() != row.group {
            db.run(sql::LEAVE_GROUP, &[other.into()])?;
            self.inner.promote(db, group.as_deref(), row.pushed)?;
        }
        let stays = state != JobState::Held && group.as_deref() == row.group;
        let state = match stays {
            true => row.state(),
            false => self.state_of(db, row, Some(other))?,
        };
        let params = row.params_in_place_of(other, state, stored);
        db.run(sql::REPLACE, &params)?;
        db.run(sql::DROP_TAGS, &[other.into()])?;
        db.store().forget_value(db, file)?;
        db.ring(self.inner.structure.arrivals());
        Ok(Some(Pushed::Replaced(id)))
    }

    /// The unfinished job with a key. If that has expired, it is so from now on, and no more in the way.
    fn other(&self, db: &Db<'_>, key: &str, now: i64) -> Result<Option<Other>> {
        loop {
            let of_key = [self.inner.id(), key.into()];
            let found = db.query_one(sql::SAME_KEY, &of_key, |row| {
                let other = Other {
                    row: row.int(0)?,
                    state: JobState::named(row.text(1)?)?,
                    file: row.opt_int(2)?,
                    group: row.opt_text(3)?.map(str::to_owned),
                };
                Ok((other, row.opt_int(4)?))
            })?;
            match found {
                Some((other, Some(expires)))
                    if expires <= now && other.state != JobState::Claimed =>
                {
                    self.inner
                        .expire(db, other.row, other.group.as_deref(), now)?;
                }
                found => return Ok(found.map(|(other, _)| other)),
            }
        }
    }

    /// Whether a job has to wait for others of its group, but for `own`.
    fn state_of(&self, db: &Db<'_>, row: &NewJob<'_>, own: Option<i64>) -> Result<JobState> {
        let Some(group) = row.group else {
            return Ok(row.state());
        };
        let params = [self.inner.id(), group.into(), own.unwrap_or(0).into()];
        let other = db.query_one(sql::ANY_OF_GROUP, &params, |_| Ok(()))?;
        Ok(match other {
            Some(()) => JobState::Held,
            None => row.state(),
        })
    }

    fn tag(&self, db: &Db<'_>, id: JobId, tags: &[String]) -> Result<()> {
        let row = self.inner.row(id).unwrap_or_default();
        tags.iter().try_for_each(|tag| {
            let tag = tag.as_str().into();
            db.run(sql::PUT_TAG, &[row.into(), tag])
        })
    }

    fn put_all(&self, db: &Db<'_>, jobs: Vec<Stored>) -> Result<Vec<JobId>> {
        if jobs.is_empty() {
            return Ok(Vec::new());
        }
        let max_attempts = i64::from(self.inner.config(db)?.max_attempts);
        let now = self.inner.timeline.now();
        let first = self.inner.next(db)?;
        if self.inner.rows().end - first < i64::try_from(jobs.len()).unwrap_or(i64::MAX) {
            return Err(used_up());
        }
        let mut ids = Vec::with_capacity(jobs.len());
        for (id, stored) in (first..).zip(jobs) {
            ids.push(self.inner.job(id));
            let (file, value) = (stored.file(), stored.value());
            let queue = self.inner.id();
            let params = [
                id.into(),
                queue,
                now.into(),
                max_attempts.into(),
                file,
                value,
            ];
            db.run(sql::PUT, &params)?;
            stored.link(db)?;
        }
        db.ring(self.inner.structure.arrivals());
        Ok(ids)
    }
}

impl Inner {
    fn insert(
        &self,
        db: &Db<'_>,
        row: &NewJob<'_>,
        stored: &Stored,
        state: JobState,
    ) -> Result<JobId> {
        // Before the statement, with which the commit may go out.
        if state != JobState::Held {
            db.ring(self.structure.arrivals());
        }
        let job = row.params(self.id(), state, stored);
        let rows = self.rows();
        let id = match db.travels() {
            true => {
                let params = [&job[..], &[rows.start.into(), rows.end.into()]].concat();
                db.query_one(sql::PUSH, &params, |row| row.int(0))?
                    .ok_or_else(used_up)?
            }
            false => {
                let id = self.next(db)?;
                db.run(sql::ADD, &[&[id.into()], &job[..]].concat())?;
                id
            }
        };
        Ok(self.job(id))
    }

    /// The number of the job that comes next.
    fn next(&self, db: &Db<'_>) -> Result<i64> {
        let rows = self.rows();
        let bounds = [self.id(), rows.start.into(), rows.end.into()];
        let next = db.query_one(sql::NEXT, &bounds, |row| row.int(0))?;
        next.ok_or_else(used_up)
    }

    /// How often jobs may be tried; `None`, where the statement that pushes one would have to wait for the answer: it finds out itself.
    fn usual_attempts(&self, db: &Db<'_>) -> Result<Option<u32>> {
        match db.travels() {
            true => Ok(None),
            false => self.config(db).map(|config| Some(config.max_attempts)),
        }
    }
}

/// A job whose key another is pushed with.
struct Other {
    row: i64,
    state: JobState,
    file: Option<i64>,
    group: Option<String>,
}

fn used_up() -> Error {
    Error::new(
        ErrorKind::Unsupported,
        "it has given out all its numbers, 2^39 of them: go on in another queue",
    )
}
