//! What goes by one of the two orders.

use std::ops::RangeBounds;

use diskette_store::entries::{
    Bounds, Directions, End, Iter, Keys, Place, Range, Reading, Values, all_keys, read_entry,
    read_key, read_value, unreadable,
};
use diskette_store::{Access, Ahead, Codec, Db, Like, Result, Row, Value};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::index::Index;
use crate::sql;

/// In insertion order.
impl<K, V, C, A: Access> Index<K, V, C, A> {
    /// The entries, in insertion order; a double-ended iterator of `Result<(K, V)>`.
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
    /// ages.insert("Bob", &25)?;
    /// ages.insert("Ada", &36)?;
    /// for entry in &ages {
    ///     let (name, age) = entry?;
    ///     println!("{name} is {age}");
    /// }
    /// let entries = ages.iter().rev().collect::<Result<Vec<_>, _>>()?;
    /// assert_eq!(entries, [("Ada".into(), 36), ("Bob".into(), 25)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn iter(&self) -> Iter<K, V, A>
    where
        K: DeserializeOwned,
        V: DeserializeOwned,
        C: Codec,
        A: Clone,
    {
        let reading = Reading::new("iter", sql::ENTRIES.in_order, |store, row| {
            read_entry::<K, V, C>(store, row).map(Some)
        });
        self.entries().walk(reading).into()
    }

    /// The keys, in insertion order, without a look at the values; a double-ended iterator of
    /// `Result<K>`.
    pub fn keys(&self) -> Keys<K, A>
    where
        K: DeserializeOwned,
        A: Clone,
    {
        let reading = Reading::new("keys", sql::ENTRIES.keys_in_order, |_, row| {
            read_key(row).map(Some)
        });
        self.entries().walk(reading).into()
    }

    /// The keys whose values can't be read: an older program's, or a newer one's, or damaged. [`delete`](Self::delete)
    /// removes them.
    ///
    /// # Errors
    ///
    /// Those of the database, and keys that can't be read themselves.
    ///
    /// # Cost
    ///
    /// Reads all values.
    pub fn unreadable_keys(&self) -> Result<Vec<K>>
    where
        K: Serialize + DeserializeOwned,
        V: DeserializeOwned,
        C: Codec,
        A: Clone,
    {
        let mut unreadable = Vec::new();
        for key in self.keys() {
            let key = key?;
            match self.get(&key) {
                Err(error) if error.is_codec() || error.is_corrupt() => unreadable.push(key),
                read => drop(read?),
            }
        }
        Ok(unreadable)
    }

    /// The values, in insertion order; a double-ended iterator of `Result<V>`.
    pub fn values(&self) -> Values<V, A>
    where
        V: DeserializeOwned,
        C: Codec,
        A: Clone,
    {
        let reading = Reading::new("values", sql::ENTRIES.in_order, |store, row| {
            read_value::<V, C>(store, row, row.blob(3)?).map(Some)
        });
        self.entries().walk(reading).into()
    }

    /// The entry at the front of the insertion order.
    ///
    /// # Errors
    ///
    /// Those of [`get`](Self::get).
    pub fn oldest(&self) -> Result<Option<(K, V)>>
    where
        K: DeserializeOwned,
        V: DeserializeOwned,
        C: Codec,
    {
        self.look("oldest", End::Front)
    }

    /// The entry at the end of the insertion order.
    ///
    /// # Errors
    ///
    /// Those of [`get`](Self::get).
    pub fn newest(&self) -> Result<Option<(K, V)>>
    where
        K: DeserializeOwned,
        V: DeserializeOwned,
        C: Codec,
    {
        self.look("newest", End::Back)
    }
}

/// In insertion order, changing it.
impl<K, V, C, A: Access> Index<K, V, C, A> {
    /// Removes the entry at the front of the insertion order, and returns it.
    ///
    /// # Errors
    ///
    /// Those of [`remove`](Self::remove). An entry that can't be read stays.
    pub fn pop_oldest(&self) -> Result<Option<(K, V)>>
    where
        K: DeserializeOwned,
        V: DeserializeOwned,
        C: Codec,
    {
        self.pop("pop_oldest", End::Front)
    }

