//! Iterating, in insertion order, by key and by tag.

use std::ops::RangeBounds;
use std::sync::Arc;

use diskette_store::entries::{
    Bounds, Directions, Entries, Iter, Keys, Merge, Position, Range, RangeKeys, Reading, Values,
    Walks, read_entry, read_key, read_value,
};
use diskette_store::{Access, Codec, Error, Like, Result, Row, Store};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::cache::Cache;
use crate::part::Part;
use crate::reach::Reach;
use crate::sql;

/// These are no reads, for policy and statistics.
impl<K, V, C, A: Reach> Cache<K, V, C, A>
where
    A::Access: Clone,
{
    /// The entries, in insertion order; a double-ended iterator of `Result<(K, V)>`.
    pub fn iter(&self) -> Iter<K, V, A::Access>
    where
        K: DeserializeOwned,
        V: DeserializeOwned,
        C: Codec,
    {
        let read = |store: &Store, row: &Row<'_>| read_entry::<K, V, C>(store, row);
        self.in_order("iter", sql::ENTRIES.in_order, None, read)
            .into()
    }

    /// The keys, in insertion order, without a look at the values; a double-ended iterator of
    /// `Result<K>`.
    pub fn keys(&self) -> Keys<K, A::Access>
    where
        K: DeserializeOwned,
    {
        self.in_order("keys", sql::ENTRIES.keys_in_order, None, |_, row| {
            read_key(row)
        })
        .into()
    }

    /// The values, in insertion order; a double-ended iterator of `Result<V>`.
    pub fn values(&self) -> Values<V, A::Access>
    where
        V: DeserializeOwned,
        C: Codec,
    {
        let read = |store: &Store, row: &Row<'_>| read_value::<V, C>(store, row, row.blob(3)?);
        self.in_order("values", sql::ENTRIES.in_order, None, read)
            .into()
    }

    /// The entries that have a tag, in insertion order; a double-ended iterator of `Result<(K, V)>`.
    pub fn tagged(&self, tag: &str) -> Iter<K, V, A::Access>
    where
        K: DeserializeOwned,
        V: DeserializeOwned,
        C: Codec,
    {
        let read = |store: &Store, row: &Row<'_>| read_entry::<K, V, C>(store, row);
        self.in_order("tagged", sql::TAGGED, Some(tag), read).into()
    }

    /// The entries whose keys are in `range`, in key order; a double-ended iterator of `Result<(K, V)>`.
    pub fn range<Q, R>(&self, range: R) -> Range<K, V, A::Access>
    where
        Q: Like<K> + ?Sized,
        R: RangeBounds<Q>,
        K: DeserializeOwned,
        V: DeserializeOwned,
        C: Codec,
    {
        let bounds = |entries: Entries<'_, A::Access>| entries.bounds::<K, Q, R>(&range);
        let read = |store: &Store, row: &Row<'_>| read_entry::<K, V, C>(store, row);
        self.by_key("range", sql::ENTRIES.by_key, bounds, read)
            .into()
    }

    /// The keys in `range`, in key order, without a look at the values; a double-ended iterator of `Result<K>`.
    pub fn range_keys<Q, R>(&self, range: R) -> RangeKeys<K, A::Access>
    where
        Q: Like<K> + ?Sized,
        R: RangeBounds<Q>,
        K: DeserializeOwned,
    {
        let bounds = |entries: Entries<'_, A::Access>| entries.bounds::<K, Q, R>(&range);
        let read = |_: &Store, row: &Row<'_>| read_key(row);
        self.by_key("range_keys", sql::ENTRIES.keys_by_key, bounds, read)
            .into()
    }

    /// The entries whose keys begin with `prefix`, in key order: of strings those that start with a
    /// string, of tuples those whose first fields are the fields of a tuple. For more see
    /// [`key::prefix`](diskette_store::key::prefix).
    pub fn prefix<P: Serialize + ?Sized>(&self, prefix: &P) -> Range<K, V, A::Access>
    where
        K: DeserializeOwned,
        V: DeserializeOwned,
        C: Codec,
    {
        let bounds = |entries: Entries<'_, A::Access>| entries.prefix(prefix);
        let read = |store: &Store, row: &Row<'_>| read_entry::<K, V, C>(store, row);
        self.by_key("prefix", sql::ENTRIES.by_key, bounds, read)
            .into()
    }

    fn in_order<T>(
        &self,
        verb: &'static str,
        pages: Directions,
        with: Option<&str>,
        read: impl Fn(&Store, &Row<'_>) -> Result<T> + Clone + Send + Sync + 'static,
    ) -> Walks<A::Access, i64, T> {
        if let Err(error) = self.access.must_be_whole() {
            return self.failed(verb, pages, error);
        }
        let walk = |part: Part<'_, A::Access>| {
            let reading = Reading {
                with: with.map(str::to_owned),
                ..part.reading(verb, pages, read.clone())
            };
            part.entries().walk(reading)
        };
        Walks::InTurn(self.parts().map(walk).collect())
    }

    fn by_key<T>(
        &self,
        verb: &'static str,
        pages: Directions,
        bounds: impl Fn(Entries<'_, A::Access>) -> Result<Bounds>,
        read: impl Fn(&Store, &Row<'_>) -> Result<T> + Clone + Send + Sync + 'static,
    ) -> Walks<A::Access, Vec<u8>, T> {
        if let Err(error) = self.access.must_be_whole() {
            return self.failed(verb, pages, error);
        }
        let walk = |part: Part<'_, A::Access>| {
            let (reading, entries) = (part.reading(verb, pages, read.clone()), part.entries());
            let range = bounds(entries).and_then(|bounds| entries.until_now(bounds));
            entries.walk_through(reading, range)
        };
        match self.access.parts() {
            1 => walk(self.nth(0)).into(),
            _ => Walks::Merged(Merge::of(self.parts().map(walk).collect())),
        }
    }

    /// An error is the only item.
    fn failed<P: Position, T>(
        &self,
        verb: &'static str,
        pages: Directions,
        error: Error,
    ) -> Walks<A::Access, P, T> {
        let reading = Reading::new(verb, pages, |_, _| Ok(None));
        let entries = self.nth(0).entries();
        entries.walk_through(reading, Err(error)).into()
    }
}

impl<A: Access> Part<'_, A> {
    /// Reads what hasn't expired when its turn comes.
    fn reading<T>(
        &self,
        verb: &'static str,
        pages: Directions,
        read: impl Fn(&Store, &Row<'_>) -> Result<T> + Send + Sync + 'static,
    ) -> Reading<T> {
        let inner = Arc::clone(self.inner);
        Reading::new(verb, pages, move |store, row| {
            match inner.lives(row.opt_int(4)?) {
                true => read(store, row).map(Some),
                false => Ok(None),
            }
        })
    }
}

impl<K, V, C, A> IntoIterator for &Cache<K, V, C, A>
where
    K: DeserializeOwned,
    V: DeserializeOwned,
    C: Codec,
    A: Reach,
    A::Access: Clone,
{
    type Item = Result<(K, V)>;
    type IntoIter = Iter<K, V, A::Access>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
