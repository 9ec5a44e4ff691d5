//! Reading and writing an entry as one step, that nobody else comes between.

use diskette_store::entries::{Entry, Maybe, Place, Upsert};
use diskette_store::{Access, Ahead, Codec, Db, Like, Result, Stored};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::index::Index;
use crate::rows::add;

impl<K, V, C, A> Index<K, V, C, A>
where
    V: DeserializeOwned,
    C: Codec,
    A: Access,
{
    /// Inserts an entry or replaces its value, in its place; returns the value before.
    ///
    /// # Errors
    ///
    /// Those of [`insert`](Self::insert) and [`get`](Self::get). If the old value can't be read, it stays.
    pub fn replace<Q, W>(&self, key: &Q, value: &W) -> Result<Option<V>>
    where
        Q: Like<K> + ?Sized,
        W: Like<V> + ?Sized,
    {
        self.doing("replace", || {
            let key = self.key(key)?;
            let stored = self.encode(&key, value)?;
            self.with_found(&key, |db, place, old| {
                self.swap(db, &key, place, Some(stored))?;
                Ok(old)
            })
        })
    }

    /// Gives `change` the value of a key, and puts what it returns in its place: `None` is no entry,
    /// before and after. Returns the new value. Nobody changes the entry meanwhile.
    ///
    /// `change` runs within the transaction, while the store's other writers wait: it should be quick,
    /// and can't write to the store itself. If it panics, nothing is changed.
    ///
    /// # Errors
    ///
    /// Those of [`insert`](Self::insert) and [`get`](Self::get).
    ///
    /// # Example
    ///
    /// ```
    /// use diskette::{Index, Store};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # std::env::set_current_dir(&dir)?;
    /// let store = Store::open("store")?;
    /// let stock = Index::<String, u32>::new(&store, "stock")?;
    /// stock.insert("apple", &2)?;
    ///
    /// let sell = |left: Option<u32>| left.and_then(|left| left.checked_sub(1)).filter(|&left| left > 0);
    /// assert_eq!(stock.update("apple", sell)?, Some(1));
    /// assert_eq!(stock.update("apple", sell)?, None);
    /// assert!(!stock.contains_key("apple")?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn update<Q>(
        &self,
        key: &Q,
        change: impl FnOnce(Option<V>) -> Option<V>,
    ) -> Result<Option<V>>
    where
        Q: Like<K> + ?Sized,
        V: Serialize,
    {
        self.doing("update", || {
            let key = self.key(key)?;
            self.with_found(&key, |db, place, old| {
                let new = change(old);
                let stored = new.as_ref().map(|new| self.encode(&key, new)).transpose()?;
                self.swap(db, &key, place, stored)?;
                Ok(new)
            })
        })
    }

    /// The entry of a key, to read, change or insert in one transaction, which takes place at the
    /// [`Entry`]'s last method.
    ///
    /// # Example
    ///
    /// ```
    /// use diskette::{Index, Store};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # std::env::set_current_dir(&dir)?;
    /// let store = Store::open("store")?;
    /// let words = Index::<String, u64>::new(&store, "words")?;
    /// for word in "to be or not to be".split(' ') {
    ///     words.entry(word).and_modify(|count| *count += 1).or_insert(1)?;
    /// }
    /// assert_eq!(words.get("be")?, Some(2));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn entry<Q: Like<K> + ?Sized>(&self, key: &Q) -> Entry<'_, V, Self>
    where
        V: Serialize,
    {
        Entry::new(self, self.key(key))
    }

    /// The value of a key; if it is not there, inserts what `make` returns, and returns that.
    ///
    /// `make` runs outside of any transaction, so that it may take its time, and use the store. If
    /// somebody else inserts the key meanwhile, what it made is dropped, and theirs is returned. To have
    /// only one of all processes make it, use [`entry`](Self::entry), for what is quickly made.
    ///
    /// # Errors
    ///
    /// Those of [`insert`](Self::insert) and [`get`](Self::get).
    pub fn get_or_insert_with<Q>(&self, key: &Q, make: impl FnOnce() -> V) -> Result<V>
    where
        Q: Like<K> + ?Sized,
        V: Serialize,
    {
        self.doing("get_or_insert_with", || {
            let key = self.key(key)?;
            if let Some((_, value)) = self.inside().look(|db| self.look_up(db, &key))? {
                return Ok(value);
            }
            let made = make();
            let stored = self.encode(&key, &made)?;
            let found = self.with_found(&key, |db, place, found| {
                if place.is_none() {
                    add(&self.structure, db, &key, stored)?;
                }
                Ok(found)
            });
            Ok(found?.unwrap_or(made))
        })
    }

    /// Puts `new` in the place of `expected`, if that is what is there; was it? Each is a value or `None`, for no entry: see
    /// [`Maybe`]. Values are compared as a `V`, not byte by byte.
    ///
    /// # Errors
    ///
    /// Those of [`insert`](Self::insert) and [`get`](Self::get).
    ///
    /// # Example
    ///
    /// ```
    /// use diskette::{Index, Store};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # std::env::set_current_dir(&dir)?;
    /// let store = Store::open("store")?;
    /// let leader = Index::<String, String>::new(&store, "leader")?;
    /// assert!(leader.compare_and_swap("eu", None, "Ada")?);
    /// assert!(!leader.compare_and_swap("eu", None, "Alan")?);
    /// assert!(leader.compare_and_swap("eu", "Ada", "Alan")?);
    /// assert!(leader.compare_and_swap("eu", "Alan", None)?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn compare_and_swap<Q, E, N>(&self, key: &Q, expected: E, new: N) -> Result<bool>
    where
        Q: Like<K> + ?Sized,
        E: Maybe<V>,
        N: Maybe<V>,
        V: PartialEq<E::Value>,
    {
        self.doing("compare_and_swap", || {
            let key = self.key(key)?;
            let stored = new.value().map(|new| self.encode(&key, new)).transpose()?;
            self.with_found(&key, |db, place, found| {
                let as_expected = expected.is(found.as_ref());
                if as_expected {
                    self.swap(db, &key, place, stored)?;
                }
                Ok(as_expected)
            })
        })
    }

    /// Runs `then`, in one turn to write, with what is found under a key.
    pub(crate) fn with_found<R>(
        &self,
        key: &[u8],
        then: impl FnOnce(&Db<'_>, Option<Place>, Option<V>) -> Result<R>,
    ) -> Result<R> {
        let mut then = Some(then);
        Ahead::take::<C, _>(&self.inside(), |db, ahead| {
            let (place, value) = match self.find_ahead(db, key, ahead)? {
                Some((_, None)) => return Ok(None),
                found => found.unzip(),
            };
            let then = then.take();
            then.map(|then| then(db, place, value.flatten()))
                .transpose()
        })
    }
}

#[doc(hidden)]
impl<K, V, C, A> Upsert<V> for Index<K, V, C, A>
where
    V: Serialize + DeserializeOwned,
    C: Codec,
    A: Access,
{
    fn encode<W: Like<V> + ?Sized>(&self, key: &[u8], value: &W) -> Result<Stored> {
        self.encode(key, value)
    }

    fn decode(&self, stored: &Stored) -> Result<V> {
        stored.read::<C, V>()
    }

    fn upsert(
        &self,
        key: Result<Vec<u8>>,
        make: impl FnOnce(&[u8], Option<V>) -> Result<(V, Option<Stored>)>,
    ) -> Result<V> {
        self.doing("entry", || {
            let key = key?;
            self.with_found(&key, |db, place, found| {
                let (value, stored) = make(&key, found)?;
                if stored.is_some() {
                    self.swap(db, &key, place, stored)?;
                }
                Ok(value)
            })
        })
    }
}
