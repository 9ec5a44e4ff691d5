//! Rows that have a key and a place in insertion order: what an index and a cache have in common.

mod bounds;
mod entry;
mod iter;
mod maybe;
mod several;
mod statements;
mod walk;

use std::ops;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use crate::access::Access;
use crate::codec::Codec;
use crate::db::Db;
use crate::error::{Error, Result};
use crate::inside::Inside;
use crate::key;
use crate::like::Like;
use crate::row::{Row, Value};
use crate::share::Share;
use crate::store::Store;
use crate::structure::Structure;
use crate::values::Stored;

pub use bounds::{Bounds, all_keys, ends};
pub use entry::{Entry, Upsert};
pub use iter::{Iter, Keys, Range, RangeKeys, Values};
pub use maybe::Maybe;
pub use several::{Merge, Walks};
pub use statements::{Directions, Statements};
pub use walk::{End, PAGE, Page, Position, Reading, Slot, Walk};

/// The entries of a structure, as they are reached.
///
/// A row's `id` is its place in insertion order, its `key` the bytes whose order is the keys' order. New rows come after the
/// greatest id, so that inserting touches one table; what removing and moving does to the ids is made up for in the `base` of
/// the structure:
///
/// > the number of rows = the greatest id - base, or 0 without rows
#[derive(Debug)]
pub struct Entries<'a, A> {
    structure: &'a Arc<Structure>,
    access: &'a A,
    sql: &'static Statements,
}

impl<A> Clone for Entries<'_, A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A> Copy for Entries<'_, A> {}

/// A row that was found: its place in insertion order, and the file that has to go with it.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Its `id`.
    pub id: i64,
    /// The file that its value is.
    pub file: Option<i64>,
}

/// Rows that have gone.
#[derive(Clone, Copy, Debug)]
pub struct Gone {
    /// How many.
    pub rows: i64,
    /// The greatest of their ids.
    last: i64,
}

impl Default for Gone {
    fn default() -> Self {
        Gone {
            rows: 0,
            last: i64::MIN,
        }
    }
}

/// So many bytes of a key say whose it is.
const BEGINNING: usize = size_of::<[u8; 3]>();

impl Place {
    /// Of a row that begins with `id, file`.
    pub fn of(row: &Row<'_>) -> Result<Self> {
        Ok(Place {
            id: row.int(0)?,
            file: row.opt_int(1)?,
        })
    }
}

/// The value of the key of a row that begins with `id, file, value`.
pub fn read_value<V: DeserializeOwned, C: Codec>(
    store: &Store,
    row: &Row<'_>,
    key: &[u8],
) -> Result<V> {
    let value = store.load_value::<C, V>(row, 2, 1);
    value.map_err(|error| unreadable(error, key))
}

/// The same value out of its bytes.
pub fn decode_value<V: DeserializeOwned, C: Codec>(bytes: &[u8], key: &[u8]) -> Result<V> {
    C::decode(bytes).map_err(|error| unreadable(error, key))
}

/// The key of a row that begins with `id, file, value, key`.
pub fn read_key<K: DeserializeOwned>(row: &Row<'_>) -> Result<K> {
    let key = row.blob(3)?;
    key::decode(own(key)).map_err(|error| at_the_key(error, key))
}

