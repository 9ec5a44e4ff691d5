//! All of it: searching, sorting out, emptying.

use std::ops::ControlFlow;

use diskette_store::{Access, Codec, Db, Like, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::deque::Deque;
use crate::iter::PAGE;
use crate::positions::Run;
use crate::sql;

impl<T, C, A> Deque<T, C, A>
where
    T: Serialize + DeserializeOwned,
    C: Codec,
    A: Access,
{
    /// All items, in one consistent state.
    ///
    /// # Errors
    ///
    /// [`is_codec`](diskette_store::Error::is_codec) when an item can't be decoded.
    pub fn to_vec(&self) -> Result<Vec<T>> {
        let all = self.inside().read(|db| {
            let mut items = Vec::new();
            self.walk(db, |_, _, item| {
                items.push(item);
                ControlFlow::Continue(())
            })?;
            Ok(items)
        });
        self.doing("to_vec", all)
    }

    /// Is there an item equal to this one?
    ///
    /// # Errors
    ///
    /// [`is_codec`](diskette_store::Error::is_codec) when an item can't be decoded.
    ///
    /// # Cost
    ///
    /// Decodes the items up to it, one at a time, in one consistent state.
    pub fn contains<Q>(&self, item: &Q) -> Result<bool>
    where
        Q: Like<T> + ?Sized,
        T: PartialEq<Q>,
    {
        let found = self.inside().read(|db| self.look_for(db, item));
        self.doing("contains", found).map(|found| found.is_some())
    }

    /// The index of the first item that is equal to this one.
    ///
    /// # Errors
    ///
    /// Those of [`contains`](Self::contains), whose cost it has, too.
    pub fn position<Q>(&self, item: &Q) -> Result<Option<usize>>
    where
        Q: Like<T> + ?Sized,
        T: PartialEq<Q>,
    {
        let found = self.inside().read(|db| self.look_for(db, item));
        let index = found.map(|found| found.map(|found| found.index));
        self.doing("position", index)
    }

    /// The number of items that are equal to this one.
    ///
    /// # Errors
    ///
    /// Those of [`contains`](Self::contains), whose cost it has, too.
    pub fn count<Q>(&self, item: &Q) -> Result<usize>
    where
        Q: Like<T> + ?Sized,
        T: PartialEq<Q>,
    {
        let count = self.inside().read(|db| {
            let mut count = 0;
            self.walk(db, |_, _, found| {
                count += usize::from(found == *item);
                ControlFlow::Continue(())
            })?;
            Ok(count)
        });
        self.doing("count", count)
    }

    /// Takes the first item that is equal to this one; says whether there was one.
    ///
    /// # Errors
    ///
    /// Those of [`contains`](Self::contains), whose cost it has, too, in a write transaction.
    pub fn remove_value<Q>(&self, item: &Q) -> Result<bool>
    where
        Q: Like<T> + ?Sized,
        T: PartialEq<Q>,
    {
        let removed = self.inside().free(|db| match self.look_for(db, item)? {
            Some(found) => self.inner.take_at(db, found.pos, found.file).map(|()| true),
            None => Ok(false),
        });
        self.doing("remove_value", removed)
    }

    /// Keeps the items for which `keep` says so, and removes the others.
    ///
    /// # Errors
    ///
    /// [`is_codec`](diskette_store::Error::is_codec) when an item can't be decoded: then all stay.
    ///
    /// # Cost
    ///
    /// One write transaction, in which `keep` runs, and others wait; decodes all items, one at a time.
    pub fn retain(&self, mut keep: impl FnMut(&T) -> bool) -> Result<()> {
        let retained = self.inside().free(|db| {
            let mut after = Some(self.inner.share().rows().start - 1);
            while let Some(start) = after {
                let mut gone = Vec::new();
                let (last, _) = self.page(db, start, |pos, file, item| {
                    if !keep(&item) {
                        gone.push((pos, file));
                    }
                    ControlFlow::Continue(())
                })?;
                for (pos, file) in gone {
                    self.inner.leave_hole(db, pos, file)?;
                }
                after = last;
            }
            self.inner.close_holes(db)?;
            db.ring(self.inner.structure.departures());
            Ok(())
        });
        self.doing("retain", retained)
    }

    /// Keeps so many of the first items, and removes the others.
    ///
    /// # Errors
    ///
    /// Those of the database.
    pub fn truncate(&self, len: usize) -> Result<()> {
        let truncated = self.inside().free(|db| {
            let first = self.inner.locate(db, len, |_| Ok(()))?;
            match (first, self.inner.items(db)?) {
                (Some((first, ())), Some(Run { last, .. })) => {
                    self.inner.take_run(db, Run { first, last })
                }
                _ => Ok(()),
            }
        });
        self.doing("truncate", truncated)
    }

    /// Removes all items. Claimed ones are in other hands, and stay there.
    ///
    /// # Errors
    ///
    /// Those of the database.
    pub fn clear(&self) -> Result<()> {
        let cleared = self.inside().free(|db| self.inner.take_all(db));
        self.doing("clear", cleared)
    }

    fn look_for<Q>(&self, db: &Db<'_>, wanted: &Q) -> Result<Option<Found>>
    where
        Q: ?Sized,
        T: PartialEq<Q>,
    {
        let mut index = 0;
        let mut first = None;
        self.walk(db, |pos, file, item| {
            if item == *wanted {
                first = Some(Found { index, pos, file });
                return ControlFlow::Break(());
            }
            index += 1;
            ControlFlow::Continue(())
        })?;
        Ok(first)
    }

    /// Shows the items, with their positions and files, in order.
    fn walk(
        &self,
        db: &Db<'_>,
        mut look: impl FnMut(i64, Option<i64>, T) -> ControlFlow<()>,
    ) -> Result<()> {
        let mut after = Some(self.inner.share().rows().start - 1);
        while let Some(start) = after {
            match self.page(db, start, &mut look)? {
                (last, ControlFlow::Continue(())) => after = last,
                (_, ControlFlow::Break(())) => break,
            }
        }
        Ok(())
    }

    /// Shows the next items behind `after`; gives the position to go on from.
    fn page(
        &self,
        db: &Db<'_>,
        after: i64,
        mut look: impl FnMut(i64, Option<i64>, T) -> ControlFlow<()>,
    ) -> Result<(Option<i64>, ControlFlow<()>)> {
        let end = self.inner.share().rows().end;
        let bounds = [after.into(), end.into(), PAGE.into()];
        let (mut last, mut flow) = (None, ControlFlow::Continue(()));
        db.query_each(sql::PAGE_UP, &bounds, |row| {
            let pos = row.int(0)?;
            flow = look(pos, row.opt_int(1)?, self.decode(row)?);
            last = Some(pos);
            Ok(flow)
        })?;
        Ok((last, flow))
    }
}

struct Found {
    index: usize,
    pos: i64,
    file: Option<i64>,
}
