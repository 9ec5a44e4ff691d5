use std::marker::PhantomData;
use std::path::Path;

use diskette_store::{
    Access, Ahead, Codec, Content, Like, MessagePack, Result, Store, Transaction,
};
use serde::de::DeserializeOwned;

use crate::options::CacheOptions;
use crate::part::Part;
use crate::reach::Reach;
use crate::sql;
use crate::terms::{Expiry, Terms, Until};

/// A persistent map from `K` to `V`, shared by any number of processes, that forgets: entries expire, and when it has come to
/// its limit, some make room for others.
///
/// A handle: cheap to clone, and to send to other threads. Each method is one transaction by itself;
/// [`within`](Self::within) makes several of them one, with those of other structures.
///
/// There is no limit unless one is asked for: [`max_bytes`](CacheOptions::max_bytes),
/// [`max_entries`](CacheOptions::max_entries). It is recorded in the store, with the [`Policy`](crate::Policy) by which entries
/// go. What an entry is kept for, and how it can be found, say its [`Terms`]. Keys, values, codec and streams are those of an
/// [`Index`](https://docs.rs/diskette/latest/diskette/struct.Index.html).
///
/// # Process safety
///
/// Any number of processes and threads may read and write at the same time. Readers wait for nobody, and write nothing: which
/// entries were read is gathered in memory, and written down by who evicts next, or in the background: when others evict, else once
/// a minute. Of those who write to a store one does at a time: a [`ShardedCache`](crate::ShardedCache) is several.
///
/// # Crashes
///
/// A process that dies, at any moment, leaves each of its operations done or not begun. One that returned is done. What it
/// knew of its latest reads is lost, so that the policy, and [`Expiry::Idle`], don't know of them.
///
/// # Ordering
///
/// That of an index: insertion order, in which an entry that is replaced keeps its place, and key order.
///
/// # Expiry
///
/// An entry that has expired is not there, for whatever method, from that microsecond on. What it takes is freed in passing by
/// those who write, by [`expire`](Self::expire) and by [`upkeep`](Self::upkeep). The time goes by the uptime of the system, so
/// that setting its clock makes no difference; and over a restart by the time of day.
///
/// # Cost
///
/// [`get`](Self::get) is one statement, at any size; what it, [`get_many`](Self::get_many) and [`contains_key`](Self::contains_key)
/// have read is had again from [memory](diskette_store::Options::memory), a fifteenth of the time, until anything is committed to the
/// store. [`insert`](Self::insert) is one; two or three in a transaction where there is a
/// limit, and some ten more where an entry has to go. At most 256 go in one transaction, so that others can write in between.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use diskette::{Cache, Store};
///
/// # let dir = tempfile::tempdir()?;
/// # std::env::set_current_dir(&dir)?;
/// let store = Store::open("crawl")?;
/// let pages = Cache::<String, String>::options()
///     .max_bytes(100 << 20)
///     .new(&store, "pages")?;
///
/// pages.insert_with("https://example.org/", "<html>", Duration::from_secs(3600))?;
/// assert_eq!(pages.get("https://example.org/")?.as_deref(), Some("<html>"));
/// assert_eq!(pages.get("https://example.com/")?, None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Cache<K, V, C = MessagePack, A: Reach = Store> {
    pub(crate) access: A,
    pub(crate) inner: A::Inner,
    pub(crate) types: PhantomData<Types<K, V, C>>,
}

/// They are made, never held: a handle can go to other threads whether they can or not.
pub(crate) type Types<K, V, C> = fn() -> (K, V, C);

impl<K, V: Content<MessagePack>> Cache<K, V> {
    /// The cache of this name in a store; created, without a limit, if it is not there.
    ///
    /// # Errors
    ///
    /// [`is_wrong_kind`](diskette_store::Error::is_wrong_kind) when the name belongs to another kind of
    /// structure, or to a cache with another codec;
    /// [`is_invalid_input`](diskette_store::Error::is_invalid_input) for a name that is empty, longer
    /// than 255 bytes or has control characters.
    pub fn new(store: &Store, name: &str) -> Result<Self> {
        Self::options().new(store, name)
    }

    /// A cache in a store of its own: the one called `cache` in the store in this directory.
    ///
    /// # Errors
    ///
    /// Those of [`Store::open`] and [`new`](Self::new).
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::options().open(path)
    }

    /// Opens the cache of this name; `None` if there is none.
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new).
    pub fn find(store: &Store, name: &str) -> Result<Option<Self>> {
        Self::options().find(store, name)
    }

    /// Opens the cache of this name within a transaction, or makes it, as part of that. It can be used there only.
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new).
    pub fn new_within<'t, 's>(
        tx: &'t Transaction<'s>,
        name: &str,
    ) -> Result<Cache<K, V, MessagePack, &'t Transaction<'s>>> {
        Self::options().new_within(tx, name)
    }

    /// How to open a cache otherwise than by default: with a limit, a policy, another codec.
    pub fn options() -> CacheOptions<K, V> {
        CacheOptions::default()
    }
}

