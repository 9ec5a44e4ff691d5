//! How items keep their order in the database: taking from it, and the gaps that this leaves.
//!
//! All of it is for within a transaction, and none of it knows the items' type.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use diskette_store::{Db, Error, ErrorKind, Result, Row, Stored, Structure};

use crate::positions::{End, Run, closing};
use crate::sql::Sql;

/// What all handles of an opened deque share.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) structure: Arc<Structure>,
    pub(crate) sql: Sql,
    /// Was there a bound when it was last looked at? Spares the statement that only works without.
    pub(crate) bounded: AtomicBool,
}

/// Holes that are left alone. More cost more in `len` and `get`, fewer in taking from the middle.
const HOLES: i64 = 64;

/// Further than any position: where rows wait while others still have their new places.
const FAR: i64 = 1 << 61;

impl Inner {
    /// Takes the item at an end, as `read` reads it.
    pub(crate) fn take<R>(
        &self,
        db: &Db<'_>,
        end: End,
        read: impl FnOnce(&Row<'_>) -> Result<R>,
    ) -> Result<Option<R>> {
        let found = db.query_one(self.sql.end(end), &[], |row| {
            Ok((row.int(0)?, row.opt_int(1)?, row.opt_int(3)?, read(row)?))
        })?;
        let Some((pos, file, gap, item)) = found else {
            return Ok(None);
        };
        db.execute(&self.sql.delete, &[pos.into()])?;
        db.store().forget_value(db, file)?;
        let outer = gap.is_some_and(|gap| match end {
            End::Front => gap < pos,
            End::Back => gap > pos,
        });
        if outer {
            self.vacate(db, pos)?;
        }
        db.ring(self.structure.departures());
        Ok(Some(item))
    }

    /// Takes the item at a position, which has one.
    pub(crate) fn take_at(&self, db: &Db<'_>, pos: i64, file: Option<i64>) -> Result<()> {
        db.execute(&self.sql.delete, &[pos.into()])?;
        db.store().forget_value(db, file)?;
        self.vacate(db, pos)?;
        db.ring(self.structure.departures());
        Ok(())
    }

    /// Takes all items of a run of positions. Claims in it stay.
    pub(crate) fn take_run(&self, db: &Db<'_>, run: Run) -> Result<()> {
        let bounds = [run.first.into(), run.last.into()];
        for file in db.query(&self.sql.files, &bounds, |row| row.opt_int(0))? {
            db.store().forget_value(db, file)?;
        }
        db.execute(&self.sql.delete_run, &bounds)?;
        self.vacate_run(db, run)?;
        db.ring(self.structure.departures());
        Ok(())
    }

    /// Writes values to an end, in the order in which they come.
    pub(crate) fn put(
        &self,
        db: &Db<'_>,
        end: End,
        values: impl Iterator<Item = Stored>,
    ) -> Result<()> {
        let mut pos = self.edge(db, end)?;
        for value in values {
            pos = end.after(pos);
            self.put_at(db, pos, value)?;
        }
        db.ring(self.structure.arrivals());
        Ok(())
    }

    pub(crate) fn put_at(&self, db: &Db<'_>, pos: i64, value: Stored) -> Result<()> {
        db.execute(&self.sql.put, &[pos.into(), value.file(), value.value()])?;
        value.link(db)
    }

    pub(crate) fn len(&self, db: &Db<'_>) -> Result<usize> {
        self.count(db, &self.sql.len)
    }

    pub(crate) fn claimed(&self, db: &Db<'_>) -> Result<usize> {
        self.count(db, &self.sql.claimed)
    }

    /// The position of the item with this index.
    pub(crate) fn locate(&self, db: &Db<'_>, index: usize) -> Result<Option<i64>> {
        match as_offset(index) {
            Some(index) => db.query_one(&self.sql.locate, &[index.into()], |row| row.int(0)),
            None => Ok(None),
        }
    }

    /// The positions from the first item to the last.
    pub(crate) fn items(&self, db: &Db<'_>) -> Result<Option<Run>> {
        run(db, &self.sql.items)
    }

    /// All positions, gaps and all.
    pub(crate) fn all(&self, db: &Db<'_>) -> Result<Option<Run>> {
        run(db, &self.sql.all)
    }

    /// The last position at an end, gaps and all.
    pub(crate) fn edge(&self, db: &Db<'_>, end: End) -> Result<i64> {
        Ok(self.all(db)?.map_or(0, |all| match end {
            End::Front => all.first,
            End::Back => all.last,
        }))
    }

    /// Closes the order over a position whose row is gone, or leaves a hole there.
    pub(crate) fn vacate(&self, db: &Db<'_>, pos: i64) -> Result<()> {
        let (occupied, mut holes) = self.occupied(db)?;
        if occupied.is_some_and(|occupied| occupied.surrounds(pos)) {
            db.execute(&self.sql.hole, &[pos.into()])?;
            holes += 1;
        }
        self.tidy(db, occupied, holes)
    }

    /// Closes the order over the items of a run, which are gone.
    pub(crate) fn vacate_run(&self, db: &Db<'_>, run: Run) -> Result<()> {
        let bounds = [run.first.into(), run.last.into()];
        let gaps = db.query(&self.sql.gaps_in, &bounds, |row| row.int(0))?;
        if let Some(all) = self.all(db)? {
            for step in closing(all, &run.without(&gaps)) {
                self.shift(db, step.run, step.by)?;
            }
        }
        self.close_holes(db)
    }

    /// Makes a position free that is next before `pos`, where an item is, by moving the shorter side.
    pub(crate) fn make_place(&self, db: &Db<'_>, pos: i64) -> Result<i64> {
        let Some(Run { first, last }) = self.all(db)? else {
            return Ok(pos);
        };
        if pos - first <= last - pos {
            let before = Run {
                first,
                last: pos - 1,
            };
            self.shift(db, before, -1)?;
            Ok(pos - 1)
        } else {
            self.shift(db, Run { first: pos, last }, 1)?;
            Ok(pos)
        }
    }

    /// Takes many items from anywhere: to be followed by [`close_holes`](Self::close_holes).
    pub(crate) fn leave_hole(&self, db: &Db<'_>, pos: i64, file: Option<i64>) -> Result<()> {
        db.execute(&self.sql.delete, &[pos.into()])?;
        db.store().forget_value(db, file)?;
        db.execute(&self.sql.hole, &[pos.into()])?;
        Ok(())
    }

    /// Closes the holes if there are more than a few.
    pub(crate) fn close_holes(&self, db: &Db<'_>) -> Result<()> {
        let (occupied, holes) = self.occupied(db)?;
        self.tidy(db, occupied, holes)
    }

    /// Moves all that is in a run of positions, items and gaps.
    pub(crate) fn shift(&self, db: &Db<'_>, run: Run, by: i64) -> Result<()> {
        if run.len() <= 0 {
            return Ok(());
        }
        if by.abs() >= run.len() {
            return self.renumber(db, run, by);
        }
        // No row may land, not even for a moment, where another still is.
        let far = Run {
            first: run.first + FAR,
            last: run.last + FAR,
        };
        self.renumber(db, run, FAR)?;
        self.renumber(db, far, by - FAR)
    }

    fn renumber(&self, db: &Db<'_>, run: Run, by: i64) -> Result<()> {
        let params = [by.into(), run.first.into(), run.last.into()];
        db.execute(&self.sql.shift_items, &params)?;
        db.execute(&self.sql.shift_gaps, &params)?;
        Ok(())
    }

    fn tidy(&self, db: &Db<'_>, occupied: Option<Run>, holes: i64) -> Result<()> {
        match occupied {
            _ if holes == 0 => {}
            None => {
                db.execute(&self.sql.fill_holes, &[])?;
            }
            Some(occupied) if holes <= HOLES => {
                let bounds = [occupied.first.into(), occupied.last.into()];
                db.execute(&self.sql.fill_outer_holes, &bounds)?;
            }
            Some(occupied) => {
                let holes = db.query(&self.sql.holes, &[], |row| row.int(0).map(Run::one))?;
                db.execute(&self.sql.fill_holes, &[])?;
                for step in closing(occupied, &holes) {
                    self.shift(db, step.run, step.by)?;
                }
            }
        }
        Ok(())
    }

    /// The positions that are not holes, from the first to the last, and the number of holes.
    fn occupied(&self, db: &Db<'_>) -> Result<(Option<Run>, i64)> {
        let found = db.query_one(&self.sql.occupied, &[], |row| {
            Ok((ends(row.opt_int(0)?, row.opt_int(1)?), row.int(2)?))
        })?;
        Ok(found.unwrap_or((None, 0)))
    }

    fn count(&self, db: &Db<'_>, sql: &str) -> Result<usize> {
        let count = db.query_one(sql, &[], |row| row.int(0))?.unwrap_or(0);
        usize::try_from(count).map_err(|_| out_of_order(count))
    }
}

/// An index or a length as SQL has it; `None` if no deque is as long.
pub(crate) fn as_offset(index: usize) -> Option<i64> {
    i64::try_from(index).ok().filter(|index| *index < FAR)
}

fn run(db: &Db<'_>, sql: &str) -> Result<Option<Run>> {
    let found = db.query_one(sql, &[], |row| Ok(ends(row.opt_int(0)?, row.opt_int(1)?)))?;
    Ok(found.flatten())
}

fn ends(first: Option<i64>, last: Option<i64>) -> Option<Run> {
    Some(Run {
        first: first?,
        last: last?,
    })
}

fn out_of_order(count: i64) -> Error {
    Error::new(
        ErrorKind::Corrupt,
        format!("the positions of its items can't be: they make {count}; restore a backup"),
    )
}
