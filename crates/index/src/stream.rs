use std::io::Read;

use diskette_store::entries::Place;
use diskette_store::{Access, Like, Result, Stream, StreamReader};

use crate::index::Index;
use crate::sql;

impl<K, C, A: Access> Index<K, Stream, C, A> {
    /// Makes what `from` has the value of a key, at the end of the insertion order, or in its place if
    /// it is there; returns its length in bytes.
    ///
    /// `from` is read before the transaction, so that nobody waits for it, and the value is replaced
    /// when it has come to its end.
    ///
    /// # Errors
    ///
    /// Those of [`insert`](Index::insert), and of reading `from`: nothing was changed.
    pub fn write<Q: Like<K> + ?Sized>(&self, key: &Q, mut from: impl Read) -> Result<u64> {
        self.doing("write", || {
            let key = self.key(key)?;
            let stored = self.store().store_stream(&mut from)?;
            let bytes = stored.bytes();
            self.inside().write(|db| self.put(db, &key, stored))?;
            Ok(bytes)
        })
    }

    /// Opens the value of a key. What is read stays the same, to its end, whatever becomes of the
    /// entry meanwhile.
    ///
    /// # Errors
    ///
    /// [`is_corrupt`](diskette_store::Error::is_corrupt) when the value's file is gone or cut short.
    pub fn read<Q: Like<K> + ?Sized>(&self, key: &Q) -> Result<Option<StreamReader>> {
        self.doing("read", || {
            let key = self.key(key)?;
            // Opened while reading the row: between the two the file can be replaced, and then the store
            // lets this run again.
            self.inside()
                .look(|db| {
                    db.query_one(sql::ENTRIES.place, &[key.as_slice().into()], |row| {
                        let file = Place::of(row)?.file;
                        file.map(|_| self.store().open_stream(row, 1)).transpose()
                    })
                })
                .map(Option::flatten)
        })
    }
}
