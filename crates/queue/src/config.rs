use diskette_store::{Access, Db, Error, ErrorKind, Result, Row, Value};

use crate::backoff::Backoff;
use crate::inner::Inner;
use crate::job::damaged;
use crate::keep::Keep;
use crate::queue::Queue;
use crate::sql;

/// What is recorded of a queue, for all who use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Config {
    pub(crate) paused: bool,
    pub(crate) max_attempts: u32,
    pub(crate) backoff: Backoff,
    pub(crate) keep_done: Keep,
    pub(crate) keep_dead: Keep,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            paused: false,
            max_attempts: 20,
            backoff: Backoff::default(),
            keep_done: Keep::last(1000),
            keep_dead: Keep::all(),
        }
    }
}

impl Config {
    fn of(row: &Row<'_>) -> Result<Self> {
        let keep = |last, micros| {
            let last = row
                .opt_int(last)?
                .map(|last| u64::try_from(last).unwrap_or(0));
            let micros = row.opt_int(micros)?;
            Ok::<_, Error>(Keep { last, micros })
        };
        let backoff = row.text(2)?.parse();
        Ok(Config {
            paused: row.int(0)? != 0,
            max_attempts: u32::try_from(row.int(1)?).unwrap_or(u32::MAX),
            backoff: backoff.map_err(|()| damaged("no back-off that could be read"))?,
            keep_done: keep(3, 4)?,
            keep_dead: keep(5, 6)?,
        })
    }

    pub(crate) fn check(&self) -> Result<()> {
        match self.max_attempts {
            0 => Err(Error::new(
                ErrorKind::InvalidInput,
                "jobs with max_attempts of 0 could never run; choose 1 or more",
            )),
            _ => Ok(()),
        }
    }

    /// The parameters of statements, from `max_attempts` on.
    pub(crate) fn recorded<'b>(&self, backoff: &'b str) -> [Value<'b>; 6] {
        let last = |keep: Keep| {
            keep.last
                .map(|last| i64::try_from(last).unwrap_or(i64::MAX))
        };
        [
            i64::from(self.max_attempts).into(),
            backoff.into(),
            last(self.keep_done).into(),
            self.keep_done.micros.into(),
            last(self.keep_dead).into(),
            self.keep_dead.micros.into(),
        ]
    }
}

impl Inner {
    /// What is recorded; read again only when somebody has changed something. For who has the turn to write.
    pub(crate) fn config(&self, db: &Db<'_>) -> Result<Config> {
        let changes = self.structure.changes(db.store())?;
        let (known, config) = *self.config.lock();
        if known == changes {
            return Ok(config);
        }
        let config = self.read_config(db)?;
        *self.config.lock() = (changes, config);
        Ok(config)
    }

    /// What was recorded when it was last read.
    pub(crate) fn last_config(&self) -> Config {
        self.config.lock().1
    }

    pub(crate) fn read_config(&self, db: &Db<'_>) -> Result<Config> {
        db.query_one(sql::CONFIG, &[self.structure.id().into()], Config::of)?
            .ok_or_else(|| self.structure.missing(db))
    }
}

/// What is recorded for all who use the queue.
impl<J, C, A: Access> Queue<J, C, A> {
    /// Stops giving jobs out, for all who use the queue, until it is [resumed](Self::resume): whoever claims finds none, and who
    /// waits goes on waiting. What is claimed already is left alone, and jobs may still be pushed. Was it giving any out?
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
    /// let mails = Queue::<String>::new(&store, "mails")?;
    /// mails.push("Ada")?;
    /// mails.pause()?;
    /// assert!(mails.try_claim()?.is_none());
    /// mails.resume()?;
    /// assert_eq!(*mails.try_claim()?.expect("there is one"), "Ada");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn pause(&self) -> Result<bool> {
        let before = self.configure("pause", |config| Config {
            paused: true,
            ..config
        });
        Ok(!before?.paused)
    }

    /// Gives jobs out again, and wakes who waits for one. Was it paused?
    ///
    /// # Errors
    ///
    /// Those of [`push`](Self::push).
    pub fn resume(&self) -> Result<bool> {
        let before = self.configure("resume", |config| Config {
            paused: false,
            ..config
        });
        Ok(before?.paused)
    }

    /// Is it [paused](Self::pause)?
    ///
    /// # Errors
    ///
    /// Those of the database.
    pub fn is_paused(&self) -> Result<bool> {
        let config = self.inside().read_one(|db| self.inner.read_config(db));
        Ok(self.doing("is_paused", config)?.paused)
    }

    /// Changes how often a job that fails is tried, where its [`Push`](crate::Push) doesn't say: of the jobs that are pushed from now on.
    ///
    /// # Errors
    ///
    /// [`is_invalid_input`](Error::is_invalid_input) for 0; those of [`push`](Self::push).
    pub fn set_max_attempts(&self, max_attempts: u32) -> Result<()> {
        self.configure("set_max_attempts", |config| Config {
            max_attempts,
            ..config
        })
        .map(drop)
    }

    /// Changes how long a job that failed waits, where its [`Push`](crate::Push) doesn't say: from the next failure on.
    ///
    /// # Errors
    ///
    /// Those of [`push`](Self::push).
    pub fn set_backoff(&self, backoff: Backoff) -> Result<()> {
        self.configure("set_backoff", |config| Config { backoff, ..config })
            .map(drop)
    }

    /// Changes which jobs are kept that are done. The others go in small steps, by those who complete jobs, or by
    /// [`tidy`](Self::tidy).
    ///
    /// # Errors
    ///
    /// Those of [`push`](Self::push).
    pub fn set_keep_done(&self, keep_done: Keep) -> Result<()> {
        self.configure("set_keep_done", |config| Config {
            keep_done,
            ..config
        })
        .map(drop)
    }

    /// Changes which jobs are kept that are dead. Otherwise like [`set_keep_done`](Self::set_keep_done).
    ///
    /// # Errors
    ///
    /// Those of [`push`](Self::push).
    pub fn set_keep_dead(&self, keep_dead: Keep) -> Result<()> {
        self.configure("set_keep_dead", |config| Config {
            keep_dead,
            ..config
        })
        .map(drop)
    }

    /// Records what `change` makes of what is recorded; gives that.
    fn configure(&self, verb: &'static str, change: impl Fn(Config) -> Config) -> Result<Config> {
        let configured = self.inside().write(|db| {
            let before = self.inner.read_config(db)?;
            let config = change(before);
            config.check()?;
            if config == before {
                return Ok(before);
            }
            self.inner.structure.tell_changed(db)?;
            let backoff = config.backoff.to_string();
            let [a, b, c, d, e, f] = config.recorded(&backoff);
            let id = self.inner.structure.id().into();
            let row = [config.paused.into(), a, b, c, d, e, f, id];
            db.run(sql::SET_CONFIG, &row)?;
            *self.inner.config.lock() = (u64::MAX, config);
            if before.paused && !config.paused {
                db.ring(self.inner.structure.arrivals());
            }
            Ok(before)
        });
        self.doing(verb, configured)
    }
}
