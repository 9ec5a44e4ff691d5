//! Jobs come into the queue.

use diskette_store::{Access, Codec, Db, Error, ErrorKind, Like, Result, Stored, Value};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::config::Config;
use crate::inner::micros;
use crate::job::{JobId, JobState};
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
        if stored.is_file() || push.unique.is_some() || push.group.is_some() || push.is_for_later()
        {
            return self.inside().write(|db| self.put_with(db, stored, push));
        }
        // By itself, without a transaction around it.
        let pushed = self.inside().write_one(|db| {
            let config = self.inner.config(db)?;
            let row = NewJob::of(push, &config, (None, None), self.inner.timeline.now());
            self.insert(db, &row, &stored, JobState::Ready)
        });
        pushed.map(Pushed::New)
    }

    fn put_with(&self, db: &Db<'_>, stored: Stored, push: &Push) -> Result<Pushed> {
        let timeline = &self.inner.timeline;
        let (config, now) = (self.inner.config(db)?, timeline.now());
        let times = push.times(timeline, now);
        let row = NewJob::of(push, &config, times, now);
        if let Some(key) = row.unique_key
            && let Some(pushed) = self.put_beside(db, &row, &stored, key)?
        {
            if let Pushed::Replaced(_) = pushed {
                stored.link(db)?;
            }
            return Ok(pushed);
        }
        let state = self.state_of(db, &row, None)?;
        let id = self.insert(db, &row, &stored, state)?;
        stored.link(db)?;
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
        let of_key = [self.inner.id(), key.into()];
        let found = db.query_one(sql::SAME_KEY, &of_key, |found| {
            let group = found.opt_text(3)?.map(str::to_owned);
            Ok((
                found.int(0)?,
                JobState::named(found.text(1)?)?,
                found.opt_int(2)?,
                group,
            ))
        })?;
        let Some((other, state, file, group)) = found else {
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
            db.execute(sql::LEAVE_GROUP, &[other.into()])?;
            self.inner.promote(db, group.as_deref(), row.pushed)?;
        }
        let stays = state != JobState::Held && group.as_deref() == row.group;
        let state = match stays {
            true => row.state(),
            false => self.state_of(db, row, Some(other))?,
        };
        let (not_before, expires) = (row.not_before.into(), row.expires.into());
        let backoff = row.backoff.as_deref().into();
        let tags = row.tags.as_deref().into();
        let params = [
            state.name().into(),
            row.rank.into(),
            row.due(state).into(),
            not_before,
            expires,
            row.pushed.into(),
            row.max_attempts.into(),
            backoff,
            row.group.into(),
            row.unique_until.into(),
            tags,
            stored.file(),
            stored.value(),
            other.into(),
        ];
        db.execute(sql::REPLACE, &params)?;
        db.store().forget_value(db, file)?;
        db.ring(self.inner.structure.arrivals());
        Ok(Some(Pushed::Replaced(id)))
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

    fn insert(
        &self,
        db: &Db<'_>,
        row: &NewJob<'_>,
        stored: &Stored,
        state: JobState,
    ) -> Result<JobId> {
        let rows = self.inner.rows();
        let [a, b, c, d, e, f, g, h, i, j, k, l, m] = row.params(self.inner.id(), state);
        let (first, end) = (rows.start.into(), rows.end.into());
        let params = [
            a,
            b,
            c,
            d,
            e,
            f,
            g,
            h,
            i,
            j,
            k,
            l,
            m,
            stored.file(),
            stored.value(),
            first,
            end,
        ];
        let id = db.query_one(sql::PUSH, &params, |row| row.int(0))?;
        let id = id.ok_or_else(used_up)?;
        if state != JobState::Held {
            db.ring(self.inner.structure.arrivals());
        }
        Ok(self.inner.job(id))
    }

    fn put_all(&self, db: &Db<'_>, jobs: Vec<Stored>) -> Result<Vec<JobId>> {
        if jobs.is_empty() {
            return Ok(Vec::new());
        }
        let max_attempts = i64::from(self.inner.config(db)?.max_attempts);
        let now = self.inner.timeline.now();
        let rows = self.inner.rows();
        let bounds = [self.inner.id(), rows.start.into(), rows.end.into()];
        let first = db.query_one(sql::NEXT, &bounds, |row| row.int(0))?;
        let first = first.ok_or_else(used_up)?;
        if rows.end - first < i64::try_from(jobs.len()).unwrap_or(i64::MAX) {
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
            db.execute(sql::PUT, &params)?;
            stored.link(db)?;
        }
        db.ring(self.inner.structure.arrivals());
        Ok(ids)
    }
}

/// A job on its way into the table.
struct NewJob<'p> {
    rank: i64,
    not_before: Option<i64>,
    expires: Option<i64>,
    pushed: i64,
    max_attempts: i64,
    backoff: Option<String>,
    group: Option<&'p str>,
    unique_key: Option<&'p str>,
    unique_until: Option<i64>,
    replaces: bool,
    tags: Option<String>,
}

impl<'p> NewJob<'p> {
    fn of(
        push: &'p Push,
        config: &Config,
        (not_before, expires): (Option<i64>, Option<i64>),
        now: i64,
    ) -> Self {
        let unique = push.unique.as_ref();
        let window = unique.and_then(|unique| unique.window);
        NewJob {
            rank: -i64::from(push.priority),
            not_before,
            expires,
            pushed: now,
            max_attempts: push.max_attempts.unwrap_or(config.max_attempts).into(),
            backoff: push.backoff.map(|backoff| backoff.to_string()),
            group: push.group.as_deref(),
            unique_key: unique.map(|unique| unique.key.as_str()),
            unique_until: window.map(|window| now.saturating_add(micros(window))),
            replaces: unique.is_some_and(|unique| unique.replaces),
            tags: push.tags(),
        }
    }

    /// Where it is, unless others of its group are before it.
    fn state(&self) -> JobState {
        match self.not_before {
            Some(_) => JobState::Scheduled,
            None => JobState::Ready,
        }
    }

    fn due(&self, state: JobState) -> Option<i64> {
        match state {
            JobState::Scheduled => self.not_before,
            _ => self.expires,
        }
    }

    /// What statements want, up to the value.
    fn params(&self, queue: Value<'static>, state: JobState) -> [Value<'_>; 13] {
        [
            queue,
            state.name().into(),
            self.rank.into(),
            self.due(state).into(),
            self.not_before.into(),
            self.expires.into(),
            self.pushed.into(),
            self.max_attempts.into(),
            self.backoff.as_deref().into(),
            self.group.into(),
            self.unique_key.into(),
            self.unique_until.into(),
            self.tags.as_deref().into(),
        ]
    }
}

fn used_up() -> Error {
    Error::new(
        ErrorKind::Unsupported,
        "it has given out all its numbers, 2^39 of them: go on in another queue",
    )
}
