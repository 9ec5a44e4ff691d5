//! Taking, putting and finding rows: for within a transaction, and for items of any type.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use diskette_store::{Db, Error, ErrorKind, Result, Row, Stored, Structure};

use crate::positions::{End, Run};
use crate::sql::Sql;

/// What all handles of an opened deque share.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) structure: Arc<Structure>,
    pub(crate) sql: Sql,
    /// Was there a bound when it was last looked at? Spares the statement that only works without.
    pub(crate) bounded: AtomicBool,
}

/// Further than any position.
pub(crate) const FAR: i64 = 1 << 61;

impl Inner {
    /// Takes the item at an end, as `read` reads it; if that says `None`, it stays.
    pub(crate) fn take<R>(
        &self,
        db: &Db<'_>,
        end: End,
        read: impl FnOnce(&Row<'_>) -> Result<Option<R>>,
    ) -> Result<Option<R>> {
        let found = db.query_one(self.sql.end(end), &[], |row| {
            Ok((row.int(0)?, row.opt_int(1)?, row.opt_int(3)?, read(row)?))
        })?;
        let Some((pos, file, gap, Some(item))) = found else {
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
        let run = sound(run)?;
        self.forget_files(db, run)?;
        db.execute(&self.sql.delete_run, &[run.first.into(), run.last.into()])?;
        self.vacate_run(db, run)?;
        db.ring(self.structure.departures());
        Ok(())
    }

    /// Takes all items. Claims stay.
    pub(crate) fn take_all(&self, db: &Db<'_>) -> Result<()> {
        let Some(items) = self.items(db)? else {
            return Ok(());
        };
        self.forget_files(db, items)?;
        db.execute(&self.sql.delete_all, &[])?;
        self.vacate_run(db, items)?;
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
        db.query_one(self.sql.nth_from(end), &[offset.into()], |row| {
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
            Some(pos) => db.query_one(&self.sql.at, &[pos.into()], |row| Ok((pos, read(row)?))),
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

    fn forget_files(&self, db: &Db<'_>, run: Run) -> Result<()> {
        let bounds = [run.first.into(), run.last.into()];
        for file in db.query(&self.sql.files, &bounds, |row| row.opt_int(0))? {
            db.store().forget_value(db, file)?;
        }
        Ok(())
    }

    fn count(&self, db: &Db<'_>, sql: &str) -> Result<usize> {
        let count = db.query_one(sql, &[], |row| row.int(0))?.unwrap_or(0);
        usize::try_from(count).map_err(|_| unsound())
    }
}

/// An index or a length as SQL has it; `None` if no deque is as long.
pub(crate) fn as_offset(index: usize) -> Option<i64> {
    i64::try_from(index).ok().filter(|index| *index < FAR)
}

fn run(db: &Db<'_>, sql: &str) -> Result<Option<Run>> {
    db.query_one(sql, &[], ends).map(Option::flatten)
}

/// The run of a row of first, last.
pub(crate) fn ends(row: &Row<'_>) -> Result<Option<Run>> {
    match (row.opt_int(0)?, row.opt_int(1)?) {
        (Some(first), Some(last)) => sound(Run { first, last }).map(Some),
        _ => Ok(None),
    }
}

/// A run whose positions can be reckoned with, which any are that were not damaged.
fn sound(run: Run) -> Result<Run> {
    let near = -FAR / 2..FAR / 2;
    if near.contains(&run.first) && near.contains(&run.last) {
        Ok(run)
    } else {
        Err(unsound())
    }
}

fn unsound() -> Error {
    Error::new(
        ErrorKind::Corrupt,
        "the positions of its items are damaged: Store::check says where, a backup is the way out",
    )
}
