//! By index.

use diskette_store::{Access, Codec, Db, Error, ErrorKind, Like, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bound::full;
use crate::deque::Deque;
use crate::positions::End;
use crate::sql;

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
    /// One statement, at any length; a few more where items before it were taken from the middle or are
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
            self.inside().write(|db| {
                let found = self.inner.locate(db, index, |row| row.opt_int(1))?;
                let Some((pos, old)) = found else {
                    return Err(self.beyond_the_end(db, index)?);
                };
                let params = [stored.file(), stored.value(), pos.into()];
                db.run(sql::SET, &params)?;
                stored.link(db)?;
                db.store().forget_value(db, old)
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
            self.inside().write(|db| {
                let inner = &*self.inner;
                let (bound, excess) = inner.excess(db, 1)?;
                if excess > 0 {
                    return Err(full(bound));
                }
                let Some((pos, ())) = inner.locate(db, index, |_| Ok(()))? else {
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
        let removed = self.inside().free(|db| {
            let found = self
                .inner
                .locate(db, index, |row| Ok((row.opt_int(1)?, self.decode(row)?)))?;
            let Some((pos, (file, item))) = found else {
                return Ok(None);
            };
            self.inner.take_at(db, pos, file)?;
            Ok(Some(item))
        });
        self.doing("remove", removed)
    }

    fn nth(&self, end: End, index: usize) -> Result<Option<T>> {
        let inner = &*self.inner;
        let mut found = self
            .inside()
            .read_one(|db| inner.locate_directly(db, end, index, |row| self.decode(row)))?;
        if found.is_none() {
            let around =
                |db: &Db<'_>| inner.locate_around_gaps(db, end, index, |row| self.decode(row));
            found = self.inside().read(around)?;
            if found.is_none() {
                self.inside().look(|_| Ok(None::<()>))?;
            }
        }
        Ok(found.map(|(_, item)| item))
    }

    fn beyond_the_end(&self, db: &Db<'_>, index: usize) -> Result<Error> {
        let len = self.inner.len(db)?;
        Ok(Error::new(
            ErrorKind::InvalidInput,
            format!("index {index} is beyond the end: the deque has {len} items"),
        ))
    }
}