    /// Removes the entry at the end of the insertion order, and returns it.
    ///
    /// # Errors
    ///
    /// Those of [`remove`](Self::remove). An entry that can't be read stays.
    pub fn pop_newest(&self) -> Result<Option<(K, V)>>
    where
        K: DeserializeOwned,
        V: DeserializeOwned,
        C: Codec,
    {
        self.pop("pop_newest", End::Back)
    }

    /// Moves an entry to the end of the insertion order; is it there at all?
    ///
    /// # Errors
    ///
    /// Those of [`insert`](Self::insert).
    pub fn move_to_end<Q: Like<K> + ?Sized>(&self, key: &Q) -> Result<bool> {
        self.relocate("move_to_end", key, End::Back)
    }

    /// Moves an entry to the front of the insertion order; is it there at all?
    ///
    /// # Errors
    ///
    /// Those of [`insert`](Self::insert).
    pub fn move_to_front<Q: Like<K> + ?Sized>(&self, key: &Q) -> Result<bool> {
        self.relocate("move_to_front", key, End::Front)
    }

    fn relocate<Q: Like<K> + ?Sized>(&self, verb: &'static str, key: &Q, end: End) -> Result<bool> {
        self.doing(verb, || {
            let key = self.key(key)?;
            self.inside().write(|db| {
                let entries = self.entries();
                let (Some(place), Some(ids)) = (entries.place(db, &key)?, entries.ids(db)?) else {
                    return Ok(false);
                };
                let to = match end {
                    End::Front if place.id > ids.start => ids.start - 1,
                    End::Back if place.id < ids.end - 1 => ids.end,
                    _ => return Ok(true),
                };
                let count = entries.count(db)?;
                db.run(sql::RELOCATE, &[to.into(), place.id.into()])?;
                entries.recount(db, count)?;
                entries.stay_in_the_middle(db, to)?;
                Ok(true)
            })
        })
    }
}

