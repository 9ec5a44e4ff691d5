use std::io::Read;

use diskette_store::{Access, Like, Result, StreamReader};

use crate::index::Index;
use crate::rows::read_place;
use crate::sql;

/// The type of values that are read and written piece by piece, and never wholly in memory:
/// `Index<K, Stream>`. Each is a file in the store's directory, whatever its length.
///
/// Such an index has the methods that look at keys only, and [`write`](Index::write) and
/// [`read`](Index::read).
///
/// # Crashes
///
/// A value is there whole or not at all. The file of a writer that died is removed by whoever opens
/// the store next, or hears of the death.
///
/// # Example
///
/// ```
/// use std::io::Read;
/// use diskette::{Index, Stream};
///
/// # let dir = tempfile::tempdir()?;
/// let films = Index::<String, Stream>::open(dir.path())?;
/// films.write("short", [7_u8; 100_000].as_slice())?;
///
/// let mut first = [0; 10];
/// films.read("short")?.expect("written above").read_exact(&mut first)?;
/// assert_eq!(first, [7; 10]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub enum Stream {}

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
            let bytes = stored.file_bytes();
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
                    db.query_one(sql::PLACE, &[key.as_slice().into()], |row| {
                        let file = read_place(row)?.file;
                        file.map(|file| self.store().open_stream(file)).transpose()
                    })
                })
                .map(Option::flatten)
        })
    }
}
