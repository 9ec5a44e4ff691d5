use std::ops::{Bound, Range, RangeBounds};

use serde::Serialize;

use crate::access::Access;
use crate::entries::{Entries, Position};
use crate::error::Result;
use crate::key;
use crate::like::Like;
use crate::row::Value;

/// From one key's bytes to before another's; an open end is `None`.
pub type Bounds = (Option<Vec<u8>>, Option<Vec<u8>>);

impl<A: Access> Entries<'_, A> {
    /// The bytes of a range's ends.
    pub fn bounds<K, Q, R>(&self, range: &R) -> Result<Bounds>
    where
        K: ?Sized,
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

    /// The ends of the keys that begin with `prefix`; see [`key::prefix`].
    pub fn prefix<P: Serialize + ?Sized>(&self, prefix: &P) -> Result<Bounds> {
        let (start, end) = key::prefix(prefix)?;
        let whole = |bytes: Vec<u8>| [&self.share().beginning(), bytes.as_slice()].concat();
        Ok((Some(whole(start)), end.map(whole)))
    }

    /// An open end is after the last key there is now; `None`: nothing is in it.
    pub fn until_now(&self, (start, end): Bounds) -> Result<Option<Range<Vec<u8>>>> {
        let all = self.share().keys();
        let start = start.unwrap_or_else(|| all.start.to_vec());
        let end = match end {
            Some(end) => Some(end),
            None => self
                .inside()
                .look(|db| db.query_one(self.sql.last_key, &all_keys(&all), Vec::<u8>::of))?
                .map(Vec::after),
        };
        Ok(end.filter(|end| start < *end).map(|end| start..end))
    }

    /// An open end is after all keys that there could be.
    pub fn closed(&self, (start, end): Bounds) -> Range<Vec<u8>> {
        let all = self.share().keys();
        let start = start.unwrap_or_else(|| all.start.to_vec());
        start..end.unwrap_or_else(|| all.end.to_vec())
    }
}

/// The keys of a share, as statements want them.
pub fn all_keys(keys: &Range<[u8; 3]>) -> [Value<'_>; 2] {
    [keys.start.as_slice().into(), keys.end.as_slice().into()]
}

/// The ends of a range, as statements want them.
pub fn ends(range: &Range<Vec<u8>>) -> [Value<'_>; 2] {
    [range.start.as_slice().into(), range.end.as_slice().into()]
}
