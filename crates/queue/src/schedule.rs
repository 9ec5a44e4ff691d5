use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono::SecondsFormat;
use diskette_ipc::{Deadline, Stop};
use diskette_store::{
    Attempt, Codec, Db, Kind, MessagePack, Result, Store, Structure, Table, Transaction,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::cron::{Cron, utc};
use crate::inner::micros;
use crate::job::JobId;
use crate::push::{Push, Unique};
use crate::queue::Queue;

static KIND: Kind = Kind {
    name: "schedule",
    format: 1,
    schema: &[
        "CREATE TABLE schedules (id INTEGER PRIMARY KEY, cron TEXT NOT NULL, last BIGINT NOT NULL)",
    ],
    tables: &[Table::of_structures("schedules", "id")],
    bring_over: &[],
    claims: None,
};

const CREATE: &str = "INSERT INTO schedules (id, cron, last) VALUES ($1, $2, $3)";
const FIND: &str = "SELECT cron, last FROM schedules WHERE id = $1";
const CHANGE: &str = "UPDATE schedules SET cron = $1, last = $2 WHERE id = $3";

/// Who finds the last tick so far ahead has a clock that was wrong then.
const WRONG_CLOCK: Duration = Duration::from_secs(24 * 3600);

/// A job that is pushed again and again, at the times that a [`Cron`] says; made by [`Queue::every`], with the feature `cron`.
///
/// Each process that is to push it runs it: [`Worker::every`](crate::Worker::every), [`run`](Self::run). However many do, each tick
/// is pushed once, in the transaction that notes it, with a [unique key](crate::Unique) of the schedule's name and the tick.
///
/// What was missed, as nobody ran it, is made up for by *one* push, for the latest tick. It doesn't matter whether the job of the tick before is
/// finished.
///
/// # Crashes
///
/// Nothing is lost by them: a tick is noted and pushed, or neither.
///
/// # When the time of day is set
///
/// Back: no tick comes twice. Forward: those in between count as missed. If the last tick is more than a day ahead, the clock was wrong at that
/// time, and the schedule begins anew.
pub struct Schedule<J, C = MessagePack> {
    queue: Queue<J, C>,
    structure: Arc<Structure>,
    cron: Cron,
    make: Arc<dyn Fn(SystemTime) -> J + Send + Sync>,
}

/// The expression, and the last tick.
type Recorded = (String, SystemTime);

impl<J, C> Queue<J, C>
where
    J: Serialize + DeserializeOwned + 'static,
    C: Codec,
{
    /// A job that comes again and again: `make` makes it of the time of its tick. `name` is that of the schedule in the store, as that
    /// of a structure; it begins when it is first opened under this name.
    ///
    /// What it was opened with last holds for all: who opens it with another expression has it go by that from then on, and those who
    /// run it with the former push nothing any more.
    ///
    /// # Errors
    ///
    /// Those of [`Queue::new`].
    ///
    /// # Example
    ///
    /// ```
    /// use diskette::{Cron, Queue, Store, Worker};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # std::env::set_current_dir(&dir)?;
    /// let store = Store::open("store")?;
    /// let reports = Queue::<String>::new(&store, "reports")?;
    /// let nightly = Cron::new("30 2 * * *")?.zone("Europe/Berlin")?;
    /// let nightly = reports.every("nightly report", &nightly, |tick| format!("until {tick:?}"))?;
    /// // The same in each process: one of them pushes it each night.
    /// Worker::new(&reports).every(&nightly).run_until_idle(|claim| Ok(println!("{}", *claim)))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn every(
        &self,
        name: &str,
        cron: &Cron,
        make: impl Fn(SystemTime) -> J + Send + Sync + 'static,
    ) -> Result<Schedule<J, C>> {
        let (text, now) = (cron.to_string(), self.now());
        let structure = Structure::open(&self.access, &KIND, name, C::NAME, |db, structure| {
            let row = [
                structure.id().into(),
                text.as_str().into(),
                time(now).into(),
            ];
            db.run(CREATE, &row)
        })?;
        let schedule = Schedule {
            queue: self.clone(),
            structure,
            cron: cron.clone(),
            make: Arc::new(make),
        };
        let changed = schedule.structure.inside(&self.access).write(|db| {
            let (recorded, _) = schedule.read(db)?;
            if recorded != text {
                schedule.note(db, now)?;
                db.ring(schedule.structure.arrivals());
            }
            Ok(())
        });
        schedule.structure.doing("opening", changed)?;
        Ok(schedule)
    }
}

impl<J, C> Queue<J, C> {
    fn now(&self) -> SystemTime {
        let timeline = &self.inner.timeline;
        timeline.wall(timeline.now())
    }
}