/// In key order.
impl<K, V, C, A> Index<K, V, C, A>
where
    K: DeserializeOwned,
    V: DeserializeOwned,
    C: Codec,
    A: Access,
{
    /// The entry with the least key.
    ///
    /// # Errors
    ///
    /// Those of [`get`](Self::get).
    pub fn first_key_value(&self) -> Result<Option<(K, V)>> {
        self.look_by_key("first_key_value", End::Front)
    }

    /// The entry with the greatest key.
    ///
    /// # Errors
    ///
    /// Those of [`get`](Self::get).
    pub fn last_key_value(&self) -> Result<Option<(K, V)>> {
        self.look_by_key("last_key_value", End::Back)
    }

    /// Removes the entry with the least key, and returns it.
    ///
    /// # Errors
    ///
    /// Those of [`remove`](Self::remove). An entry that can't be read stays.
    pub fn pop_first(&self) -> Result<Option<(K, V)>> {
        self.pop_by_key("pop_first", End::Front)
    }

    /// Removes the entry with the greatest key, and returns it.
    ///
    /// # Errors
    ///
    /// Those of [`remove`](Self::remove). An entry that can't be read stays.
    pub fn pop_last(&self) -> Result<Option<(K, V)>> {
        self.pop_by_key("pop_last", End::Back)
    }

    /// The entries, in key order; a double-ended iterator of `Result<(K, V)>`.
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
    /// ages.extend([("Bob", 25), ("Ada", 36), ("Cy", 7)])?;
    /// let keys = ages.sorted_keys().collect::<Result<Vec<_>, _>>()?;
    /// assert_eq!(keys, ["Ada", "Bob", "Cy"]);
    /// let last = ages.sorted().rev().next().transpose()?;
    /// assert_eq!(last, Some(("Cy".into(), 7)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn sorted(&self) -> Range<K, V, A>
    where
        A: Clone,
    {
        self.between("sorted", Ok((None, None)))
    }

    /// The entries whose keys are in `range`, in key order; a double-ended iterator of `Result<(K, V)>`.
    ///
    /// A range that ends before it begins has no entries; it does not panic, as `BTreeMap`'s would.
    ///
    /// # Example
    ///
    /// ```
    /// use diskette::{Index, Store};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # std::env::set_current_dir(&dir)?;
    /// let store = Store::open("store")?;
    /// let readings = Index::<(String, u64), f64>::new(&store, "readings")?;
    /// readings.insert(&("roof", 1_700_000_000), &21.5)?;
    /// readings.insert(&("roof", 1_700_000_060), &21.75)?;
    ///
    /// let since = readings.range(("roof", 1_700_000_030)..=("roof", u64::MAX));
    /// let latest = since.rev().next().transpose()?;
    /// assert_eq!(latest.map(|(_, degrees)| degrees), Some(21.75));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn range<Q, R>(&self, range: R) -> Range<K, V, A>
    where
        Q: Like<K> + ?Sized,
        R: RangeBounds<Q>,
        A: Clone,
    {
        self.between("range", self.entries().bounds::<K, Q, R>(&range))
    }

    /// From one key's bytes to before another's; an open end is after the last key there is now.
    fn between(&self, verb: &'static str, bounds: Result<Bounds>) -> Range<K, V, A>
    where
        A: Clone,
    {
        let reading = Reading::new(verb, sql::ENTRIES.by_key, |store, row| {
            read_entry::<K, V, C>(store, row).map(Some)
        });
        let entries = self.entries();
        let range = bounds.and_then(|bounds| entries.until_now(bounds));
        entries.walk_through(reading, range).into()
    }

    /// The entries whose keys begin with `prefix`, in key order: of strings those that start with a
    /// string, of tuples those whose first fields are the fields of a tuple. For more see
    /// [`key::prefix`](diskette_store::key::prefix).
    ///
    /// # Example
    ///
    /// ```
    /// use diskette::{Index, Store};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # std::env::set_current_dir(&dir)?;
    /// let store = Store::open("store")?;
    /// let pages = Index::<String, u32>::new(&store, "pages")?;
    /// pages.insert("https://example.org/", &200)?;
    /// pages.insert("http://example.org/", &301)?;
    /// assert_eq!(pages.prefix("https:").count(), 1);
    ///
    /// let readings = Index::<(String, u64), f64>::new(&store, "readings")?;
    /// readings.insert(&("roof", 1_700_000_000), &21.5)?;
    /// assert_eq!(readings.prefix(&("roof",)).count(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn prefix<P: Serialize + ?Sized>(&self, prefix: &P) -> Range<K, V, A>
    where
        A: Clone,
    {
        self.between("prefix", self.entries().prefix(prefix))
    }

    fn look(&self, verb: &'static str, end: End) -> Result<Option<(K, V)>> {
        self.look_in(verb, sql::ENTRIES.in_order, end, self.entries().all())
    }

    fn look_by_key(&self, verb: &'static str, end: End) -> Result<Option<(K, V)>> {
        let keys = self.entries().share().keys();
        self.look_in(verb, sql::ENTRIES.by_key, end, all_keys(&keys))
    }

    fn look_in(
        &self,
        verb: &'static str,
        order: Directions,
        end: End,
        [first, last]: [Value<'_>; 2],
    ) -> Result<Option<(K, V)>> {
        let read = |row: &Row<'_>| read_entry::<K, V, C>(self.store(), row);
        let look = |db: &Db<'_>| db.query_one(order.to(end), &[first, last, 1.into()], read);
        self.doing(verb, || self.inside().look(look))
    }

    fn pop(&self, verb: &'static str, end: End) -> Result<Option<(K, V)>> {
        self.pop_in(verb, sql::ENTRIES.in_order, end, self.entries().all())
    }

    fn pop_by_key(&self, verb: &'static str, end: End) -> Result<Option<(K, V)>> {
        let keys = self.entries().share().keys();
        self.pop_in(verb, sql::ENTRIES.by_key, end, all_keys(&keys))
    }

    fn pop_in(
        &self,
        verb: &'static str,
        order: Directions,
        end: End,
        [first, last]: [Value<'_>; 2],
    ) -> Result<Option<(K, V)>> {
        self.doing(verb, || {
            Ahead::take::<C, _>(&self.inside(), |db, ahead| {
                let found = db.query_one(order.to(end), &[first, last, 1.into()], |row| {
                    let value = ahead.value::<C>(db, row, 2, 1);
                    let unreadable = |error| unreadable(error, row.blob(3).unwrap_or_default());
                    Ok((Place::of(row)?, read_key(row)?, value.map_err(unreadable)?))
                })?;
                let Some((place, key, value)) = found else {
                    return Ok(Some(None));
                };
                if value.is_some() {
                    self.take(db, place)?;
                }
                Ok(value.map(|value| Some((key, value))))
            })
        })
    }
}
