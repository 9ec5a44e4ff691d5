//! Many entries in one transaction.

use diskette_store::entries::{End, Gone, PAGE, Page, Place, Reading, decode_value, read_entry};
use diskette_store::{Access, Codec, Like, Result};
use serde::de::DeserializeOwned;

use crate::index::Index;
use crate::sql;

impl<K, V, C, A: Access> Index<K, V, C, A> {
    /// [Inserts](Self::insert) each entry, all of them or none.
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
    /// use std::collections::HashMap;
    /// use diskette::{Index, Store};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # std::env::set_current_dir(&dir)?;
    /// let store = Store::open("store")?;
    /// let squares = Index::<u64, u64>::new(&store, "squares")?;
    /// squares.extend((0..100).map(|n| (n, n * n)))?;
    /// squares.extend(&HashMap::from([(100, 10_000)]))?;
    /// assert_eq!(squares.len()?, 101);
    ///
    /// let ages = Index::<String, u32>::new(&store, "ages")?;
    /// ages.extend([("Ada", 36), ("Alan", 41)])?;
    /// assert_eq!(ages.get("Alan")?, Some(41));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn extend<Q, W>(&self, entries: impl IntoIterator<Item = (Q, W)>) -> Result<()>
    where
        Q: Like<K>,
        W: Like<V>,
        V: DeserializeOwned,
        C: Codec,
    {
        self.doing("extend", || {
            self.inside().write(|db| {
                for (key, value) in entries {
                    let key = self.key(&key)?;
                    let stored = self.encode(&key, &value)?;
                    self.put(db, &key, stored)?;
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
    ///
    /// # Example
    ///
    /// ```
    /// use diskette::{Index, Store};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # std::env::set_current_dir(&dir)?;
    /// let store = Store::open("store")?;
    /// let ages = Index::<String, u32>::new(&store, "ages")?;
    /// ages.insert("Ada", &36)?;
    /// assert_eq!(ages.get_many(["Ada", "Bob"])?, [Some(36), None]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
            self.inside().recall_all(
                keys.iter().map(Vec::as_slice),
                |key, value| decode_value::<V, C>(value, key).map(Some),
                |db, key, keeping| self.find_keeping(db, key, keeping),
            )
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
                let (entries, mut gone) = (self.entries(), Gone::default());
                for key in &keys {
                    if let Some(place) = entries.place(db, key)? {
                        entries.drop_row(db, place, &mut gone)?;
                    }
                }
                entries.count_off(db, gone)?;
                Ok(usize::try_from(gone.rows).unwrap_or(0))
            })
        })
    }

    /// Removes the entries for which `keep` says `false`, in one transaction; the order of the others
    /// stays. Goes through them in insertion order, a page at a time.
    ///
    /// `keep` runs within the transaction, while the store's other writers wait: it should be quick,
    /// and can't write to the store itself. If it panics, nothing is removed.
    ///
    /// # Errors
    ///
    /// Those of [`insert`](Self::insert) and [`get`](Self::get); nothing was removed.
    pub fn retain(&self, mut keep: impl FnMut(&K, &V) -> bool) -> Result<()>
    where
        K: DeserializeOwned,
        V: DeserializeOwned,
        C: Codec,
    {
        self.doing("retain", || {
            let sql = &sql::ENTRIES;
            let reading = Reading::new("retain", sql.in_order, |store, row| {
                Ok(Some((Place::of(row)?, read_entry::<K, V, C>(store, row)?)))
            });
            self.inside().free(|db| {
                let (entries, mut gone) = (self.entries(), Gone::default());
                let mut left = entries.ids(db)?;
                while let Some(range) = left {
                    let page = Page::fetch(db, &reading, &range, End::Front, PAGE)?;
                    left = page.left;
                    for (_, slot) in page.slots {
                        if let Some((place, (key, value))) =
                            slot.read(db, sql.find_entry, &reading)?
                            && !keep(&key, &value)
                        {
                            entries.drop_row(db, place, &mut gone)?;
                        }
                    }
                }
                entries.count_off(db, gone)
            })
        })
    }
}
