//! Reading and writing an entry as one step, that nobody else comes between.

use diskette_store::entries::{Entry, Maybe, Upsert};
use diskette_store::{Ahead, Codec, Error, ErrorKind, Like, Result, Stored};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::cache::Cache;
use crate::reach::Reach;
use crate::terms::Terms;

impl<K, V, C, A> Cache<K, V, C, A>
where
    V: Serialize + DeserializeOwned,
    C: Codec,
    A: Reach,
{
    /// Gives `change` the value of a key, and puts what it returns in its place: `None` is no entry,
    /// before and after. Returns the new value. Nobody changes the entry meanwhile. It keeps its terms; a new one never expires.
    ///
    /// `change` runs within the transaction, while the store's other writers wait: it should be quick,
    /// and can't write to the store itself. If it panics, nothing is changed.
    ///
    /// # Errors
    ///
    /// Those of [`insert`](Self::insert) and [`get`](Self::get).
    pub fn update<Q>(
        &self,
        key: &Q,
        change: impl FnOnce(Option<V>) -> Option<V>,
    ) -> Result<Option<V>>
    where
        Q: Like<K> + ?Sized,
    {
        self.update_with(key, None, change)
    }

    /// An [`update`](Self::update) on new terms.
    ///
    /// # Errors
    ///
    /// Those of [`insert`](Self::insert) and [`get`](Self::get).
    pub fn update_on<Q>(
        &self,
        key: &Q,
        terms: impl Into<Terms>,
        change: impl FnOnce(Option<V>) -> Option<V>,
    ) -> Result<Option<V>>
    where
        Q: Like<K> + ?Sized,
    {
        self.update_with(key, Some(&terms.into()), change)
    }

    fn update_with<Q>(
        &self,
        key: &Q,
        terms: Option<&Terms>,
        change: impl FnOnce(Option<V>) -> Option<V>,
    ) -> Result<Option<V>>
    where
        Q: Like<K> + ?Sized,
    {
        self.doing("update", || {
            let key = self.key(key)?;
            self.with_found(&key, terms, |old| {
                let new = change(old);
                let then = match &new {
                    Some(new) => Then::Put(self.encoded(&key, new)?),
                    None => Then::Remove,
                };
                Ok((then, new))
            })
        })
    }

    /// Inserts an entry or replaces its value and terms, in its place; returns the value before.
    ///
    /// # Errors
    ///
    /// Those of [`insert`](Self::insert) and [`get`](Self::get). If the old value can't be read, it stays.
    pub fn replace<Q, W>(&self, key: &Q, value: &W, terms: impl Into<Terms>) -> Result<Option<V>>
    where
        Q: Like<K> + ?Sized,
        W: Like<V> + ?Sized,
    {
        self.doing("replace", || {
            let key = self.key(key)?;
            self.with_found(&key, Some(&terms.into()), |old| {
                let stored = self.encoded(&key, value)?;
                Ok((Then::Put(stored), old))
            })
        })
    }

    /// The entry of a key, to read, change or insert in one transaction, which takes place at the
    /// [`Entry`]'s last method. It keeps its terms; a new one never expires.
    ///
    /// # Example
    ///
    /// ```
    /// use diskette::{Cache, Store};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # std::env::set_current_dir(&dir)?;
    /// let store = Store::open("store")?;
    /// let views = Cache::<String, u64>::new(&store, "views")?;
    /// views.entry("/").and_modify(|count| *count += 1).or_insert(1)?;
    /// assert_eq!(views.get("/")?, Some(1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn entry<Q: Like<K> + ?Sized>(&self, key: &Q) -> Entry<'_, V, Self> {
        Entry::new(self, self.key(key))
    }

    /// Puts `new` in the place of `expected`, if that is what is there; was it? Each is a value or `None`, for no entry: see
    /// [`Maybe`]. Values are compared as a `V`, not byte by byte. The entry keeps its terms; a new one never expires.
    ///
    /// # Errors
    ///
    /// Those of [`insert`](Self::insert) and [`get`](Self::get).
    pub fn compare_and_swap<Q, E, N>(&self, key: &Q, expected: E, new: N) -> Result<bool>
    where
        Q: Like<K> + ?Sized,
        E: Maybe<V>,
        N: Maybe<V>,
        V: PartialEq<E::Value>,
    {
        self.doing("compare_and_swap", || {
            let key = self.key(key)?;
            self.with_found(&key, None, |found| {
                if !expected.is(found.as_ref()) {
                    return Ok((Then::Keep, false));
                }
                let then = match new.value() {
                    Some(new) => Then::Put(self.encoded(&key, new)?),
                    None => Then::Remove,
                };
                Ok((then, true))
            })
        })
    }

    /// Adds to an integer, and returns the sum; what is not there, or has expired, counts as 0. The entry keeps its terms; a new
    /// one never expires. To take away, add a negative number.
    ///
    /// # Errors
    ///
    /// Those of [`insert`](Self::insert); [`is_invalid_input`](Error::is_invalid_input) when the sum is out of `V`'s range:
    /// nothing was changed.
    ///
    /// # Example
    ///
    /// ```
    /// use diskette::{Cache, Store};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # std::env::set_current_dir(&dir)?;
    /// let store = Store::open("store")?;
    /// let stock = Cache::<String, u32>::new(&store, "stock")?;
    /// assert_eq!(stock.increment("apple", 3)?, 3);
    /// assert_eq!(stock.increment("apple", -1)?, 2);
    /// assert!(stock.increment("apple", -3).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn increment<Q>(&self, key: &Q, by: i64) -> Result<V>
    where
        Q: Like<K> + ?Sized,
        V: Copy + Into<i128> + TryFrom<i128>,
    {
        self.doing("increment", || {
            let key = self.key(key)?;
            self.with_found(&key, None, |found| {
                let sum = found.map_or(0, Into::into) + i128::from(by);
                let sum = V::try_from(sum).map_err(|_| {
                    Error::new(
                        ErrorKind::InvalidInput,
                        format!("{sum} is out of the range of its type; nothing was changed"),
                    )
                })?;
                Ok((Then::Put(self.encoded(&key, &sum)?), sum))
            })
        })
    }

    /// The value of a key; if it is not there, inserts what `make` returns on these terms, and returns that.
    ///
    /// `make` runs outside of any transaction, so that it may take its time, and use the store. If
    /// somebody else inserts the key meanwhile, what it made is dropped, and theirs is returned.
    ///
    /// # Errors
    ///
    /// Those of [`insert`](Self::insert) and [`get`](Self::get).
    pub fn get_or_insert_with<Q>(
        &self,
        key: &Q,
        terms: impl Into<Terms>,
        make: impl FnOnce() -> V,
    ) -> Result<V>
    where
        Q: Like<K> + ?Sized,
    {
        if let Some(value) = self.get(key)? {
            return Ok(value);
        }
        let made = make();
        self.doing("get_or_insert_with", || {
            let key = self.key(key)?;
            let found = self.with_found(&key, Some(&terms.into()), |found| match found {
                Some(found) => Ok((Then::Keep, Some(found))),
                None => Ok((Then::Put(self.encoded(&key, &made)?), None)),
            })?;
            Ok(found.unwrap_or(made))
        })
    }

    /// Runs `then`, in a turn to write, with what is found under a key, and does what it says.
    fn with_found<R>(
        &self,
        key: &[u8],
        terms: Option<&Terms>,
        then: impl FnOnce(Option<V>) -> Result<(Then, R)>,
    ) -> Result<R> {
        let (part, mut then) = (self.part(key), Some(then));
        Ahead::take::<C, _>(&part.inside(), |db, ahead| {
            let now = part.inner.timeline.now();
            let (found, value) = match part.find_ahead::<C, V>(db, key, now, ahead)? {
                Some((_, None)) => return Ok(None),
                found => found.unzip(),
            };
            let Some(then) = then.take() else {
                return Ok(None);
            };
            let (then, result) = then(value.flatten())?;
            match (then, found) {
                (Then::Put(stored), found) => {
                    let terms = terms.map(|terms| terms.begin(&part.inner.timeline, now));
                    let mut stored = Some(stored);
                    // What was found is not to change meanwhile: so all the room is made in this turn.
                    while !part.put(db, key, found, &mut stored, terms.as_ref(), now)? {}
                }
                (Then::Remove, Some(found)) => part.take(db, found)?,
                (Then::Remove, None) | (Then::Keep, _) => {}
            }
            Ok(Some(result))
        })
    }
    /// A value on its way to a key.
    fn encoded<W: Like<V> + ?Sized>(&self, key: &[u8], value: &W) -> Result<Stored> {
        self.part(key).encode::<C, V, W>(key, value)
    }
}

/// What is to become of an entry.
enum Then {
    Keep,
    Put(Stored),
    Remove,
}

#[doc(hidden)]
impl<K, V, C, A> Upsert<V> for Cache<K, V, C, A>
where
    V: Serialize + DeserializeOwned,
    C: Codec,
    A: Reach,
{
    fn encode<W: Like<V> + ?Sized>(&self, key: &[u8], value: &W) -> Result<Stored> {
        self.encoded(key, value)
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
            self.with_found(&key, None, |found| {
                let (value, stored) = make(&key, found)?;
                Ok((stored.map_or(Then::Keep, Then::Put), value))
            })
        })
    }
}
