use std::fmt;

use serde::Serialize;

use crate::error::Result;
use crate::like::Like;
use crate::values::Stored;

/// The entry of a key of an index or a cache, there or not; made by `entry`.
///
/// It does nothing until its last method, which reads, changes and inserts in one transaction: of any
/// number of processes that do this at once, each sees what the one before it wrote.
///
/// The functions it is given run within that transaction, while the store's other writers wait: they
/// should be quick, and can't write to the store themselves. If one panics, nothing is changed.
#[must_use = "an entry does nothing until one of its `or_` methods is called"]
pub struct Entry<'e, V, M> {
    map: &'e M,
    key: Result<Vec<u8>>,
    changes: Vec<Change<'e, V>>,
}

type Change<'e, V> = Box<dyn FnOnce(&mut V) + 'e>;

/// What has entries.
pub trait Upsert<V> {
    /// A value on its way to a key.
    fn encode<W: Like<V> + ?Sized>(&self, key: &[u8], value: &W) -> Result<Stored>;

    /// The same value as it will be read.
    fn decode(&self, stored: &Stored) -> Result<V>;

    /// Gives `make` the key and its value, in one turn to write, and keeps what it wants to be stored. Returns the other that
    /// it returns.
    fn upsert(
        &self,
        key: Result<Vec<u8>>,
        make: impl FnOnce(&[u8], Option<V>) -> Result<(V, Option<Stored>)>,
    ) -> Result<V>;
}

impl<'e, V: Serialize, M: Upsert<V>> Entry<'e, V, M> {
    #[doc(hidden)]
    pub fn new(map: &'e M, key: Result<Vec<u8>>) -> Self {
        Entry {
            map,
            key,
            changes: Vec::new(),
        }
    }

    /// Changes the value, if there is one.
    pub fn and_modify(mut self, change: impl FnOnce(&mut V) + 'e) -> Self {
        self.changes.push(Box::new(change));
        self
    }

    /// Inserts `value` if the key is not there. Returns the value that is there now.
    ///
    /// # Errors
    ///
    /// Those of `insert` and `get`.
    ///
    /// # Example
    ///
    /// ```
    /// use diskette::{Index, Store};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # std::env::set_current_dir(&dir)?;
    /// let store = Store::open("store")?;
    /// let owners = Index::<String, String>::new(&store, "owners")?;
    /// assert_eq!(owners.entry("boat").or_insert("Ada")?, "Ada");
    /// assert_eq!(owners.entry("boat").or_insert("Alan")?, "Ada");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[allow(
        clippy::needless_pass_by_value,
        reason = "it is given away, as to std's"
    )]
    pub fn or_insert<W: Like<V>>(self, value: W) -> Result<V> {
        self.or_store(|map, key| {
            let stored = map.encode(key, &value)?;
            Ok((map.decode(&stored)?, stored))
        })
    }

    /// Inserts what `make` returns if the key is not there. Returns the value that is there now.
    ///
    /// # Errors
    ///
    /// Those of `insert` and `get`.
    pub fn or_insert_with(self, make: impl FnOnce() -> V) -> Result<V> {
        self.or_store(|map, key| {
            let value = make();
            let stored = map.encode(key, &value)?;
            Ok((value, stored))
        })
    }

    /// Inserts `V`'s default if the key is not there. Returns the value that is there now.
    ///
    /// # Errors
    ///
    /// Those of `insert` and `get`.
    pub fn or_default(self) -> Result<V>
    where
        V: Default,
    {
        self.or_insert_with(V::default)
    }

    fn or_store(self, make: impl FnOnce(&M, &[u8]) -> Result<(V, Stored)>) -> Result<V> {
        let Entry { map, key, changes } = self;
        map.upsert(key, |key, found| match found {
            Some(value) if changes.is_empty() => Ok((value, None)),
            Some(mut value) => {
                changes.into_iter().for_each(|change| change(&mut value));
                let stored = map.encode(key, &value)?;
                Ok((value, Some(stored)))
            }
            None => make(map, key).map(|(value, stored)| (value, Some(stored))),
        })
    }
}

impl<V, M> fmt::Debug for Entry<'_, V, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").finish_non_exhaustive()
    }
}
