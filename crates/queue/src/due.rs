//! What happens by itself, done by whoever claims next: scheduled jobs get ready, jobs expire, claims that are late are given to others.

use std::sync::Arc;

use diskette_store::{Access, Db, Result};

use crate::inner::{Inner, Standing};
use crate::job::{JobState, Why};
use crate::queue::Queue;
use crate::sql;

/// So many go in one turn to write, so that nobody waits for long.
const STEP: i64 = 256;

struct Due {
    row: i64,
    state: JobState,
    group: Option<String>,
    expires: Option<i64>,
    attempts: i64,
    max_attempts: i64,
}

impl<J, C, A: Access> Queue<J, C, A> {
    pub(crate) fn standing(&self) -> Result<Standing> {
        self.inside().read_one(|db| self.inner.standing(db))
    }

    /// Does some of what is due, if there is any: then there may be jobs now.
    pub(crate) fn fire(&self, standing: Standing) -> Result<bool> {
        let now = self.inner.timeline.now();
        if standing.paused || standing.next.is_none_or(|next| next > now) {
            return Ok(false);
        }
        self.inside().free(|db| self.inner.fire(db)).map(|_| true)
    }
}

impl Inner {
    /// Does some of what is due; was there any? What it did may be due again: a job that is taken from who was late may have expired.
    pub(crate) fn fire(self: &Arc<Self>, db: &Db<'_>) -> Result<bool> {
        let now = self.timeline.now();
        let any = db.query_one(sql::ANY_DUE, &[self.id(), now.into()], |_| Ok(()))?;
        if any.is_none() {
            return Ok(false);
        }
        // Most of what is due, and nothing else is to be done about it.
        db.run(sql::MAKE_MANY_READY, &[self.id(), now.into()])?;
        let params = [self.id(), now.into(), STEP.into()];
        let all = db.query(sql::DUE, &params, |row| {
            Ok(Due {
                row: row.int(0)?,
                state: JobState::named(row.text(1)?)?,
                group: row.opt_text(2)?.map(str::to_owned),
                expires: row.opt_int(3)?,
                attempts: row.int(4)?,
                max_attempts: row.int(5)?,
            })
        })?;
        for due in &all {
            self.fire_one(db, due, now)?;
        }
        self.timeline.keep(db)?;
        db.ring(self.structure.arrivals());
        Ok(true)
    }

    fn fire_one(self: &Arc<Self>, db: &Db<'_>, due: &Due, now: i64) -> Result<()> {
        let has_expired = due.expires.is_some_and(|expires| expires <= now);
        let group = due.group.as_deref();
        match due.state {
            JobState::Claimed if due.attempts >= due.max_attempts => {
                let error = "its worker was late in the last of its attempts";
                self.bury(db, due.row, group, now, (Why::Late, error))
            }
            JobState::Claimed => {
                db.run(sql::ROB, &[0_i64.into(), due.row.into()])?;
                Ok(())
            }
            JobState::Scheduled if !has_expired => {
                db.run(sql::MAKE_READY, &[due.row.into()])?;
                Ok(())
            }
            _ => self.expire(db, due.row, group, now),
        }
    }

    /// The time to live of a job is over.
    pub(crate) fn expire(
        self: &Arc<Self>,
        db: &Db<'_>,
        row: i64,
        group: Option<&str>,
        now: i64,
    ) -> Result<()> {
        let error = "nobody had claimed it when its time to live was over";
        self.bury(db, row, group, now, (Why::Expired, error))
    }

    fn bury(
        self: &Arc<Self>,
        db: &Db<'_>,
        row: i64,
        group: Option<&str>,
        now: i64,
        (why, error): (Why, &str),
    ) -> Result<()> {
        // Asked for anew: those before it in its group may have been buried just now.
        let state = db.query_one(sql::STATE, &[row.into()], |row| {
            JobState::named(row.text(0)?)
        })?;
        let (why, error) = (why.name().into(), error.into());
        let params = [now.into(), 0_i64.into(), why, error, row.into()];
        db.run(sql::BURY, &params)?;
        if state != Some(JobState::Held) {
            self.promote(db, group, now)?;
        }
        self.finished(db, [row])
    }
}
