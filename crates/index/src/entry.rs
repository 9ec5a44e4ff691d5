use diskette_store::{Access, Codec, MessagePack, Result, Store};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::index::Index;

/// The entry of a key, there or not; made by [`Index::entry`].
///
/// It does nothing until its last method, which reads, changes and inserts in one transaction: of any
/// number of processes that do this at once, each sees what the one before it wrote.
///
/// The functions it is given run within that transaction, while the store's other writers wait: they
/// should be quick, and can't write to the store themselves. If one panics, nothing is changed.
#[must_use = "an entry does nothing until one of its `or_` methods is called"]
pub struct Entry<'e, K, V, C = MessagePack, A = Store> {
    index: &'e Index<K, V, C, A>,
    key: Result<Vec<u8>>,
    changes: Vec<Change<'e, V>>,
}

type Change<'e, V> = Box<dyn FnOnce(&mut V) + 'e>;

impl<'e, K, V, C, A> Entry<'e, K, V, C, A>
where
    V: Serialize + DeserializeOwned,
    C: Codec,
    A: Access,
{
    pub(crate) fn new(index: &'e Index<K, V, C, A>, key: Result<Vec<u8>>) -> Self {
        Entry {
            index,
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
    /// Those of [`Index::insert`] and [`Index::get`].
    pub fn or_insert(self, value: V) -> Result<V> {
        self.or_insert_with(|| value)
    }

    /// Inserts what `make` returns if the key is not there. Returns the value that is there now.
    ///
    /// # Errors
    ///
    /// Those of [`Index::insert`] and [`Index::get`].
    pub fn or_insert_with(self, make: impl FnOnce() -> V) -> Result<V> {
        let Entry {
            index,
            key,
            changes,
        } = self;
        index.doing("entry", || {
            let key = key?;
            index.with_found(&key, |db, place, found| {
                let changed = found.is_none() || !changes.is_empty();
                let value = match found {
                    Some(mut value) => {
                        changes.into_iter().for_each(|change| change(&mut value));
                        value
                    }
                    None => make(),
                };
                if changed {
                    let stored = index.store().store_value::<C, V, _>(&value)?;
                    index.swap(db, &key, place, Some(stored))?;
                }
                Ok(value)
            })
        })
    }

    /// Inserts `V`'s default if the key is not there. Returns the value that is there now.
    ///
    /// # Errors
    ///
    /// Those of [`Index::insert`] and [`Index::get`].
    pub fn or_default(self) -> Result<V>
    where
        V: Default,
    {
        self.or_insert_with(V::default)
    }
}
