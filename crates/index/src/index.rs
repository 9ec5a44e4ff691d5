use std::marker::PhantomData;
use std::path::Path;
use std::sync::Arc;

use diskette_store::entries::decode_value;
use diskette_store::{
    Access, Ahead, Codec, Content, Db, Like, MessagePack, Result, Store, Structure, Transaction,
};
use serde::de::DeserializeOwned;

use crate::options::IndexOptions;
use crate::rows::{add, put_inline};
use crate::sql;

/// A persistent map from `K` to `V`, shared by any number of processes, that keeps two orders: the one
/// in which the entries were inserted, and that of the keys.
///
/// A handle: cheap to clone, and to send to other threads. Each method is one transaction by itself;
/// [`within`](Self::within) makes several of them one.
///
/// A key is an integer, float, string, bytes, `bool`, `char`, an `Option` or tuple of those, or a
/// newtype; see [`key`](diskette_store::key). What stands for a key or a value may be given in its place, such as a
/// `&str` for a `String`; see [`Like`]. Values are written by the codec `C`; a large one becomes a file of
/// its own. For values that don't fit in memory there is `Index<K, Stream>`: see
/// [`Stream`](crate::Stream). The store remembers the codec, not the types: an entry that can't be read as
/// `K` and `V` is an error, and stays.
///
/// <div class="warning">
///
/// **A key that serde writes as text is sorted as text**: instants of `chrono` and `jiff`, decimals, versions. They are found
/// again all the same, but ranges and key order are wrong: `…:00.500Z` sorts before `…:00Z`. Take
/// [`Ordered<DateTime<Utc>>`](diskette_store::key::Ordered) for an index of events; [`key`](diskette_store::key) says what to
/// take for the others.
///
/// </div>
///
/// # Process safety
///
/// Any number of processes and threads may read and write at the same time. Readers wait for nobody.
/// Writers take turns, each waiting for its own at most as long as the store's timeout.
///
/// # Crashes
///
/// A process that dies, at any moment, leaves each of its operations done or not begun. One that
/// returned is done.
///
/// # Ordering
///
/// - *Insertion order*: [`iter`](Self::iter), [`keys`](Self::keys), [`values`](Self::values),
///   [`oldest`](Self::oldest), [`newest`](Self::newest). Writing to a key that is there keeps its place;
///   removing and inserting it again puts it at the end; [`move_to_end`](Self::move_to_end) and
///   [`move_to_front`](Self::move_to_front) change it.
/// - *Key order*: [`sorted`](Self::sorted), [`range`](Self::range), [`prefix`](Self::prefix),
///   [`first_key_value`](Self::first_key_value), [`last_key_value`](Self::last_key_value).
///
/// # Cost
///
/// Each reading method is one statement, at any size of the index; what [`get`](Self::get), [`get_many`](Self::get_many) and
/// [`contains_key`](Self::contains_key) have read is had again from [memory](diskette_store::Options::memory), a twentieth of the
/// time, until anything is committed to the store. [`insert`](Self::insert) and
/// [`insert_if_absent`](Self::insert_if_absent) are one writing statement, what reads before it writes is four
/// or five in a transaction. A write returns without an fsync, or after one: see
/// [`Durability`](diskette_store::Durability). Iterating holds a page of at most 256 entries in memory.
///
/// # Example
///
/// ```
/// use diskette::{Index, Store};
///
/// # let dir = tempfile::tempdir()?;
/// # std::env::set_current_dir(&dir)?;
/// let store = Store::open("crawl")?;
/// let pages = Index::<String, Vec<u8>>::new(&store, "pages")?;
/// let seen = Index::<(u32, String), u64>::new(&store, "seen")?;
///
/// // Both, or neither.
/// store.transaction(|tx| {
///     pages.within(tx).insert("https://example.org/", b"<html>".as_slice())?;
///     seen.within(tx).insert(&(1, "https://example.org/"), &6)
/// })?;
///
/// assert_eq!(pages.len()?, 1);
/// assert_eq!(pages.prefix("https://").count(), 1);
/// assert_eq!(pages.get("https://example.com/")?, None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Index<K, V, C = MessagePack, A = Store> {
    pub(crate) access: A,
    pub(crate) structure: Arc<Structure>,
    pub(crate) types: PhantomData<Types<K, V, C>>,
}

/// They are made, never held: a handle can go to other threads whether they can or not.
pub(crate) type Types<K, V, C> = fn() -> (K, V, C);

impl<K, V: Content<MessagePack>> Index<K, V> {
    /// The index of this name in a store; created if it is not there.
    ///
    /// # Errors
    ///
    /// [`is_wrong_kind`](diskette_store::Error::is_wrong_kind) when the name belongs to another kind of
    /// structure, or to an index with another codec;
    /// [`is_invalid_input`](diskette_store::Error::is_invalid_input) for a name that is empty, longer
    /// than 255 bytes or has control characters.
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
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(store: &Store, name: &str) -> Result<Self> {
        Self::options().new(store, name)
    }

