use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use diskette_ipc::{Clock, Reading};

use crate::access::Access;
use crate::db::Db;
use crate::error::Result;
use crate::row::Row;
use crate::store::Store;

/// A time that goes on for all who use a store, over restarts of the system too: for what is written down now and due later.
///
/// It counts microseconds from the beginning of 1970, by the time of day when it was first asked for. From then on it goes as
/// the system's uptime does, so that a step of the time of day doesn't move it; only while the system is down it
/// goes by the time of day, and never back. In a database it goes as the server's clock does.
#[derive(Debug)]
pub struct Timeline {
    clock: Arc<dyn Clock>,
    mark: Mark,
    /// Whose it is: once that has moved, the time is that of where it is.
    store: Option<Store>,
}

/// What the time was at a reading of the clock.
#[derive(Clone, Copy, Debug)]
struct Mark {
    boot: i64,
    uptime: i64,
    wall: i64,
    time: i64,
}

const FIND: &str = "SELECT boot, uptime, wall, time FROM timelines WHERE id = 1";
const SET: &str = "INSERT INTO timelines (id, boot, uptime, wall, time) VALUES (1, $1, $2, $3, $4) \
    ON CONFLICT (id) DO UPDATE SET boot = excluded.boot, uptime = excluded.uptime, wall = excluded.wall, time = excluded.time";

/// The run of a server's clock: it goes on for ever.
pub(crate) const SERVER: u64 = 0;

/// As old as this, in microseconds, a mark is renewed by who writes anyway.
const OLD: i64 = 60_000_000;

/// And when the time of day was set by more than this.
const STEP: u64 = 1_000_000;

impl Timeline {
    /// The timeline of the store, by another clock than [the store's](crate::Store::clock) if there is one.
    ///
    /// # Errors
    ///
    /// Those of the database, and of the clock.
    pub fn open(access: &impl Access, clock: Option<Arc<dyn Clock>>) -> Result<Self> {
        let store = clock.is_none().then(|| access.store().clone());
        let clock = clock.map_or_else(|| access.store().clock(), Ok)?;
        let find = |db: &Db<'_>| db.query_one(FIND, &[], Mark::of);
        let reading = clock.read();
        let goes_on = |mark: &Mark| mark.boot == reading.boot.cast_signed();
        let mark = match access.read_one(find)?.filter(goes_on) {
            Some(mark) => mark,
            // After a restart, or at the very first time; who may not write goes by what he would have written.
            None if access.store().is_read_only() => Mark::after(access.read_one(find)?, &reading),
            None => access.write(|db| match find(db)? {
                Some(mark) if goes_on(&mark) => Ok(mark),
                mark => Mark::after(mark, &reading).save(db),
            })?,
        };
        Ok(Timeline { clock, mark, store })
    }

    /// The timeline of the store within an operation, which writes nothing down.
    ///
    /// # Errors
    ///
    /// Those of the database, and of the clock.
    pub fn within(db: &Db<'_>) -> Result<Self> {
        let clock = db.store().clock()?;
        let mark = Mark::after(db.query_one(FIND, &[], Mark::of)?, &clock.read());
        Ok(Timeline {
            clock,
            mark,
            store: None,
        })
    }

    /// The time, in microseconds.
    pub fn now(&self) -> i64 {
        let (mark, clock) = self.here();
        let (boot, uptime) = clock.uptime();
        match boot == mark.boot.cast_unsigned() {
            true => mark.time_of(uptime),
            false => mark.time_at(&clock.read()),
        }
    }

    /// What the time will be, or was, at a time of day.
    pub fn at(&self, wall: SystemTime) -> i64 {
        let wall = match wall.duration_since(UNIX_EPOCH) {
            Ok(since) => micros(since),
            Err(before) => -micros(before.duration()),
        };
        let (mark, reading) = self.read();
        let ahead = wall.saturating_sub(micros(reading.wall));
        mark.time_at(&reading).saturating_add(ahead)
    }

