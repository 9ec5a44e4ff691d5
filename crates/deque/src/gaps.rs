//! How the order is kept whole: leaving gaps, closing them, making room for a row between others.

use diskette_store::{Db, Result, Share};

use crate::order::{Inner, ends};
use crate::positions::{Run, closing};
use crate::sql;

/// Holes that are left alone. More cost more in `len` and `get`, fewer in taking from the middle.
const HOLES: i64 = 64;

impl Inner {
    /// Closes the order over a position whose row is gone, or leaves a hole there.
    pub(crate) fn vacate(&self, db: &Db<'_>, pos: i64) -> Result<()> {
        let (occupied, mut holes) = self.occupied(db)?;
        if occupied.is_some_and(|occupied| occupied.surrounds(pos)) {
            db.run(sql::HOLE, &[pos.into()])?;
            holes += 1;
        }
        self.tidy(db, occupied, holes)
    }

    /// Closes the order over the items of a run, which are gone.
    pub(crate) fn vacate_run(&self, db: &Db<'_>, run: Run) -> Result<()> {
        let gaps = self.gaps_in(db, run)?;
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
        db.run(sql::DELETE, &[pos.into()])?;
        db.store().forget_value(db, file)?;
        db.run(sql::HOLE, &[pos.into()])?;
        Ok(())
    }

    /// Closes the holes if there are more than a few.
    pub(crate) fn close_holes(&self, db: &Db<'_>) -> Result<()> {
        let (occupied, holes) = self.occupied(db)?;
        self.tidy(db, occupied, holes)
    }

    /// Moves everything back to the middle of the share, once an end comes near to that of the share: after tens of billions
    /// of items that came in at one end and left at the other. `pos` is where one leaves.
    pub(crate) fn stay_in_the_middle(&self, db: &Db<'_>, pos: i64) -> Result<()> {
        if self.share().has_room_around(pos) {
            return Ok(());
        }
        match self.all(db)? {
            Some(all) => self.shift(db, all, self.share().middle() - all.first),
            None => Ok(()),
        }
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
        let aside = Run {
            first: run.first + Share::ASIDE,
            last: run.last + Share::ASIDE,
        };
        self.renumber(db, run, Share::ASIDE)?;
        self.renumber(db, aside, by - Share::ASIDE)
    }

    fn renumber(&self, db: &Db<'_>, run: Run, by: i64) -> Result<()> {
        let params = [by.into(), run.first.into(), run.last.into()];
        db.run(sql::SHIFT_ITEMS, &params)?;
        db.run(sql::SHIFT_GAPS, &params)?;
        Ok(())
    }

    pub(crate) fn gaps_in(&self, db: &Db<'_>, run: Run) -> Result<Vec<i64>> {
        let bounds = [run.first.into(), run.last.into()];
        db.query(sql::GAPS_IN, &bounds, |row| row.int(0))
    }

    fn tidy(&self, db: &Db<'_>, occupied: Option<Run>, holes: i64) -> Result<()> {
        match occupied {
            _ if holes == 0 => {}
            None => {
                db.run(sql::FILL_HOLES, &self.rows())?;
            }
            Some(occupied) if holes <= HOLES => {
                let [first, end] = self.rows();
                let bounds = [first, end, occupied.first.into(), occupied.last.into()];
                db.run(sql::FILL_OUTER_HOLES, &bounds)?;
            }
            Some(occupied) => {
                let holes = db.query(sql::HOLES, &self.rows(), |row| row.int(0).map(Run::one))?;
                db.run(sql::FILL_HOLES, &self.rows())?;
                for step in closing(occupied, &holes) {
                    self.shift(db, step.run, step.by)?;
                }
            }
        }
        Ok(())
    }

    /// The positions that are not holes, from the first to the last, and the number of holes.
    fn occupied(&self, db: &Db<'_>) -> Result<(Option<Run>, i64)> {
        let found = db.query_one(sql::OCCUPIED, &self.rows(), |row| {
            Ok((ends(row)?, row.int(2)?))
        })?;
        Ok(found.unwrap_or((None, 0)))
    }
}
