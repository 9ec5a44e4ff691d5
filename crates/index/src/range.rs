//! Ranges of keys, and what is done with them as a whole.

use std::ops::RangeBounds;

use diskette_store::entries::{Bounds, Gone, Place, RangeKeys, Reading, ends, read_key};
use diskette_store::{Access, Like, Result};
use serde::de::DeserializeOwned;

use crate::index::Index;
use crate::sql;

impl<K, V, C, A: Access> Index<K, V, C, A> {
    /// The keys in `range`, in key order, without a look at the values; a double-ended iterator of `Result<K>`.
    ///
    /// # Example
    ///
    /// ```
    /// use diskette::{Index, Store};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # std::env::set_current_dir(&dir)?;
    /// let store = Store::open("store")?;
    /// let squares = Index::<u64, u64>::new(&store, "squares")?;
    /// squares.extend((0..100).rev().map(|n| (n, n * n)))?;
    /// let keys = squares.range_keys(97..).collect::<Result<Vec<_>, _>>()?;
    /// assert_eq!(keys, [97, 98, 99]);
    /// assert_eq!(squares.count_range(..10)?, 10);
    /// assert_eq!(squares.remove_range(10..)?, 90);
    /// assert_eq!(squares.len()?, 10);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn range_keys<Q, R>(&self, range: R) -> RangeKeys<K, A>
    where
        Q: Like<K> + ?Sized,
        R: RangeBounds<Q>,
        K: DeserializeOwned,
        A: Clone,
    {
        self.keys_between("range_keys", self.entries().bounds::<K, Q, R>(&range))
    }

    /// All keys, in key order, without a look at the values; a double-ended iterator of `Result<K>`.
    pub fn sorted_keys(&self) -> RangeKeys<K, A>
    where
        K: DeserializeOwned,
        A: Clone,
    {
        self.keys_between("sorted_keys", Ok((None, None)))
    }

    /// How many keys are in `range`.
    ///
    /// # Errors
    ///
    /// Those of [`get`](Self::get).
    ///
    /// # Cost
    ///
    /// Goes through the keys, without reading them.
    pub fn count_range<Q, R>(&self, range: R) -> Result<usize>
    where
        Q: Like<K> + ?Sized,
        R: RangeBounds<Q>,
    {
        self.doing("count_range", || {
            let entries = self.entries();
            let range = entries.closed(entries.bounds::<K, Q, R>(&range)?);
            let count = self.inside().read_one(|db| {
                db.query_one(sql::ENTRIES.count_range, &ends(&range), |row| row.int(0))
            });
            Ok(usize::try_from(count?.unwrap_or(0)).unwrap_or(0))
        })
    }

    /// Removes the entries whose keys are in `range` without reading their values, in one transaction; returns how many.
    ///
    /// # Errors
    ///
    /// Those of [`insert`](Self::insert).
    pub fn remove_range<Q, R>(&self, range: R) -> Result<usize>
    where
        Q: Like<K> + ?Sized,
        R: RangeBounds<Q>,
    {
        self.doing("remove_range", || {
            let entries = self.entries();
            let range = entries.closed(entries.bounds::<K, Q, R>(&range)?);
            self.inside().free(|db| {
                let places = db.query(sql::ENTRIES.places_in_range, &ends(&range), Place::of)?;
                let mut gone = Gone::default();
                for &place in &places {
                    entries.drop_row(db, place, &mut gone)?;
                }
                entries.count_off(db, gone)?;
                Ok(places.len())
            })
        })
    }

    fn keys_between(&self, verb: &'static str, bounds: Result<Bounds>) -> RangeKeys<K, A>
    where
        K: DeserializeOwned,
        A: Clone,
    {
        let reading = Reading::new(verb, sql::ENTRIES.keys_by_key, |_, row| {
            read_key(row).map(Some)
        });
        let entries = self.entries();
        let range = bounds.and_then(|bounds| entries.until_now(bounds));
        entries.walk_through(reading, range).into()
    }
}
