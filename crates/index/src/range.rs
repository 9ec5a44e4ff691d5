//! Ranges of keys, and what is done with them as a whole.

use std::ops::{Bound, Range, RangeBounds};

use diskette_store::{Access, Like, Result, Value};
use serde::de::DeserializeOwned;

use crate::index::Index;
use crate::iter::RangeKeys;
use crate::rows::{read_key, read_place};
use crate::sql;
use crate::walk::{Position, Reading, Walk};

/// From one key's bytes to before another's; an open end is `None`.
pub(crate) type Bounds = (Option<Vec<u8>>, Option<Vec<u8>>);

impl<K, V, C, A: Access> Index<K, V, C, A> {
    /// The keys in `range`, in key order, without a look at the values; a double-ended iterator of `Result<K>`.
    ///
    /// # Example
    ///
    /// ```
    /// # use diskette::{Index, Store};
    /// # let dir = tempfile::tempdir()?;
    /// # let store = Store::open(dir.path())?;
    /// let squares = Index::<u64, u64>::new(&store, "squares")?;
    /// squares.extend((0..100).rev().map(|n| (n, n * n)))?;
    /// let keys = squares.range_keys(97..).collect::<Result<Vec<_>, _>>()?;
    /// assert_eq!(keys, [97, 98, 99]);
    /// assert_eq!(squares.count_range(..10)?, 10);
    /// assert_eq!(squares.remove_range(10..)?, 90);
    /// assert_eq!(squares.len()?, 10);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn range_keys<Q, R>(&self, range: R) -> RangeKeys<K, V, C, A>
    where
        Q: Like<K> + ?Sized,
        R: RangeBounds<Q>,
        K: DeserializeOwned,
        A: Clone,
    {
        let reading = Reading {
            verb: "range_keys",
            up: sql::RANGE_KEYS_UP,
            down: sql::RANGE_KEYS_DOWN,
            read: read_key::<K>,
        };
        let range = self
            .bounds(&range)
            .and_then(|bounds| self.until_now(bounds));
        RangeKeys(Walk::new(self.clone(), reading, range))
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
            let range = self.closed(&range)?;
            let count = self
                .inside()
                .read_one(|db| db.query_one(sql::COUNT_RANGE, &ends(&range), |row| row.int(0)));
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
            let range = self.closed(&range)?;
            self.inside().free(|db| {
                let count = self.count(db)?;
                let places = db.query(sql::PLACES_IN_RANGE, &ends(&range), read_place)?;
                for &place in &places {
                    self.drop_row(db, place)?;
                }
                let removed = i64::try_from(places.len()).unwrap_or(i64::MAX);
                self.recount(db, count.saturating_sub(removed))?;
                Ok(places.len())
            })
        })
    }

    pub(crate) fn bounds<Q, R>(&self, range: &R) -> Result<Bounds>
    where
        Q: Like<K> + ?Sized,
        R: RangeBounds<Q>,
    {
        let start = match range.start_bound() {
            Bound::Included(key) => Some(self.key(key)?),
            Bound::Excluded(key) => Some(self.key(key)?.after()),
            Bound::Unbounded => None,
        };
        let end = match range.end_bound() {
            Bound::Included(key) => Some(self.key(key)?.after()),
            Bound::Excluded(key) => Some(self.key(key)?),
            Bound::Unbounded => None,
        };
        Ok((start, end))
    }

    /// An open end is after the last key there is now; `None`: nothing is in it.
    pub(crate) fn until_now(&self, (start, end): Bounds) -> Result<Option<Range<Vec<u8>>>> {
        let all = self.share().keys();
        let start = start.unwrap_or_else(|| all.start.to_vec());
        let end = match end {
            Some(end) => Some(end),
            None => self
                .inside()
                .look(|db| db.query_one(sql::LAST_KEY, &all_keys(&all), Vec::<u8>::of))?
                .map(Vec::after),
        };
        Ok(end.filter(|end| start < *end).map(|end| start..end))
    }

    /// An open end is after all keys that there could be.
    fn closed<Q, R>(&self, range: &R) -> Result<Range<Vec<u8>>>
    where
        Q: Like<K> + ?Sized,
        R: RangeBounds<Q>,
    {
        let (start, end) = self.bounds(range)?;
        let all = self.share().keys();
        let start = start.unwrap_or_else(|| all.start.to_vec());
        Ok(start..end.unwrap_or_else(|| all.end.to_vec()))
    }
}

/// As statements want them.
pub(crate) fn all_keys(keys: &Range<[u8; 3]>) -> [Value<'_>; 2] {
    [keys.start.as_slice().into(), keys.end.as_slice().into()]
}

fn ends(range: &Range<Vec<u8>>) -> [Value<'_>; 2] {
    [range.start.as_slice().into(), range.end.as_slice().into()]
}
