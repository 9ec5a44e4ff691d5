//! Many entries in one transaction.

use diskette_store::{Access, Codec, Like, Result, Stored};
use serde::de::DeserializeOwned;

use crate::cache::Cache;
use crate::evict::{Going, Why};
use crate::part::Part;
use crate::reach::Reach;
use crate::terms::Terms;

impl<K, V, C, A: Reach> Cache<K, V, C, A> {
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
            let encoded = entries.into_iter().map(|(key, value)| {
                let key = self.key(&key)?;
                let stored = self.part(&key).encode::<C, V, _>(&key, &value)?;
                Ok((key, stored))
            });
            if self.access.parts() == 1 {
                return self.nth(0).insert_many(encoded, &terms);
            }
            let shares = self.shares(encoded)?;
            for (part, share) in self.parts().zip(shares) {
                part.insert_many(share.into_iter().map(Ok), &terms)?;
            }
            Ok(())
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
            let keys = keys.into_iter().zip(0..);
            let shares = self.shares(keys.map(|(key, n)| Ok((self.key(key)?, n))))?;
            let mut values = Vec::new();
            for (part, share) in self.parts().zip(shares) {
                let found = part.get_many::<C, V>(&share)?;
                values.extend(share.into_iter().map(|(_, n)| n).zip(found));
            }
            values.sort_unstable_by_key(|&(n, _): &(usize, _)| n);
            Ok(values.into_iter().map(|(_, value)| value).collect())
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
            let keys = keys.into_iter().map(|key| Ok((self.key(key)?, ())));
            let mut removed = 0;
            for (part, share) in self.parts().zip(self.shares(keys)?) {
                removed += part.remove_many(&share)?;
            }
            Ok(removed)
        })
    }

    /// What goes to each part, by the key.
    fn shares<T>(
        &self,
        keyed: impl Iterator<Item = Result<(Vec<u8>, T)>>,
    ) -> Result<Vec<Keyed<T>>> {
        let mut shares: Vec<_> = self.parts().map(|_| Vec::new()).collect();
        for keyed in keyed {
            let (key, item) = keyed?;
            if let Some(share) = shares.get_mut(self.access.number(&key)) {
                share.push((key, item));
            }
        }
        Ok(shares)
    }
}

/// What is to be done for each of some keys.
type Keyed<T> = Vec<(Vec<u8>, T)>;

impl<A: Access> Part<'_, A> {
    fn insert_many(
        &self,
        entries: impl Iterator<Item = Result<(Vec<u8>, Stored)>>,
        terms: &Terms,
    ) -> Result<()> {
        self.inside().write(|db| {
            for entry in entries {
                let (key, stored) = entry?;
                let now = self.inner.timeline.now();
                let found = self.live(db, &key, now)?;
                let begun = terms.begin(&self.inner.timeline, now);
                let mut stored = Some(stored);
                while !self.put(db, &key, found, &mut stored, Some(&begun), now)? {}
            }
            Ok(())
        })
    }

    fn get_many<C, V>(&self, keys: &[(Vec<u8>, usize)]) -> Result<Vec<Option<V>>>
    where
        C: Codec,
        V: DeserializeOwned,
    {
        let found = self.find_all::<C, V>(keys.iter().map(|(key, _)| key.as_slice()))?;
        let values = found.into_iter().map(|found| {
            self.inner.count(found.as_ref().map(|(known, _)| known.of));
            found.map(|(_, value)| value)
        });
        Ok(values.collect())
    }

    fn remove_many(&self, keys: &[(Vec<u8>, ())]) -> Result<usize> {
        self.inside().free(|db| {
            let now = self.inner.timeline.now();
            let mut going = Vec::<Going>::new();
            for (key, ()) in keys {
                if let Some(found) = self.live(db, key, now)?
                    && going.iter().all(|entry| entry.place.id != found.place.id)
                {
                    going.push(found.into());
                }
            }
            self.shed(db, &going, Why::Removed)?;
            Ok(going.len())
        })
    }
}
