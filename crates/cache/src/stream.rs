use std::io::Read;

use diskette_store::{Like, Result, Stream, StreamReader};

use crate::cache::Cache;
use crate::reach::Reach;
use crate::sql;
use crate::terms::Terms;
use crate::uses::Use;

impl<K, C, A: Reach> Cache<K, Stream, C, A> {
    /// Makes what `from` has the value of a key, on these terms, at the end of the insertion order, or in its place if
    /// it is there; returns its length in bytes.
    ///
    /// `from` is read before the transaction, so that nobody waits for it, and the value is replaced
    /// when it has come to its end.
    ///
    /// # Errors
    ///
    /// Those of [`insert`](Cache::insert), and of reading `from`: nothing was changed.
    ///
    /// # Example
    ///
    /// ```
    /// use std::io::Read;
    /// use std::time::Duration;
    /// use diskette::{Cache, Stream};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # std::env::set_current_dir(&dir)?;
    /// let films = Cache::<String, Stream>::open("store")?;
    /// films.write("short", [7_u8; 100_000].as_slice(), Duration::from_secs(60))?;
    ///
    /// let mut first = [0; 10];
    /// films.read("short")?.expect("written above").read_exact(&mut first)?;
    /// assert_eq!(first, [7; 10]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn write<Q: Like<K> + ?Sized>(
        &self,
        key: &Q,
        mut from: impl Read,
        terms: impl Into<Terms>,
    ) -> Result<u64> {
        self.doing("write", || {
            let key = self.key(key)?;
            let part = self.part(&key);
            let stored = part.store().store_stream(&mut from)?;
            let bytes = stored.bytes();
            part.store_entry(&key, stored, &terms.into())?;
            Ok(bytes)
        })
    }

    /// Opens the value of a key. What is read stays the same, to its end, whatever becomes of the
    /// entry meanwhile: whether it is replaced, evicted or expires.
    ///
    /// # Errors
    ///
    /// [`is_corrupt`](diskette_store::Error::is_corrupt) when the value's file is gone or cut short.
    pub fn read<Q: Like<K> + ?Sized>(&self, key: &Q) -> Result<Option<StreamReader>> {
        self.doing("read", || {
            let key = self.key(key)?;
            let part = self.part(&key);
            // Opened while reading the row: between the two the file can be replaced, and then the store
            // lets this run again.
            let found = part.inside().look(|db| {
                db.query_one(sql::FIND, &[key.as_slice().into()], |row| {
                    if !part.inner.lives(row.opt_int(3)?) {
                        return Ok(None);
                    }
                    Ok(Some((Use::of(row)?, part.store().open_stream(row, 1)?)))
                })
            })?;
            let found = found.flatten();
            part.inner.count(found.as_ref().map(|(of, _)| *of));
            Ok(found.map(|(_, reader)| reader))
        })
    }
}
