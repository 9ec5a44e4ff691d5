//! Iterating, in insertion order, by key and by tag.

use std::ops::RangeBounds;
use std::sync::Arc;

use diskette_store::entries::{
    Bounds, Directions, Iter, Keys, Range, RangeKeys, Reading, Values, read_entry, read_key,
    read_value,
};
use diskette_store::{Access, Codec, Like, Result, Row, Store};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::cache::Cache;
use crate::sql;

/// These are no reads, for policy and statistics.
impl<K, V, C, A: Access + Clone> Cache<K, V, C, A> {
    /// The entries, in insertion order; a double-ended iterator of `Result<(K, V)>`.
    pub fn iter(&self) -> Iter<K, V, A>
    where
        K: DeserializeOwned,
        V: DeserializeOwned,
        C: Codec,
    {
        let read = |store: &Store, row: &Row<'_>| read_entry::<K, V, C>(store, row);
        let reading = self.reading("iter", sql::ENTRIES.in_order, read);
        self.entries().walk(reading).into()
    }

    /// The keys, in insertion order, without a look at the values; a double-ended iterator of
    /// `Result<K>`.
    pub fn keys(&self) -> Keys<K, A>
    where
        K: DeserializeOwned,
    {
        let reading = self.reading("keys", sql::ENTRIES.keys_in_order, |_, row| read_key(row));
        self.entries().walk(reading).into()
    }

    /// The values, in insertion order; a double-ended iterator of `Result<V>`.
    pub fn values(&self) -> Values<V, A>
    where
        V: DeserializeOwned,
        C: Codec,
    {
        let read = |store: &Store, row: &Row<'_>| read_value::<V, C>(store, row, row.blob(3)?);
        let reading = self.reading("values", sql::ENTRIES.in_order, read);
        self.entries().walk(reading).into()
    }

    /// The entries that have a tag, in insertion order; a double-ended iterator of `Result<(K, V)>`.
    pub fn tagged(&self, tag: &str) -> Iter<K, V, A>
    where
        K: DeserializeOwned,
        V: DeserializeOwned,
        C: Codec,
    {
        let read = |store: &Store, row: &Row<'_>| read_entry::<K, V, C>(store, row);
        let reading = Reading {
            with: Some(tag.to_owned()),
            ..self.reading("tagged", sql::TAGGED, read)
        };
        self.entries().walk(reading).into()
    }

    /// The entries whose keys are in `range`, in key order; a double-ended iterator of `Result<(K, V)>`.
    pub fn range<Q, R>(&self, range: R) -> Range<K, V, A>
    where
        Q: Like<K> + ?Sized,
        R: RangeBounds<Q>,
        K: DeserializeOwned,
        V: DeserializeOwned,
        C: Codec,
    {
        self.between("range", self.entries().bounds::<K, Q, R>(&range))
    }

    /// The keys in `range`, in key order, without a look at the values; a double-ended iterator of `Result<K>`.
    pub fn range_keys<Q, R>(&self, range: R) -> RangeKeys<K, A>
    where
        Q: Like<K> + ?Sized,
        R: RangeBounds<Q>,
        K: DeserializeOwned,
    {
        let pages = sql::ENTRIES.keys_by_key;
        let reading = self.reading("range_keys", pages, |_, row| read_key(row));
        let entries = self.entries();
        let bounds = entries.bounds::<K, Q, R>(&range);
        let range = bounds.and_then(|bounds| entries.until_now(bounds));
        entries.walk_through(reading, range).into()
    }

    /// The entries whose keys begin with `prefix`, in key order: of strings those that start with a
    /// string, of tuples those whose first fields are the fields of a tuple. For more see
    /// [`key::prefix`](diskette_store::key::prefix).
    pub fn prefix<P: Serialize + ?Sized>(&self, prefix: &P) -> Range<K, V, A>
    where
        K: DeserializeOwned,
        V: DeserializeOwned,
        C: Codec,
    {
        self.between("prefix", self.entries().prefix(prefix))
    }

    fn between(&self, verb: &'static str, bounds: Result<Bounds>) -> Range<K, V, A>
    where
        K: DeserializeOwned,
        V: DeserializeOwned,
        C: Codec,
    {
        let read = |store: &Store, row: &Row<'_>| read_entry::<K, V, C>(store, row);
        let reading = self.reading(verb, sql::ENTRIES.by_key, read);
        let entries = self.entries();
        let range = bounds.and_then(|bounds| entries.until_now(bounds));
        entries.walk_through(reading, range).into()
    }

    /// Reads what hasn't expired when its turn comes.
    fn reading<T>(
        &self,
        verb: &'static str,
        pages: Directions,
        read: impl Fn(&Store, &Row<'_>) -> Result<T> + Send + Sync + 'static,
    ) -> Reading<T> {
        let inner = Arc::clone(&self.inner);
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
    A: Access + Clone,
{
    type Item = Result<(K, V)>;
    type IntoIter = Iter<K, V, A>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
