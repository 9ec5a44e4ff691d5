//! By index.

use diskette_store::{Access, Codec, Db, Error, ErrorKind, Like, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bound::full;
use crate::deque::Deque;
use crate::order::as_offset;
use crate::positions::End;

impl<T, C, A> Deque<T, C, A>
where
    T: Serialize + DeserializeOwned,
    C: Codec,
    A: Access,
{
    /// The item with this index, counted from the front; `None` if there are not so many.
    ///
    /// # Errors
    ///
    /// [`is_codec`](Error::is_codec) when the item can't be decoded.
    ///
    /// # Cost
    ///
    /// One statement, at any length; two where items before it were taken from the middle or are
    /// claimed.
    pub fn get(&self, index: usize) -> Result<Option<T>> {
        self.doing("get", self.nth(End::Front, index))
    }

    /// The item with this index counted from the back: `get_back(0)` is the last. Otherwise like
    /// [`get`](Self::get).
    ///
    /// # Errors
    ///
    /// [`is_codec`](Error::is_codec) when the item can't be decoded.
    pub fn get_back(&self, index: usize) -> Result<Option<T>> {
        self.doing("get_back", self.nth(End::Back, index))
    }

    /// Replaces the item with this index.
    ///
    /// # Errors
    ///
    /// [`is_invalid_input`](Error::is_invalid_input) if there are not so many items.
    pub fn set<Q: Like<T> + ?Sized>(&self, index: usize, item: &Q) -> Result<()> {
        let set = || {
            let stored = self.encode(item)?;
            self.write(|db| {
                let Some(pos) = self.inner.locate(db, index)? else {
                    return Err(self.beyond_the_end(db, index)?);
                };
                let old = db.query_one(&self.inner.sql.at, &[pos.into()], |row| row.opt_int(1))?;
                let params = [stored.file(), stored.value(), pos.into()];
                db.execute(&self.inner.sql.set, &params)?;
                stored.link(db)?;
                db.store().forget_value(db, old.flatten())
            })
        };
        self.doing("set", set())
    }

    /// Puts an item before the one that has this index, so that it has that index; behind the last if
    /// `index` is the length.
    ///
    /// # Errors
    ///
    /// [`is_invalid_input`](Error::is_invalid_input) if there are not so many items;
    /// [`is_full`](Error::is_full) if the deque is full, whatever [`WhenFull`](crate::WhenFull) says.
    ///
    /// # Cost
    ///
    /// Renumbers what lies on the shorter side: half of all rows at the worst.
    pub fn insert<Q: Like<T> + ?Sized>(&self, index: usize, item: &Q) -> Result<()> {
        let insert = || {
            let stored = self.encode(item)?;
            self.write(|db| {
                let inner = &*self.inner;
                let (bound, excess) = inner.excess(db, 1)?;
                if excess > 0 {
                    return Err(full(bound));
                }
                let Some(pos) = inner.locate(db, index)? else {
                    if index != inner.len(db)? {
                        return Err(self.beyond_the_end(db, index)?);
                    }
                    return inner.put(db, End::Back, std::iter::once(stored));
                };
                inner.put_at(db, inner.make_place(db, pos)?, stored)?;
                db.ring(inner.structure.arrivals());
                Ok(())
            })
        };
        self.doing("insert", insert())
    }

    /// Takes the item with this index; `None` if there are not so many.
    ///
    /// # Errors
    ///
    /// [`is_codec`](Error::is_codec) when the item can't be decoded: it stays.
    ///
    /// # Cost
    ///
    /// A few statements: the hole is left, until there are 64 of them; then all are closed, each from
    /// its shorter side.
    pub fn remove(&self, index: usize) -> Result<Option<T>> {
        let removed = self.write(|db| {
            let Some(pos) = self.inner.locate(db, index)? else {
                return Ok(None);
            };
            let found = db.query_one(&self.inner.sql.at, &[pos.into()], |row| {
                Ok((row.opt_int(1)?, self.decode(row)?))
            })?;
            let Some((file, item)) = found else {
                return Ok(None);
            };
            self.inner.take_at(db, pos, file)?;
            Ok(Some(item))
        });
        self.doing("remove", removed)
    }

    fn nth(&self, end: End, index: usize) -> Result<Option<T>> {
        let Some(offset) = as_offset(index) else {
            return Ok(None);
        };
        let direct = self.read_one(|db| {
            let sql = self.inner.sql.nth_from(end);
            db.query_one(sql, &[offset.into()], |row| self.decode(row))
        })?;
        if direct.is_some() {
            return Ok(direct);
        }
        self.read(|db| {
            let index = match end {
                End::Front => Some(index),
                End::Back => self.inner.len(db)?.checked_sub(index + 1),
            };
            let Some(index) = index else { return Ok(None) };
            let Some(pos) = self.inner.locate(db, index)? else {
                return Ok(None);
            };
            db.query_one(&self.inner.sql.at, &[pos.into()], |row| self.decode(row))
        })
    }

    fn beyond_the_end(&self, db: &Db<'_>, index: usize) -> Result<Error> {
        let len = self.inner.len(db)?;
        Ok(Error::new(
            ErrorKind::InvalidInput,
            format!("index {index} is beyond the end: the deque has {len} items"),
        ))
    }
}
