use std::fmt;

use crate::error::Result;

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
    /// Gives `make` the value of a key, in one turn to write, and keeps what it returns if it says so.
    fn upsert(
        &self,
        key: Result<Vec<u8>>,
        make: impl FnOnce(Option<V>) -> (V, Changed),
    ) -> Result<V>;
}

/// Is it to be written?
pub type Changed = bool;

impl<'e, V, M: Upsert<V>> Entry<'e, V, M> {
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
    pub fn or_insert(self, value: V) -> Result<V> {
        self.or_insert_with(|| value)
    }

    /// Inserts what `make` returns if the key is not there. Returns the value that is there now.
    ///
    /// # Errors
    ///
    /// Those of `insert` and `get`.
    pub fn or_insert_with(self, make: impl FnOnce() -> V) -> Result<V> {
        let Entry { map, key, changes } = self;
        map.upsert(key, |found| match found {
            Some(mut value) => {
                let changed = !changes.is_empty();
                changes.into_iter().for_each(|change| change(&mut value));
                (value, changed)
            }
            None => (make(), true),
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
}

impl<V, M> fmt::Debug for Entry<'_, V, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").finish_non_exhaustive()
    }
}
