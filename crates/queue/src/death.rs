//! What becomes of the jobs of workers who died.

use diskette_ipc::OwnerId;
use diskette_store::{Db, Result, Timeline};

use crate::inner::promote;
use crate::job::Why;
use crate::sql;

/// A job that has killed so many is given to nobody any more.
const QUARANTINE: i64 = 3;

/// A job that a dead worker had.
struct Left {
    row: i64,
    queue: i64,
    group: Option<String>,
    attempts: i64,
    max_attempts: i64,
    kills: i64,
}

impl Left {
    /// Why nobody is to have it again.
    fn end(&self) -> Option<String> {
        let kills = self.kills + 1;
        if kills >= QUARANTINE {
            return Some(format!(
                "{kills} workers died with it in their hands: it is quarantined"
            ));
        }
        let last = self.attempts >= self.max_attempts;
        last.then(|| "its worker died in the last of its attempts".into())
    }
}

/// Gives back what an owner who died has claimed: each job is ready again at once, or dead, and then its group goes on.
pub(crate) fn give_back(db: &Db<'_>, owner: OwnerId) -> Result<()> {
    let left = db.query(sql::ESTATE, &[owner.as_i64().into()], |row| {
        Ok(Left {
            row: row.int(0)?,
            queue: row.int(1)?,
            group: row.opt_text(2)?.map(str::to_owned),
            attempts: row.int(3)?,
            max_attempts: row.int(4)?,
            kills: row.int(5)?,
        })
    })?;
    let now = Timeline::within(db)?.now();
    for job in left {
        match job.end() {
            None => drop(db.execute(sql::ROB, &[1_i64.into(), job.row.into()])?),
            Some(error) => {
                let why = Why::Killed.name().into();
                let error = error.as_str().into();
                db.run(
                    sql::BURY,
                    &[now.into(), 1_i64.into(), why, error, job.row.into()],
                )?;
                promote(db, job.queue, job.group.as_deref(), now)?;
            }
        }
    }
    Ok(())
}