impl<J, C> Schedule<J, C>
where
    J: Serialize + DeserializeOwned + 'static,
    C: Codec,
{
    /// Pushes each tick as it comes, until the store's [`Stop`] is stopped.
    ///
    /// # Errors
    ///
    /// [`is_stopped`](diskette_store::Error::is_stopped) then; else those of [`fire`](Self::fire).
    pub fn run(&self) -> Result<()> {
        let structure = &self.structure;
        let store = self.queue.store();
        let waited = store.wait_by_time(structure, structure.arrivals(), Deadline::never(), |_| {
            self.fire()?;
            let next = self.next()?;
            let left = next.map(|next| next.duration_since(self.queue.now()).unwrap_or_default());
            Ok::<Attempt<()>, _>(left.map_or(Attempt::NotYet, Attempt::NotBefore))
        });
        structure.doing("running", waited).map(drop)
    }

    /// Pushes the job if a tick has come that nobody has pushed; of several the latest. Its number, if it did.
    ///
    /// # Errors
    ///
    /// Those of [`Queue::push`].
    pub fn fire(&self) -> Result<Option<JobId>> {
        let store = self.queue.store();
        let recorded = self.structure.inside(store).read_one(|db| self.read(db))?;
        match self.due(&recorded).is_some() || self.begins_anew(&recorded) {
            true => store.transaction(|tx| self.fire_within(tx)),
            false => Ok(None),
        }
    }

    /// When the next tick is; `None` if there is none, or the schedule was opened with another expression since.
    ///
    /// # Errors
    ///
    /// Those of the database.
    pub fn next(&self) -> Result<Option<SystemTime>> {
        let store = self.queue.store();
        let recorded = self.structure.inside(store).read_one(|db| self.read(db))?;
        let since = match self.begins_anew(&recorded) {
            true => self.queue.now(),
            false => recorded.1,
        };
        Ok(self.cron.after(since).filter(|_| self.is_ours(&recorded)))
    }

    fn fire_within(&self, tx: &Transaction<'_>) -> Result<Option<JobId>> {
        let tick = self.structure.inside(tx).write(|db| {
            let recorded = self.read(db)?;
            if self.begins_anew(&recorded) {
                return self.note(db, self.queue.now()).map(|()| None);
            }
            let due = self.due(&recorded);
            due.map(|tick| self.note(db, tick).map(|()| tick))
                .transpose()
        })?;
        let Some(tick) = tick else {
            return Ok(None);
        };
        let at = utc(tick).to_rfc3339_opts(SecondsFormat::Secs, true);
        let key = Unique::key(format!("{} {at}", self.structure.name()));
        let pushed = self
            .queue
            .within(tx)
            .push_with(&(self.make)(tick), &Push::new().unique(key))?;
        tracing::debug!(schedule = self.structure.name(), tick = at, id = %pushed.id(), "pushed");
        Ok(Some(pushed.id()))
    }

    /// The latest tick that has come since the last one.
    fn due(&self, recorded: &Recorded) -> Option<SystemTime> {
        let now = self.queue.now();
        let first = self.cron.after(recorded.1).filter(|first| *first <= now)?;
        let latest = self.cron.until(now).unwrap_or(first).max(first);
        self.is_ours(recorded).then_some(latest)
    }

    /// Was the clock wrong when the last tick was noted?
    fn begins_anew(&self, recorded: &Recorded) -> bool {
        let ahead = recorded.1.duration_since(self.queue.now());
        self.is_ours(recorded) && ahead.is_ok_and(|ahead| ahead > WRONG_CLOCK)
    }

    fn is_ours(&self, recorded: &Recorded) -> bool {
        recorded.0 == self.cron.to_string()
    }

    fn read(&self, db: &Db<'_>) -> Result<Recorded> {
        let found = db.query_one(FIND, &[self.structure.id().into()], |row| {
            let last = Duration::from_micros(row.int(1)?.max(0).unsigned_abs());
            Ok((row.text(0)?.to_owned(), UNIX_EPOCH + last))
        })?;
        found.ok_or_else(|| self.structure.missing(db))
    }

    fn note(&self, db: &Db<'_>, last: SystemTime) -> Result<()> {
        let text = self.cron.to_string();
        let row = [
            text.as_str().into(),
            time(last).into(),
            self.structure.id().into(),
        ];
        db.run(CHANGE, &row)
    }

    /// The same under another stop.
    pub(crate) fn with_stop(&self, stop: &Stop) -> Self {
        let store: Store = self.queue.store().with_stop(stop);
        Schedule {
            queue: self.queue.through(store),
            ..self.clone()
        }
    }
}

impl<J, C> Clone for Schedule<J, C> {
    fn clone(&self) -> Self {
        Schedule {
            queue: self.queue.clone(),
            structure: Arc::clone(&self.structure),
            cron: self.cron.clone(),
            make: Arc::clone(&self.make),
        }
    }
}

impl<J, C> fmt::Debug for Schedule<J, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schedule")
            .field("name", &self.structure.name())
            .field("cron", &self.cron)
            .field("queue", &self.queue)
            .finish()
    }
}

/// A time of day, as it is recorded.
fn time(wall: SystemTime) -> i64 {
    micros(wall.duration_since(UNIX_EPOCH).unwrap_or_default())
}