impl<K, V, C> Cache<K, V, C> {
    /// The name of a cache that has a store of its own.
    pub(crate) const ALONE: &str = "cache";
}

impl<K, V, C, A: Reach> Cache<K, V, C, A> {
    /// The value of a key, if it is there and hasn't expired.
    ///
    /// # Errors
    ///
    /// Those of every reading method:
    ///
    /// - [`is_codec`](diskette_store::Error::is_codec): the bytes are not those of a `V`, or `key` can't be
    ///   written as bytes;
    /// - [`is_corrupt`](diskette_store::Error::is_corrupt): the database, or the file of a large value, is
    ///   damaged.
    pub fn get<Q>(&self, key: &Q) -> Result<Option<V>>
    where
        Q: Like<K> + ?Sized,
        V: DeserializeOwned,
        C: Codec,
    {
        self.doing("get", || {
            let key = self.key(key)?;
            let part = self.part(&key);
            let found = part.find::<C, V>(&key)?;
            part.inner.count(found.as_ref().map(|(known, _)| known.of));
            Ok(found.map(|(_, value)| value))
        })
    }

    /// Is the key there? This is not a read, for policy and statistics.
    ///
    /// # Errors
    ///
    /// Those of [`get`](Self::get), except that the value is not looked at.
    pub fn contains_key<Q: Like<K> + ?Sized>(&self, key: &Q) -> Result<bool> {
        self.doing("contains_key", || {
            let key = self.key(key)?;
            let part = self.part(&key);
            part.is_there(&key)
        })
    }

    /// Inserts an entry that never expires, or replaces one with its terms, in its place.
    ///
    /// # Errors
    ///
    /// Those of every writing method:
    ///
    /// - [`is_codec`](diskette_store::Error::is_codec): the key or value can't be written as bytes;
    /// - [`is_full`](diskette_store::Error::is_full): the entry is larger than the limit, or there is no room for it and the
    ///   policy is to [refuse](crate::Policy::Refuse);
    /// - [`is_timeout`](diskette_store::Error::is_timeout): the turn to write didn't come in time;
    /// - [`is_disk_full`](diskette_store::Error::is_disk_full),
    ///   [`is_read_only`](diskette_store::Error::is_read_only): nothing was changed.
    pub fn insert<Q, W>(&self, key: &Q, value: &W) -> Result<()>
    where
        Q: Like<K> + ?Sized,
        W: Like<V> + ?Sized,
        V: DeserializeOwned,
        C: Codec,
    {
        self.insert_with(key, value, Terms::default())
    }

    /// Inserts an entry on these [terms](Terms), or replaces one with its terms, in its place. A `Duration` says after how long
    /// it expires.
    ///
    /// # Errors
    ///
    /// Those of [`insert`](Self::insert).
    pub fn insert_with<Q, W>(&self, key: &Q, value: &W, terms: impl Into<Terms>) -> Result<()>
    where
        Q: Like<K> + ?Sized,
        W: Like<V> + ?Sized,
        V: DeserializeOwned,
        C: Codec,
    {
        self.doing("insert", || {
            let key = self.key(key)?;
            let part = self.part(&key);
            let stored = part.encode::<C, V, W>(&key, value)?;
            part.store_entry(&key, stored, &terms.into())
        })
    }

    /// Inserts an entry on these [terms](Terms), unless its key is there; was it inserted? Of all processes that insert a key
    /// only one is told `true`.
    ///
    /// # Errors
    ///
    /// Those of [`insert`](Self::insert).
    pub fn insert_if_absent<Q, W>(
        &self,
        key: &Q,
        value: &W,
        terms: impl Into<Terms>,
    ) -> Result<bool>
    where
        Q: Like<K> + ?Sized,
        W: Like<V> + ?Sized,
        V: DeserializeOwned,
        C: Codec,
    {
        self.doing("insert_if_absent", || {
            let key = self.key(key)?;
            let part = self.part(&key);
            // Mostly it is there: then nothing has to be written.
            if part.is_there(&key)? {
                return Ok(false);
            }
            let stored = part.encode::<C, V, W>(&key, value)?;
            let terms = terms.into();
            part.put_in_turns(stored, |db, stored, now| {
                match part.live(db, &key, now)? {
                    Some(_) => Ok(Some(false)),
                    None => {
                        let terms = terms.begin(&part.inner.timeline, now);
                        let put = part.put(db, &key, None, stored, Some(&terms), now)?;
                        Ok(put.then_some(true))
                    }
                }
            })
        })
    }