    /// The time of day at a time, as far as can be told now.
    pub fn wall(&self, time: i64) -> SystemTime {
        let (mark, reading) = self.read();
        let since = time.saturating_sub(mark.time_at(&reading));
        let wall = micros(reading.wall).saturating_add(since);
        let by = Duration::from_micros(wall.unsigned_abs());
        let at = match wall < 0 {
            true => UNIX_EPOCH.checked_sub(by),
            false => UNIX_EPOCH.checked_add(by),
        };
        at.unwrap_or(UNIX_EPOCH)
    }

    /// Writes the time down now and then, and when the time of day was set, so that after a restart it goes on from not long
    /// before.
    ///
    /// # Errors
    ///
    /// Those of the database.
    pub fn keep(&self, db: &Db<'_>) -> Result<()> {
        let (mark, reading) = self.read();
        if mark.boot == SERVER.cast_signed() {
            return Ok(());
        }
        let mark = Mark::after(Some(mark), &reading);
        let old = match db.query_one(FIND, &[], Mark::of)? {
            Some(found) => {
                let (gone, by_wall) = (mark.time - found.time, mark.wall - found.wall);
                gone > OLD || by_wall.abs_diff(gone) > STEP
            }
            None => true,
        };
        if old {
            mark.save(db)?;
        }
        Ok(())
    }

    fn read(&self) -> (Mark, Reading) {
        let (mark, clock) = self.here();
        (mark, clock.read())
    }

    /// Where the store is by now.
    fn here(&self) -> (Mark, &dyn Clock) {
        let next = self.store.as_ref().and_then(Store::next);
        let here = next.map_or(self, |next| &next.timeline);
        (here.mark, &*here.clock)
    }
}

impl Mark {
    /// A mark at this reading, after an earlier one.
    fn after(earlier: Option<Mark>, reading: &Reading) -> Self {
        Mark {
            boot: reading.boot.cast_signed(),
            uptime: micros(reading.uptime),
            wall: micros(reading.wall),
            time: earlier.map_or(micros(reading.wall), |mark| mark.time_at(reading)),
        }
    }

    fn time_at(&self, reading: &Reading) -> i64 {
        if self.boot == reading.boot.cast_signed() {
            return self.time_of(reading.uptime);
        }
        let gone = micros(reading.wall).saturating_sub(self.wall);
        self.time.saturating_add(gone.max(0))
    }

    /// In the same run of the system.
    fn time_of(&self, uptime: Duration) -> i64 {
        let gone = micros(uptime).saturating_sub(self.uptime);
        self.time.saturating_add(gone.max(0))
    }

    fn of(row: &Row<'_>) -> Result<Self> {
        Ok(Mark {
            boot: row.int(0)?,
            uptime: row.int(1)?,
            wall: row.int(2)?,
            time: row.int(3)?,
        })
    }

    fn save(self, db: &Db<'_>) -> Result<Self> {
        let row = [self.boot, self.uptime, self.wall, self.time].map(Into::into);
        db.run(SET, &row)?;
        Ok(self)
    }
}

/// What is longer than 292,000 years is that long.
fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use diskette_ipc::ManualClock;

    use super::*;

    #[test]
    fn a_step_of_the_time_of_day_and_a_restart_leave_the_time_as_it_was()
    -> Result<(), Box<dyn std::error::Error>> {
        let directory = tempfile::tempdir()?;
        let store = Store::open(directory.path())?;
        let clock = ManualClock::new();
        let open = || Timeline::open(&store, Some(Arc::new(clock.clone())));
        let timeline = open()?;
        let start = timeline.now();

        clock.step_wall(-3600);
        clock.advance(Duration::from_secs(1));
        assert_eq!(timeline.now(), start + 1_000_000);
        assert_eq!(open()?.now(), start + 1_000_000);
        assert_eq!(timeline.at(timeline.wall(start)), start);

        store.write(|db| timeline.keep(db))?;
        clock.step_wall(7200);
        clock.advance(Duration::from_secs(100));
        store.write(|db| timeline.keep(db))?;
        clock.reboot();
        clock.advance(Duration::from_secs(5));
        assert_eq!(open()?.now(), start + 106_000_000);
        clock.reboot();
        clock.step_wall(-1_000_000);
        assert!(open()?.now() >= start + 106_000_000, "it never goes back");
        Ok(())
    }
}
