//! Moving items about, within the database.

use diskette_store::{Access, Codec, Db, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bound::{Room, full};
use crate::deque::Deque;
use crate::positions::{End, Run};
use crate::sql;

impl<T, C, A> Deque<T, C, A>
where
    T: Serialize + DeserializeOwned,
    C: Codec,
    A: Access,
{
    /// Moves all items of another deque of the same store behind the last. Claimed ones stay there.
    ///
    /// # Errors
    ///
    /// [`is_misuse`](diskette_store::Error::is_misuse) for a deque of another store: `extend` by its items instead;
    /// [`is_full`](diskette_store::Error::is_full) if not all of them have room, unless others are dropped.
    ///
    /// # Cost
    ///
    /// One transaction, within the database: nothing is decoded.
    pub fn append<B: Access>(&self, other: &Deque<T, C, B>) -> Result<()> {
        let append = || {
            // Items can't move between stores.
            other.inner.structure.must_be_in(self.store())?;
            let (inner, other) = (&*self.inner, &*other.inner);
            if inner.structure.id() == other.structure.id() {
                return Ok(());
            }
            self.inside().write(|db| {
                other.structure.enter(db)?;
                let len = other.len(db)?;
                if len == 0 {
                    return Ok(());
                }
                match inner.make_room(db, End::Back, len)? {
                    Room::Full(bound) => return Err(full(bound)),
                    Room::For { skip } => {
                        for _ in 0..skip {
                            other.take(db, End::Front, |_| Ok(Some(())))?;
                        }
                    }
                }
                let Some(moving) = other.items(db)? else {
                    return Ok(());
                };
                let behind = inner.edge(db, End::Back)?;
                let (first, last) = (moving.first.into(), moving.last.into());
                db.run(sql::APPEND, &[behind.into(), first, last])?;
                db.run(sql::DELETE_RUN, &[first, last])?;
                other.vacate_run(db, moving)?;
                db.ring(inner.structure.arrivals());
                db.ring(other.structure.departures());
                Ok(())
            })
        };
        self.doing("append", append())
    }

    /// Moves the first `count` items behind the last; counts round, so that any number will do.
    ///
    /// # Errors
    ///
    /// Those of the database.
    ///
    /// # Cost
    ///
    /// Renumbers the shorter of the two parts, in place: half of all rows at the worst.
    pub fn rotate_left(&self, count: usize) -> Result<()> {
        let rotated = self.inside().write(|db| match self.inner.len(db)? {
            0 => Ok(()),
            len => self.rotate_to(db, count % len),
        });
        self.doing("rotate_left", rotated)
    }

    /// Moves the last `count` items before the first. Otherwise like
    /// [`rotate_left`](Self::rotate_left).
    ///
    /// # Errors
    ///
    /// Those of the database.
    pub fn rotate_right(&self, count: usize) -> Result<()> {
        let rotated = self.inside().write(|db| match self.inner.len(db)? {
            0 => Ok(()),
            len => self.rotate_to(db, (len - count % len) % len),
        });
        self.doing("rotate_right", rotated)
    }

    /// Puts the items in the opposite order.
    ///
    /// # Errors
    ///
    /// Those of the database.
    ///
    /// # Cost
    ///
    /// Renumbers all rows, in place.
    pub fn reverse(&self) -> Result<()> {
        let reversed = self.inside().write(|db| {
            let Some(all) = self.inner.all(db)? else {
                return Ok(());
            };
            // Mirrored at its end, so that no row lands where another still is.
            let mirror = [(2 * all.last + 1).into(), all.first.into(), all.last.into()];
            db.run(sql::MIRROR_ITEMS, &mirror)?;
            db.run(sql::MIRROR_GAPS, &mirror)?;
            self.inner.stay_in_the_middle(db, all.last)?;
            Ok(())
        });
        self.doing("reverse", reversed)
    }

    /// Makes the item with this index the first.
    fn rotate_to(&self, db: &Db<'_>, index: usize) -> Result<()> {
        if index == 0 {
            return Ok(());
        }
        let inner = &*self.inner;
        let first = inner.locate(db, index, |_| Ok(()))?;
        let (Some((pos, ())), Some(all)) = (first, inner.all(db)?) else {
            return Ok(());
        };
        let left = Run {
            first: all.first,
            last: pos - 1,
        };
        let right = Run {
            first: pos,
            last: all.last,
        };
        if left.len() <= right.len() {
            inner.shift(db, left, all.len())?;
        } else {
            inner.shift(db, right, -all.len())?;
        }
        inner.stay_in_the_middle(db, pos)
    }
}
