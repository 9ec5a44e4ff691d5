use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use diskette_ipc::Mutex;
use diskette_store::{Db, Result, Structure, Timeline, Value};

use crate::config::Config;
use crate::job::JobId;
use crate::sql;

/// What all handles of a queue share that were cloned from one.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) structure: Arc<Structure>,
    pub(crate) timeline: Timeline,
    /// As it was when the catalog had changed so often.
    pub(crate) config: Mutex<(u64, Config)>,
}

/// How a queue stands, for who would claim.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing {
    pub(crate) has_ready: bool,
    /// When something is due.
    pub(crate) next: Option<i64>,
    pub(crate) paused: bool,
}

impl Inner {
    pub(crate) fn id(&self) -> Value<'static> {
        self.structure.id().into()
    }

    pub(crate) fn rows(&self) -> Range<i64> {
        self.structure.share().rows()
    }

    /// The row of a job; `None`, if there can't be one.
    pub(crate) fn row(&self, id: JobId) -> Option<i64> {
        let rows = self.rows();
        let row = rows.start.checked_add_unsigned(id.0)?;
        (row > rows.start && row < rows.end).then_some(row)
    }

    pub(crate) fn job(&self, row: i64) -> JobId {
        JobId(row.abs_diff(self.rows().start))
    }

    pub(crate) fn standing(&self, db: &Db<'_>) -> Result<Standing> {
        let found = db.query_one(sql::STANDING, &[self.id()], |row| {
            Ok(Standing {
                has_ready: row.opt_int(0)?.is_some(),
                next: row.opt_int(1)?,
                paused: row.int(2)? != 0,
            })
        })?;
        found.ok_or_else(|| self.structure.missing(db))
    }

    /// The next of a group can run, now that the one before it is finished.
    pub(crate) fn promote(&self, db: &Db<'_>, group: Option<&str>, now: i64) -> Result<()> {
        promote(db, self.structure.id(), group, now)?;
        if group.is_some() {
            db.ring(self.structure.arrivals());
        }
        Ok(())
    }
}

/// The next of a group of a queue can run.
pub(crate) fn promote(db: &Db<'_>, queue: i64, group: Option<&str>, now: i64) -> Result<()> {
    if let Some(group) = group {
        db.run(sql::PROMOTE, &[now.into(), queue.into(), group.into()])?;
    }
    Ok(())
}

/// What is longer than 292,000 years is that long.
pub(crate) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