    /// An index in a store of its own: the one called `index` in the store in this directory.
    ///
    /// # Errors
    ///
    /// Those of [`Store::open`] and [`new`](Self::new).
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::options().open(path)
    }

    /// Opens the index of this name; `None` if there is none.
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new).
    pub fn find(store: &Store, name: &str) -> Result<Option<Self>> {
        Self::options().find(store, name)
    }

    /// Opens the index of this name within a transaction, or makes it, as part of that. It can be used there only.
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new).
    pub fn new_within<'t, 's>(
        tx: &'t Transaction<'s>,
        name: &str,
    ) -> Result<Index<K, V, MessagePack, &'t Transaction<'s>>> {
        Self::options().new_within(tx, name)
    }

    /// How to open an index otherwise than by default: with another codec.
    pub fn options() -> IndexOptions<K, V> {
        IndexOptions::default()
    }
}

impl<K, V, C> Index<K, V, C> {
    /// The name of an index that has a store of its own.
    pub(crate) const ALONE: &str = "index";
}

impl<K, V, C, A: Access> Index<K, V, C, A> {
    /// Inserts an entry at the end of the insertion order, or replaces the value of one that is
    /// there, in its place. One statement.
    ///
    /// # Errors
    ///
    /// Those of every writing method:
    ///
    /// - [`is_codec`](diskette_store::Error::is_codec): the key or value can't be written as bytes;
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
        self.doing("insert", || {
            let key = self.key(key)?;
            let stored = self.encode(&key, value)?;
            // By itself, without a transaction around it, as long as no file comes or goes.
            let structure = &*self.structure;
            let put_inline = |db: &Db<'_>| put_inline(structure, db, &key, &stored);
            if !stored.is_file() && self.inside().write_one(put_inline)? {
                return Ok(());
            }
            self.inside().write(|db| self.put(db, &key, stored))
        })
    }

    /// Inserts an entry unless its key is there; was it inserted? One statement, so that of all
    /// processes that insert a key only one is told `true`.
    ///
    /// # Errors
    ///
    /// Those of [`insert`](Self::insert).
    ///
    /// # Example
    ///
    /// ```
    /// use diskette::{Index, Store};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # std::env::set_current_dir(&dir)?;
    /// let store = Store::open("store")?;
    /// let seen = Index::<String, ()>::new(&store, "seen")?;
    /// assert!(seen.insert_if_absent("https://example.org/", &())?);
    /// assert!(!seen.insert_if_absent("https://example.org/", &())?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn insert_if_absent<Q, W>(&self, key: &Q, value: &W) -> Result<bool>
    where
        Q: Like<K> + ?Sized,
        W: Like<V> + ?Sized,
        V: DeserializeOwned,
        C: Codec,
    {
        self.doing("insert_if_absent", || {
            let key = self.key(key)?;
            let stored = self.encode(&key, value)?;
            let (is_file, structure) = (stored.is_file(), &*self.structure);
            let add = |db: &Db<'_>| add(structure, db, &key, stored);
            match is_file {
                true => self.inside().write(add),
                false => self.inside().write_one(add),
            }
        })
    }

    /// The value of a key.
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
            self.inside().recall(
                &key,
                |value| decode_value::<V, C>(value, &key).map(Some),
                |db, keeping| self.find_keeping(db, &key, keeping),
            )
        })
    }

    /// Is the key there?
    ///
    /// # Errors
    ///
    /// Those of [`get`](Self::get), except that the value is not looked at.
    pub fn contains_key<Q: Like<K> + ?Sized>(&self, key: &Q) -> Result<bool> {
        self.doing("contains_key", || {
            let key = self.key(key)?;
            let sql = sql::CONTAINS;
            let there = self.inside().recall(
                &key,
                |_| Ok(Some(())),
                |db, keeping| {
                    let found = db.query_one(sql, &[key.as_slice().into()], |_| Ok(()))?;
                    if found.is_none() {
                        keeping.found_none();
                    }
                    Ok(found)
                },
            );
            Ok(there?.is_some())
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
            Ahead::take::<C, _>(&self.inside(), |db, ahead| {
                let Some((place, value)) = self.find_ahead(db, &key, ahead)? else {
                    return Ok(Some(None));
                };
                if value.is_some() {
                    self.take(db, place)?;
                }
                Ok(value.map(Some))
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
            self.inside().free(|db| {
                let Some(place) = self.entries().place(db, &key)? else {
                    return Ok(false);
                };
                self.take(db, place)?;
                Ok(true)
            })
        })
    }

    /// The number of entries. One statement, at any size.
    ///
    /// # Errors
    ///
    /// Those of the database.
    pub fn len(&self) -> Result<usize> {
        self.doing("len", || {
            let count = self.inside().look(|db| self.entries().some(db))?;
            Ok(usize::try_from(count.unwrap_or(0)).unwrap_or(0))
        })
    }

    /// Are there no entries?
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
        self.doing("clear", || {
            self.inside().free(|db| self.entries().drop_all(db))
        })
    }
}
