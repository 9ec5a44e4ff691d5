//! Finished jobs are kept for a while, and then dropped, in small steps.

use std::sync::Arc;

use diskette_store::{Access, Db, Result, Value};

use crate::config::Config;
use crate::inner::Inner;
use crate::job::JobState;
use crate::keep::Keep;
use crate::queue::Queue;
use crate::sql;

/// So many jobs go in one turn to write.
const STEP: i64 = 256;

/// Every so many jobs, the one who finishes it has others dropped; more rarely where it has to count far to know which.
const OFTEN: u64 = 64;

/// A job that is dropped.
pub(crate) struct Leaving {
    pub(crate) row: i64,
    pub(crate) file: Option<i64>,
    pub(crate) has_tags: bool,
}

impl<J, C, A: Access> Queue<J, C, A> {
    /// Drops the finished jobs that are not to be [kept](crate::QueueOptions::keep_done); returns how many. In between, those who
    /// complete jobs have it done in the background.
    ///
    /// # Errors
    ///
    /// Those of [`push`](Queue::push).
    ///
    /// # Cost
    ///
    /// A turn to write for every 256 jobs, between which others can write.
    pub fn tidy(&self) -> Result<usize> {
        self.doing("tidy", self.inner.tidy(&self.access))
    }
}

impl Inner {
    /// Jobs are finished.
    pub(crate) fn finished(
        self: &Arc<Self>,
        db: &Db<'_>,
        rows: impl IntoIterator<Item = i64>,
    ) -> Result<()> {
        db.ring(self.structure.departures());
        let mut ids = rows.into_iter().map(|row| self.job(row).0);
        let Some(first) = ids.find(|id| id.is_multiple_of(OFTEN)) else {
            return Ok(());
        };
        let config = self.config(db)?;
        let kept = [config.keep_done, config.keep_dead].map(|keep| keep.last.unwrap_or(0));
        let often = (kept[0].max(kept[1]) / 16)
            .clamp(OFTEN, 1 << 16)
            .next_power_of_two();
        if first.is_multiple_of(often) || ids.any(|id| id.is_multiple_of(often)) {
            let inner = Arc::clone(self);
            db.on_commit(move |store| {
                store.in_background(move |store| drop(inner.tidy(store)));
            });
        }
        Ok(())
    }

    fn tidy(&self, access: &impl Access) -> Result<usize> {
        let inside = self.structure.inside(access);
        let config = inside.read_one(|db| self.read_config(db))?;
        let mut all = 0;
        for state in [JobState::Done, JobState::Dead] {
            let Some(last) = inside.read(|db| self.last_to_go(db, &config, state))? else {
                continue;
            };
            loop {
                let gone = inside.free(|db| self.drop_some(db, state, last))?;
                all += gone;
                if i64::try_from(gone) != Ok(STEP) {
                    break;
                }
            }
        }
        Ok(all)
    }

    /// The place of the newest that isn't to be kept.
    fn last_to_go(
        &self,
        db: &Db<'_>,
        config: &Config,
        state: JobState,
    ) -> Result<Option<(i64, i64)>> {
        let Keep { last, micros } = match state {
            JobState::Dead => config.keep_dead,
            _ => config.keep_done,
        };
        let now = self.timeline.now();
        let by_number = match last {
            Some(last) => {
                let last = i64::try_from(last).unwrap_or(i64::MAX).into();
                let params = [self.id(), state.name().into(), now.into(), last];
                db.query_one(sql::NEWEST_BUT, &params, |row| {
                    Ok((row.int(0)?, row.int(1)?))
                })?
            }
            None => None,
        };
        let by_age = micros.map(|micros| (now.saturating_sub(micros), i64::MAX));
        Ok(by_number.max(by_age))
    }

    fn drop_some(&self, db: &Db<'_>, state: JobState, (settled, row): (i64, i64)) -> Result<usize> {
        let params: [Value<'_>; 5] = [
            self.id(),
            state.name().into(),
            settled.into(),
            row.into(),
            STEP.into(),
        ];
        let rows = db.query(sql::SETTLED, &params, |row| {
            Ok(Leaving {
                row: row.int(0)?,
                file: row.opt_int(1)?,
                has_tags: row.int(2)? != 0,
            })
        })?;
        for leaving in &rows {
            self.drop_row(db, leaving)?;
        }
        if let Some(greatest) = rows.iter().map(|leaving| leaving.row).max() {
            self.dropped(db, greatest)?;
        }
        Ok(rows.len())
    }

    /// Drops a job, with its file, its tags and its result.
    pub(crate) fn drop_row(&self, db: &Db<'_>, leaving: &Leaving) -> Result<()> {
        let row = [leaving.row.into()];
        db.run(sql::DROP, &row)?;
        if leaving.has_tags {
            db.run(sql::DROP_TAGS, &row)?;
        }
        db.store().forget_value(db, leaving.file)?;
        let of_result = db.query_one(sql::DROP_RESULT, &row, |row| row.opt_int(0))?;
        db.store().forget_value(db, of_result.flatten())
    }

    /// The numbers up to this one aren't given again.
    pub(crate) fn dropped(&self, db: &Db<'_>, row: i64) -> Result<()> {
        db.run(sql::DROPPED, &[row.into(), self.id()])
    }
}
