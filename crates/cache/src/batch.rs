//! Many entries in one transaction.

use diskette_store::{Access, Codec, Like, Result};
use serde::de::DeserializeOwned;

use crate::cache::{Cache, Why};
use crate::evict::Going;
use crate::terms::Terms;

impl<K, V, C, A: Access> Cache<K, V, C, A> {
    /// [Inserts](Self::insert_with) each entry on these terms, all of them or none.
    ///
    /// `entries` is gone through within the transaction, while the store's other writers wait: it
    /// should be quick, and can't write to the store itself.
    ///
    /// # Errors
    ///
    /// Those of [`insert`](Self::insert); nothing was inserted.
    ///
    /// # Example
    ///
    /// ```
    /// use std::time::Duration;
    /// use diskette::{Cache, Store};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # std::env::set_current_dir(&dir)?;
    /// let store = Store::open("store")?;
    /// let squares = Cache::<u64, u64>::new(&store, "squares")?;
    /// squares.insert_many((0..100).map(|n| (n, n * n)), Duration::from_secs(60))?;
    /// assert_eq!(squares.get_many([&7, &100])?, [Some(49), None]);
    /// assert_eq!(squares.remove_many([&7, &100])?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn insert_many<Q, W>(
        &self,
        entries: impl IntoIterator<Item = (Q, W)>,
        terms: impl Into<Terms>,
    ) -> Result<()>
    where
        Q: Like<K>,
        W: Like<V>,
        V: DeserializeOwned,
        C: Codec,
    {
        self.doing("insert_many", || {
            let terms = terms.into();
            self.inside().write(|db| {
                for (key, value) in entries {
                    let key = self.key(&key)?;
                    let now = self.inner.timeline.now();
                    let found = self.live(db, &key, now)?;
                    let begun = terms.begin(&self.inner.timeline, now);
                    let mut stored = Some(self.encode(&key, &value)?);
                    while !self.put(db, &key, found, &mut stored, Some(&begun), now)? {}
                }
                Ok(())
            })
        })
    }

    /// The value of each key, all at one moment, in the order of `keys`.
    ///
    /// # Errors
    ///
    /// Those of [`get`](Self::get).
    pub fn get_many<'q, Q>(&self, keys: impl IntoIterator<Item = &'q Q>) -> Result<Vec<Option<V>>>
    where
        Q: Like<K> + ?Sized + 'q,
        V: DeserializeOwned,
        C: Codec,
    {
        self.doing("get_many", || {
            let keys = keys
                .into_iter()
                .map(|key| self.key(key))
                .collect::<Result<Vec<_>>>()?;
            let found = self.inside().read(|db| {
                let find = |key: &Vec<u8>| self.look_up(db, key);
                keys.iter().map(find).collect::<Result<Vec<_>>>()
            })?;
            let values = found.into_iter().map(|found| {
                self.inner.count(found.as_ref().map(|(of, _)| *of));
                found.map(|(_, value)| value)
            });
            Ok(values.collect())
        })
    }

    /// Removes each of these keys without reading their values; returns how many were there.
    ///
    /// # Errors
    ///
    /// Those of [`insert`](Self::insert); nothing was removed.
    pub fn remove_many<'q, Q>(&self, keys: impl IntoIterator<Item = &'q Q>) -> Result<usize>
    where
        Q: Like<K> + ?Sized + 'q,
    {
        self.doing("remove_many", || {
            let keys = keys
                .into_iter()
                .map(|key| self.key(key))
                .collect::<Result<Vec<_>>>()?;
            self.inside().free(|db| {
                let now = self.inner.timeline.now();
                let mut going = Vec::<Going>::new();
                for key in &keys {
                    if let Some(found) = self.live(db, key, now)?
                        && going.iter().all(|entry| entry.place.id != found.place.id)
                    {
                        going.push(found.into());
                    }
                }
                self.shed(db, &going, Why::Removed)?;
                Ok(going.len())
            })
        })
    }
}
