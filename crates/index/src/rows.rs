//! What the methods are made of: each of these runs within one operation.

use diskette_store::entries::{Entries, Gone, Place, read_value, unreadable};
use diskette_store::{Access, Ahead, Codec, Db, Keeping, Like, Result, Stored, Structure};
use serde::de::DeserializeOwned;

use crate::index::Index;
use crate::sql;

impl<K, V, C, A: Access> Index<K, V, C, A> {
    pub(crate) fn entries(&self) -> Entries<'_, A> {
        Entries::of(&self.structure, &self.access, &sql::ENTRIES)
    }

    /// The bytes of a key.
    pub(crate) fn key(&self, key: &(impl Like<K> + ?Sized)) -> Result<Vec<u8>> {
        self.entries().key::<K>(key)
    }

    /// Inserts or updates.
    pub(crate) fn put(&self, db: &Db<'_>, key: &[u8], stored: Stored) -> Result<()> {
        if !stored.is_file() && put_inline(&self.structure, db, key, &stored)? {
            return Ok(());
        }
        let place = self.entries().place(db, key)?;
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
            (None, Some(stored)) => add(&self.structure, db, key, stored).map(drop),
            (None, None) => Ok(()),
        }
    }

    /// Updates.
    pub(crate) fn set(&self, db: &Db<'_>, place: Place, stored: Stored) -> Result<()> {
        db.run(sql::SET, &[stored.file(), stored.value(), place.id.into()])?;
        stored.link(db)?;
        self.store().forget_value(db, place.file)
    }

    /// Removes.
    pub(crate) fn take(&self, db: &Db<'_>, place: Place) -> Result<()> {
        let (entries, mut gone) = (self.entries(), Gone::default());
        entries.drop_row(db, place, &mut gone)?;
        entries.count_off(db, gone)?;
        entries.stay_in_the_middle(db, place.id)
    }
}

impl<K, V, C, A> Index<K, V, C, A>
where
    V: DeserializeOwned,
    C: Codec,
    A: Access,
{
    /// A value on its way to a key.
    pub(crate) fn encode<W: Like<V> + ?Sized>(&self, key: &[u8], value: &W) -> Result<Stored> {
        self.entries().encode::<C, V, W>(key, value)
    }

    /// The value of a key, and its place.
    pub(crate) fn look_up(&self, db: &Db<'_>, key: &[u8]) -> Result<Option<(Place, V)>> {
        db.query_one(sql::FIND, &[key.into()], |row| {
            Ok((Place::of(row)?, read_value::<V, C>(self.store(), row, key)?))
        })
    }

    /// The value of a key, which is kept in memory if it is no file.
    pub(crate) fn find_keeping(
        &self,
        db: &Db<'_>,
        key: &[u8],
        keeping: &Keeping<'_>,
    ) -> Result<Option<V>> {
        let found = db.query_one(sql::FIND, &[key.into()], |row| {
            if let Some(value) = row.opt_blob(2)? {
                keeping.keep(key, [&[], value]);
            }
            read_value::<V, C>(self.store(), row, key)
        })?;
        if found.is_none() {
            keeping.found_none();
        }
        Ok(found)
    }

    /// The value of a key, and its place, for a turn in which it is taken; no value: it is to be read before the next.
    pub(crate) fn find_ahead(
        &self,
        db: &Db<'_>,
        key: &[u8],
        ahead: &mut Ahead<V>,
    ) -> Result<Option<(Place, Option<V>)>> {
        db.query_one(sql::FIND, &[key.into()], |row| {
            let value = ahead.value::<C>(db, row, 2, 1);
            let value = value.map_err(|error| unreadable(error, key))?;
            Ok((Place::of(row)?, value))
        })
    }
}

/// Inserts or updates a value that is no file, unless a file has to go.
pub(crate) fn put_inline(
    structure: &Structure,
    db: &Db<'_>,
    key: &[u8],
    stored: &Stored,
) -> Result<bool> {
    let share = structure.share();
    let [first, end] = share.bounds();
    let row = [
        first,
        end,
        share.middle().into(),
        key.into(),
        stored.value(),
    ];
    Ok(db.execute(sql::PUT_INLINE, &row)? == 1)
}

/// Inserts, unless the key is there.
pub(crate) fn add(structure: &Structure, db: &Db<'_>, key: &[u8], stored: Stored) -> Result<bool> {
    let share = structure.share();
    let [first, end] = share.bounds();
    let (middle, key, file) = (share.middle().into(), key.into(), stored.file());
    let row = [first, end, middle, key, file, stored.value()];
    let added = db.execute(sql::ADD, &row)? == 1;
    if added {
        stored.link(db)?;
    }
    Ok(added)
}