/// The key and the value of such a row.
pub fn read_entry<K, V, C>(store: &Store, row: &Row<'_>) -> Result<(K, V)>
where
    K: DeserializeOwned,
    V: DeserializeOwned,
    C: Codec,
{
    let value = read_value::<V, C>(store, row, row.blob(3)?)?;
    Ok((read_key(row)?, value))
}

/// Says in an error which entry's value can't be read, and what there is to do.
pub fn unreadable(error: Error, key: &[u8]) -> Error {
    let error = at_the_key(error, key);
    if !error.is_codec() {
        return error;
    }
    Error::new(error.kind(), format!("{error}; or remove it by `delete`")).caused_by(error)
}

/// Says in an error of an entry whose it is.
fn at_the_key(error: Error, key: &[u8]) -> Error {
    if !error.is_codec() && !error.is_corrupt() {
        return error;
    }
    let message = format!("at the key {}: {error}", key::show(own(key)));
    Error::new(error.kind(), message).caused_by(error)
}

/// A key without what says whose it is.
pub fn own(key: &[u8]) -> &[u8] {
    key.get(BEGINNING..).unwrap_or_default()
}

impl<'a, A: Access> Entries<'a, A> {
    /// Those of this structure.
    pub fn of(structure: &'a Arc<Structure>, access: &'a A, sql: &'static Statements) -> Self {
        Entries {
            structure,
            access,
            sql,
        }
    }

    /// The bytes of a key.
    pub fn key<K: ?Sized>(&self, key: &(impl Like<K> + ?Sized)) -> Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(64);
        bytes.extend(self.share().beginning());
        key::encode(key, &mut bytes)?;
        Ok(bytes)
    }

    /// A value on its way to a key.
    pub fn encode<C, V, W>(&self, key: &[u8], value: &W) -> Result<Stored>
    where
        C: Codec,
        V: DeserializeOwned,
        W: Like<V> + ?Sized,
    {
        let stored = self.store().store_value::<C, V, W>(value);
        stored.map_err(|error| at_the_key(error, key))
    }

    /// The rows that it may have.
    pub fn share(&self) -> Share {
        self.structure.share()
    }

    /// The first of its ids and the one after the last, as statements want them.
    pub fn all(&self) -> [Value<'static>; 2] {
        self.share().bounds()
    }

    /// Where the row of a key is.
    pub fn place(&self, db: &Db<'_>, key: &[u8]) -> Result<Option<Place>> {
        db.query_one(self.sql.place, &[key.into()], Place::of)
    }

    /// Removes a row; to be followed by [`count_off`](Self::count_off).
    pub fn drop_row(&self, db: &Db<'_>, place: Place, gone: &mut Gone) -> Result<()> {
        db.run(self.sql.drop, &[place.id.into()])?;
        gone.rows += 1;
        gone.last = gone.last.max(place.id);
        self.store().forget_value(db, place.file)
    }

    /// Counts off the rows that have gone.
    pub fn count_off(&self, db: &Db<'_>, gone: Gone) -> Result<()> {
        if gone.rows == 0 {
            return Ok(());
        }
        let [rows, last, first, end, middle] = self.without(gone);
        let structure = self.share().structure().into();
        db.run(
            self.sql.count_off,
            &[rows, last, first, end, middle, structure],
        )
    }

    /// The parameters of [`base_without`](crate::base_without).
    pub fn without(&self, gone: Gone) -> [Value<'static>; 5] {
        let [first, end] = self.all();
        let middle = self.share().middle().into();
        [gone.rows.into(), gone.last.into(), first, end, middle]
    }

    /// Removes all rows.
    pub fn drop_all(&self, db: &Db<'_>) -> Result<()> {
        for file in db.query(self.sql.files, &self.all(), |row| row.opt_int(0))? {
            self.store().forget_value(db, file)?;
        }
        db.run(self.sql.clear, &self.all())?;
        self.recount(db, 0)
    }

    /// The number of rows.
    pub fn count(&self, db: &Db<'_>) -> Result<i64> {
        let [first, end] = self.all();
        let of_all = [first, end, self.share().structure().into()];
        db.query_one(self.sql.count, &of_all, |row| row.int(0))?
            .ok_or_else(|| self.structure.missing(db))
    }

    /// The number of rows for who only looks; `None` for none.
    pub fn some(&self, db: &Db<'_>) -> Result<Option<i64>> {
        Ok(Some(self.count(db)?).filter(|&count| count > 0))
    }

    /// Makes `count` the number of rows, after some have moved.
    pub fn recount(&self, db: &Db<'_>, count: i64) -> Result<()> {
        let (share, [first, end]) = (self.share(), self.all());
        let (structure, middle) = (share.structure().into(), share.middle().into());
        let row = [first, end, count.into(), middle, structure];
        db.run(self.sql.recount, &row)
    }

    /// Moves all places back to the middle of the share, once an end of them comes near to that of the share: after tens of
    /// billions of entries that came and went. `id` is at an end, or was.
    pub fn stay_in_the_middle(&self, db: &Db<'_>, id: i64) -> Result<()> {
        let share = self.share();
        if share.has_room_around(id) {
            return Ok(());
        }
        let (Some(ids), count) = (self.ids(db)?, self.count(db)?) else {
            return Ok(());
        };
        let shift = |from: i64, by: i64| {
            let (start, end) = (ids.start + from, ids.end + from);
            db.execute(self.sql.shift, &[by.into(), start.into(), end.into()])
        };
        // No row may land, not even for a moment, where another still is.
        shift(0, Share::ASIDE)?;
        shift(Share::ASIDE, share.middle() - ids.start - Share::ASIDE)?;
        self.recount(db, count)
    }

    /// The ids there are, from the least to after the greatest.
    pub fn ids(&self, db: &Db<'_>) -> Result<Option<ops::Range<i64>>> {
        let ends = db.query_one(self.sql.ends, &self.all(), |row| {
            Ok((row.opt_int(0)?, row.opt_int(1)?))
        })?;
        Ok(match ends {
            Some((Some(first), Some(last))) => Some(first..last + 1),
            _ => None,
        })
    }

    /// The store that they are in.
    pub fn store(&self) -> &'a Store {
        self.access.store()
    }

    fn inside(&self) -> Inside<'a, A> {
        self.structure.inside(self.access)
    }
}
