//! Taking, putting and finding rows: for within a transaction, and for items of any type.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};

use diskette_store::{Db, Error, ErrorKind, Result, Row, Share, Stored, Structure, Value};

use crate::positions::{End, Run};
use crate::sql;

/// What all handles of an opened deque share.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) structure: Arc<Structure>,
    /// Was there a bound when it was last looked at? Spares the statement that only works without.
    pub(crate) bounded: AtomicBool,
    /// There was none when [`changes`](Structure::changes) was this.
    pub(crate) unbounded_at: AtomicU64,
}

impl Inner {
    pub(crate) fn share(&self) -> Share {
        self.structure.share()
    }

    /// The first of its positions and the one after the last, as statements want them.
    pub(crate) fn rows(&self) -> [Value<'static>; 2] {
        self.share().bounds()
    }

    /// Takes the item at an end, if there is one, as `read` reads it, by one statement that writes; `None` if that takes more than one,
    /// or if `read` says so: see [`take`](Self::take).
    pub(crate) fn take_plain<R>(
        &self,
        db: &Db<'_>,
        end: End,
        read: impl FnOnce(&Row<'_>) -> Result<Option<R>>,
    ) -> Result<Option<Option<R>>> {
        let found = db.query_one(sql::item_at(end), &self.rows(), |row| {
            let (pos, file, gap) = (row.int(0)?, row.opt_int(1)?, row.opt_int(3)?);
            let is_plain = file.is_none()
                && !gap.is_some_and(|gap| end.is_outer(gap, pos))
                && self.share().has_room_around(pos);
            Ok((pos, is_plain.then(|| read(row)).transpose()?.flatten()))
        })?;
        match found {
            None => Ok(Some(None)),
            Some((_, None)) => Ok(None),
            Some((pos, item)) => {
                db.run(sql::DELETE, &[pos.into()])?;
                db.ring(self.structure.departures());
                Ok(Some(item))
            }
        }
    }

    /// Takes the item at an end, if there is one, as `read` reads it; if that says `None`, it stays, and this says so too.
    pub(crate) fn take<R>(
        &self,
        db: &Db<'_>,
        end: End,
        read: impl FnOnce(&Row<'_>) -> Result<Option<R>>,
    ) -> Result<Option<Option<R>>> {
        let found = db.query_one(sql::item_at(end), &self.rows(), |row| {
            Ok((row.int(0)?, row.opt_int(1)?, row.opt_int(3)?, read(row)?))
        })?;
        let Some((pos, file, gap, item)) = found else {
            return Ok(Some(None));
        };
        if item.is_none() {
            return Ok(None);
        }
        db.run(sql::DELETE, &[pos.into()])?;
        db.store().forget_value(db, file)?;
        if gap.is_some_and(|gap| end.is_outer(gap, pos)) {
            self.vacate(db, pos)?;
        }
        self.stay_in_the_middle(db, pos)?;
        db.ring(self.structure.departures());
        Ok(Some(item))
    }

    /// Takes the item at a position, which has one.
    pub(crate) fn take_at(&self, db: &Db<'_>, pos: i64, file: Option<i64>) -> Result<()> {
        db.run(sql::DELETE, &[pos.into()])?;
        db.store().forget_value(db, file)?;
        self.vacate(db, pos)?;
        db.ring(self.structure.departures());
        Ok(())
    }

    /// Takes all items of a run of positions. Claims in it stay.
    pub(crate) fn take_run(&self, db: &Db<'_>, run: Run) -> Result<()> {
        self.forget_files(db, run)?;
        db.run(sql::DELETE_RUN, &[run.first.into(), run.last.into()])?;
        self.vacate_run(db, run)?;
        self.stay_in_the_middle(db, run.last)?;
        db.ring(self.structure.departures());
        Ok(())
    }

    /// Takes all items. Claims stay.
    pub(crate) fn take_all(&self, db: &Db<'_>) -> Result<()> {
        let Some(items) = self.items(db)? else {
            return Ok(());
        };
        self.take_run(db, items)
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
        db.run(sql::PUT, &[pos.into(), value.file(), value.value()])?;
        value.link(db)
    }

    pub(crate) fn len(&self, db: &Db<'_>) -> Result<usize> {
        self.count(db, sql::LEN)
    }

    pub(crate) fn claimed(&self, db: &Db<'_>) -> Result<usize> {
        self.count(db, sql::CLAIMED)
    }

    /// The position of the item with this index, and what `read` reads of it.
    pub(crate) fn locate<R>(
        &self,
        db: &Db<'_>,
        index: usize,
        mut read: impl FnMut(&Row<'_>) -> Result<R>,
    ) -> Result<Option<(i64, R)>> {
        match self.locate_directly(db, End::Front, index, &mut read)? {
            None => self.locate_around_gaps(db, End::Front, index, read),
            found => Ok(found),
        }
    }

    /// [`locate`](Self::locate), from either end, in one statement; but `None` also if a gap is in the
    /// way.
    pub(crate) fn locate_directly<R>(
        &self,
        db: &Db<'_>,
        end: End,
        index: usize,
        read: impl FnOnce(&Row<'_>) -> Result<R>,
    ) -> Result<Option<(i64, R)>> {
        let Some(offset) = as_offset(index) else {
            return Ok(None);
        };
        let [first, end_of_rows] = self.rows();
        let params = [first, end_of_rows, offset.into()];
        db.query_one(sql::nth_from(end), &params, |row| {
            Ok((row.int(0)?, read(row)?))
        })
    }

    pub(crate) fn locate_around_gaps<R>(
        &self,
        db: &Db<'_>,
        end: End,
        index: usize,
        read: impl FnOnce(&Row<'_>) -> Result<R>,
    ) -> Result<Option<(i64, R)>> {
        let (Some(items), Some(offset)) = (self.items(db)?, as_offset(index)) else {
            return Ok(None);
        };
        match items.nth(end, offset, &self.gaps_in(db, items)?) {
            Some(pos) => db.query_one(sql::AT, &[pos.into()], |row| Ok((pos, read(row)?))),
            None => Ok(None),
        }
    }

    /// The positions from the first item to the last.
    pub(crate) fn items(&self, db: &Db<'_>) -> Result<Option<Run>> {
        self.run(db, sql::ITEMS)
    }

    /// All positions, gaps and all.
    pub(crate) fn all(&self, db: &Db<'_>) -> Result<Option<Run>> {
        self.run(db, sql::ALL)
    }

    /// The last position at an end, gaps and all.
    pub(crate) fn edge(&self, db: &Db<'_>, end: End) -> Result<i64> {
        let middle = self.share().middle();
        Ok(self.all(db)?.map_or(middle, |all| match end {
            End::Front => all.first,
            End::Back => all.last,
        }))
    }

    fn forget_files(&self, db: &Db<'_>, run: Run) -> Result<()> {
        let bounds = [run.first.into(), run.last.into()];
        for file in db.query(sql::FILES, &bounds, |row| row.opt_int(0))? {
            db.store().forget_value(db, file)?;
        }
        Ok(())
    }

    fn count(&self, db: &Db<'_>, sql: &str) -> Result<usize> {
        let count = db
            .query_one(sql, &self.rows(), |row| row.int(0))?
            .unwrap_or(0);
        usize::try_from(count).map_err(|_| unsound())
    }

    fn run(&self, db: &Db<'_>, sql: &str) -> Result<Option<Run>> {
        let found = db.query_one(sql, &self.rows(), ends);
        found.map(Option::flatten)
    }
}

/// An index or a length as SQL has it; `None` if no deque is as long.
pub(crate) fn as_offset(index: usize) -> Option<i64> {
    const MOST: i64 = 1 << 39;
    i64::try_from(index).ok().filter(|index| *index < MOST)
}

/// The run of a row of first, last.
pub(crate) fn ends(row: &Row<'_>) -> Result<Option<Run>> {
    Ok(match (row.opt_int(0)?, row.opt_int(1)?) {
        (Some(first), Some(last)) => Some(Run { first, last }),
        _ => None,
    })
}

fn unsound() -> Error {
    Error::new(
        ErrorKind::Corrupt,
        "the positions of its items are damaged: Store::check says where, a backup is the way out",
    )
}
