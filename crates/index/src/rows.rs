//! What the methods are made of: each of these runs within one operation.

use std::ops::Range;

use diskette_store::{
    Access, Ahead, Codec, Db, Like, Result, Row, Share, Store, Stored, Value, key,
};
use serde::de::DeserializeOwned;

use crate::index::Index;
use crate::sql;

/// A row that was found: its place in insertion order, and the file that has to go with it.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) id: i64,
    pub(crate) file: Option<i64>,
}

/// So many bytes of a key say whose it is.
const BEGINNING: usize = size_of::<[u8; 3]>();

pub(crate) fn read_place(row: &Row<'_>) -> Result<Place> {
    Ok(Place {
        id: row.int(0)?,
        file: row.opt_int(1)?,
    })
}

pub(crate) fn read_value<V: DeserializeOwned, C: Codec>(store: &Store, row: &Row<'_>) -> Result<V> {
    store.load_value::<C, V>(row, 2, 1)
}

pub(crate) fn read_key<K: DeserializeOwned>(_: &Store, row: &Row<'_>) -> Result<K> {
    key::decode(row.blob(3)?.get(BEGINNING..).unwrap_or_default())
}

pub(crate) fn read_entry<K, V, C>(store: &Store, row: &Row<'_>) -> Result<(K, V)>
where
    K: DeserializeOwned,
    V: DeserializeOwned,
    C: Codec,
{
    Ok((read_key(store, row)?, read_value::<V, C>(store, row)?))
}

/// An entry, and its place.
pub(crate) fn read_found<K, V, C>(store: &Store, row: &Row<'_>) -> Result<(Place, (K, V))>
where
    K: DeserializeOwned,
    V: DeserializeOwned,
    C: Codec,
{
    Ok((read_place(row)?, read_entry::<K, V, C>(store, row)?))
}

impl<K, V, C, A: Access> Index<K, V, C, A> {
    /// The bytes of a key.
    pub(crate) fn key(&self, key: &(impl Like<K> + ?Sized)) -> Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(32);
        bytes.extend(self.share().beginning());
        key::encode(key, &mut bytes)?;
        Ok(bytes)
    }

    pub(crate) fn share(&self) -> Share {
        self.structure.share()
    }

    /// The first of its ids and the one after the last, as statements want them.
    pub(crate) fn all(&self) -> [Value<'static>; 2] {
        let ids = self.share().rows();
        [ids.start.into(), ids.end.into()]
    }

    pub(crate) fn place(&self, db: &Db<'_>, key: &[u8]) -> Result<Option<Place>> {
        db.query_one(sql::PLACE, &[key.into()], read_place)
    }

    /// Inserts or updates.
    pub(crate) fn put(&self, db: &Db<'_>, key: &[u8], stored: Stored) -> Result<()> {
        if !stored.is_file() && self.put_inline(db, key, &stored)? {
            return Ok(());
        }
        let place = self.place(db, key)?;
        self.swap(db, key, place, Some(stored))
    }

    /// Puts a value, or none, in the place of the one that was found, or not found.
    pub(crate) fn swap(
        &self,
        db: &Db<'_>,
        key: &[u8],
        place: Option<Place>,
        stored: Option<Stored>,
    ) -> Result<()> {
        match (place, stored) {
            (Some(place), Some(stored)) => self.set(db, place, stored),
            (Some(place), None) => self.take(db, place),
            (None, Some(stored)) => self.add(db, key, stored).map(drop),
            (None, None) => Ok(()),
        }
    }

    /// Inserts or updates a value that is no file, unless a file is to go.
    pub(crate) fn put_inline(&self, db: &Db<'_>, key: &[u8], stored: &Stored) -> Result<bool> {
        let [first, end] = self.all();
        let middle = self.share().middle().into();
        let row = [first, end, middle, key.into(), stored.value()];
        Ok(db.execute(sql::PUT_INLINE, &row)? == 1)
    }

    /// Inserts, unless the key is there.
    pub(crate) fn add(&self, db: &Db<'_>, key: &[u8], stored: Stored) -> Result<bool> {
        let [first, end] = self.all();
        let middle = self.share().middle().into();
        let row = [
            first,
            end,
            middle,
            key.into(),
            stored.file(),
            stored.value(),
        ];
        let added = db.execute(sql::ADD, &row)? == 1;
        if added {
            stored.link(db)?;
        }
        Ok(added)
    }

    /// Updates.
    pub(crate) fn set(&self, db: &Db<'_>, place: Place, stored: Stored) -> Result<()> {
        db.execute(sql::SET, &[stored.file(), stored.value(), place.id.into()])?;
        stored.link(db)?;
        self.store().forget_value(db, place.file)
    }

    /// Removes.
    pub(crate) fn take(&self, db: &Db<'_>, place: Place) -> Result<()> {
        let count = self.count(db)?;
        self.drop_row(db, place)?;
        self.recount(db, count - 1)?;
        self.stay_in_the_middle(db, place.id)
    }

    /// Removes; to be followed by [`recount`](Self::recount).
    pub(crate) fn drop_row(&self, db: &Db<'_>, place: Place) -> Result<()> {
        db.execute(sql::DROP, &[place.id.into()])?;
        self.store().forget_value(db, place.file)
    }

    pub(crate) fn count(&self, db: &Db<'_>) -> Result<i64> {
        let [first, end] = self.all();
        let of_all = [first, end, self.share().structure().into()];
        db.query_one(sql::COUNT, &of_all, |row| row.int(0))?
            .ok_or_else(|| self.structure.missing(db))
    }

    /// Makes `count` the number of rows, after some have gone or moved.
    pub(crate) fn recount(&self, db: &Db<'_>, count: i64) -> Result<()> {
        let (share, [first, end]) = (self.share(), self.all());
        let (index, middle) = (share.structure().into(), share.middle().into());
        db.execute(sql::RECOUNT, &[first, end, count.into(), middle, index])
            .map(drop)
    }

    /// Moves all places back to the middle of the share, once an end of them comes near to that of the share: after tens of
    /// billions of entries that came and went. `id` is at an end, or was.
    pub(crate) fn stay_in_the_middle(&self, db: &Db<'_>, id: i64) -> Result<()> {
        let share = self.share();
        if share.has_room_around(id) {
            return Ok(());
        }
        let (Some(ids), count) = (self.ids(db)?, self.count(db)?) else {
            return Ok(());
        };
        let shift = |from: i64, by: i64| {
            let (start, end) = (ids.start + from, ids.end + from);
            db.execute(sql::SHIFT, &[by.into(), start.into(), end.into()])
        };
        // No row may land, not even for a moment, where another still is.
        shift(0, Share::ASIDE)?;
        shift(Share::ASIDE, share.middle() - ids.start - Share::ASIDE)?;
        self.recount(db, count)
    }

    /// The ids there are, from the least to after the greatest.
    pub(crate) fn ids(&self, db: &Db<'_>) -> Result<Option<Range<i64>>> {
        let ends = db.query_one(sql::ENDS, &self.all(), |row| {
            Ok((row.opt_int(0)?, row.opt_int(1)?))
        })?;
        Ok(match ends {
            Some((Some(first), Some(last))) => Some(first..last + 1),
            _ => None,
        })
    }
}

impl<K, V, C, A> Index<K, V, C, A>
where
    V: DeserializeOwned,
    C: Codec,
    A: Access,
{
    /// The value of a key, and its place.
    pub(crate) fn look_up(&self, db: &Db<'_>, key: &[u8]) -> Result<Option<(Place, V)>> {
        db.query_one(sql::FIND, &[key.into()], |row| {
            Ok((read_place(row)?, read_value::<V, C>(self.store(), row)?))
        })
    }

    /// The same, for a turn in which it is taken; no value: it is to be read before the next.
    pub(crate) fn find_ahead(
        &self,
        db: &Db<'_>,
        key: &[u8],
        ahead: &mut Ahead<V>,
    ) -> Result<Option<(Place, Option<V>)>> {
        db.query_one(sql::FIND, &[key.into()], |row| {
            Ok((read_place(row)?, ahead.value::<C>(db, row, 2, 1)?))
        })
    }
}