    /// Removes an entry, and returns its value.
    ///
    /// # Errors
    ///
    /// Those of [`insert`](Self::insert) and [`get`](Self::get). An entry whose value can't be read
    /// stays; [`delete`](Self::delete) removes it.
    pub fn remove<Q>(&self, key: &Q) -> Result<Option<V>>
    where
        Q: Like<K> + ?Sized,
        V: DeserializeOwned,
        C: Codec,
    {
        self.doing("remove", || {
            let key = self.key(key)?;
            let part = self.part(&key);
            Ahead::take::<C, _>(&part.inside(), |db, ahead| {
                let now = part.inner.timeline.now();
                match part.find_ahead::<C, V>(db, &key, now, ahead)? {
                    None => Ok(Some(None)),
                    Some((_, None)) => Ok(None),
                    Some((found, value)) => {
                        part.take(db, found)?;
                        Ok(Some(value))
                    }
                }
            })
        })
    }

    /// Removes an entry without reading its value, whatever state that is in; was it there?
    ///
    /// # Errors
    ///
    /// Those of [`insert`](Self::insert).
    pub fn delete<Q: Like<K> + ?Sized>(&self, key: &Q) -> Result<bool> {
        self.doing("delete", || {
            let key = self.key(key)?;
            let part = self.part(&key);
            part.inside().free(|db| {
                let Some(found) = part.live(db, &key, part.inner.timeline.now())? else {
                    return Ok(false);
                };
                part.take(db, found)?;
                Ok(true)
            })
        })
    }

    /// Gives an entry another expiry, from now on; is it there at all? One that has expired can't be revived.
    ///
    /// # Errors
    ///
    /// Those of [`insert`](Self::insert).
    pub fn touch<Q>(&self, key: &Q, expiry: impl Into<Expiry>) -> Result<bool>
    where
        Q: Like<K> + ?Sized,
    {
        self.doing("touch", || {
            let key = self.key(key)?;
            let (part, expiry) = (self.part(&key), expiry.into());
            part.inside().write(|db| {
                let now = part.inner.timeline.now();
                let Some(found) = part.live(db, &key, now)? else {
                    return Ok(false);
                };
                let until = Until::of(expiry, &part.inner.timeline, now);
                let Until { expires, idle } = until;
                let row = [expires.into(), idle.into(), found.place.id.into()];
                db.run(sql::TOUCH, &row)?;
                part.inner.expires_at(expires);
                Ok(true)
            })
        })
    }

    /// The number of entries that haven't expired.
    ///
    /// # Errors
    ///
    /// Those of the database.
    ///
    /// # Cost
    ///
    /// Two statements, at any size; the second counts what has expired and isn't freed yet.
    pub fn len(&self) -> Result<usize> {
        self.doing("len", || self.sum(|part| part.len()))
    }

    /// The number of entries, those that have expired and aren't freed yet among them. One statement, at any size.
    ///
    /// # Errors
    ///
    /// Those of the database.
    pub fn len_stored(&self) -> Result<usize> {
        self.doing("len_stored", || self.sum(|part| part.len_stored()))
    }

    /// Are there no entries that haven't expired?
    ///
    /// # Errors
    ///
    /// Those of the database.
    pub fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Removes all entries. The time it takes grows with their number.
    ///
    /// # Errors
    ///
    /// Those of [`insert`](Self::insert).
    pub fn clear(&self) -> Result<()> {
        self.doing("clear", || self.parts().try_for_each(|part| part.clear()))
    }
}

impl<A: Access> Part<'_, A> {
    fn len(&self) -> Result<usize> {
        let now = self.inner.timeline.now();
        let count = self.inside().read(|db| {
            let count = self.entries().count(db)?;
            let id = self.inner.structure.id().into();
            let expired = db.query_one(sql::COUNT_EXPIRED, &[id, now.into()], |row| row.int(0))?;
            Ok(count - expired.unwrap_or(0))
        })?;
        Ok(usize::try_from(count).unwrap_or(0))
    }

    fn len_stored(&self) -> Result<usize> {
        let count = self.inside().look(|db| self.entries().some(db))?;
        Ok(usize::try_from(count.unwrap_or(0)).unwrap_or(0))
    }

    fn clear(&self) -> Result<()> {
        self.inside().free(|db| {
            self.entries().drop_all(db)?;
            let [first, end] = self.entries().all();
            let id = self.inner.structure.id().into();
            db.run(sql::COUNT_BYTES, &[first, end, id])?;
            db.run(sql::SET_HAND, &[0.into(), id])
        })
    }
}
