use std::marker::PhantomData;
use std::path::Path;
use std::sync::Arc;

use diskette_ipc::Clock;
use diskette_store::{Codec, Content, MessagePack, Result, Store, Transaction};

use crate::cache::{Cache, Types};
use crate::config::Asked;
use crate::policy::Policy;
use crate::shards::{Shards, Spread};
use crate::way::Way;

/// How a cache is opened otherwise than by default; made by [`Cache::options`].
///
/// The codec, the limits and the policy are recorded when the cache is made. A later opening names the same, or, but for the
/// codec, nothing; they can be changed, for all who use the cache, by [`set_max_bytes`](Cache::set_max_bytes) and its like.
///
/// # Example
///
/// ```
/// use diskette::{Cache, Policy, Store};
///
/// # let dir = tempfile::tempdir()?;
/// # std::env::set_current_dir(&dir)?;
/// let store = Store::open("store")?;
/// let latest = Cache::<u32, String>::options()
///     .max_entries(2)
///     .policy(Policy::LeastRecentlyStored)
///     .new(&store, "latest")?;
///
/// latest.insert_many([(1, "a"), (2, "b"), (3, "c")].map(|(n, s)| (n, s.to_string())), diskette::Terms::default())?;
/// assert_eq!(latest.keys().collect::<Result<Vec<_>, _>>()?, [2, 3]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct CacheOptions<K, V, C = MessagePack, A = Store> {
    asked: Asked,
    shards: Option<u32>,
    clock: Option<Arc<dyn Clock>>,
    types: PhantomData<Types<K, V, (C, A)>>,
}

impl<K, V> Default for CacheOptions<K, V> {
    fn default() -> Self {
        CacheOptions {
            asked: Asked::default(),
            shards: None,
            clock: None,
            types: PhantomData,
        }
    }
}

impl<K, V, C, A> CacheOptions<K, V, C, A> {
    /// The most bytes that its entries may count for, each for what it takes on the disk, about: see
    /// [`Cache::max_bytes`](crate::Cache::max_bytes). Any number unless said.
    ///
    /// It is never exceeded. The store's directory takes more: a log of some ten megabytes, and of large
    /// values the files that are being written and about a megabyte of those that have gone, for each process that writes; more only
    /// as long as a snapshot may want them.
    pub fn max_bytes(mut self, max_bytes: u64) -> Self {
        self.asked.max_bytes = Some(max_bytes);
        self
    }

    /// The most entries that it may have; any number unless said.
    pub fn max_entries(mut self, max_entries: u64) -> Self {
        self.asked.max_entries = Some(max_entries);
        self
    }

    /// What is removed to make room; [`Policy::Sieve`] unless said.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.asked.policy = Some(policy);
        self
    }

    /// How values become bytes; [`MessagePack`] unless said.
    pub fn codec<D: Codec>(self) -> CacheOptions<K, V, D, A> {
        self.of()
    }

    /// The clock that tells the time, for tests; the [`SystemClock`](diskette_ipc::SystemClock) unless said, or that of the server
    /// where the store is in a database. All who use a cache must go by the same.
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// Spread over so many databases, 1 to 256, in which as many processes can write at once: a
    /// [`ShardedCache`](crate::ShardedCache). Where there is one already, it has to have as many.
    pub fn shards(self, shards: u32) -> CacheOptions<K, V, C, Shards> {
        CacheOptions {
            shards: Some(shards),
            ..self.of()
        }
    }

    /// Spread over as many databases as it was made with; 8, if it is made now.
    pub fn sharded(self) -> CacheOptions<K, V, C, Shards> {
        self.of()
    }

    /// The same for other types.
    fn of<D, B>(self) -> CacheOptions<K, V, D, B> {
        CacheOptions {
            asked: self.asked,
            shards: self.shards,
            clock: self.clock,
            types: PhantomData,
        }
    }
}

impl<K, V: Content<C>, C, A> CacheOptions<K, V, C, A> {
    fn way(&self) -> Way {
        Way {
            codec: V::CODEC,
            clock: self.clock.clone(),
        }
    }
}

impl<K, V: Content<C>, C> CacheOptions<K, V, C> {
    /// Opens the cache of this name in a store; makes it if there is none.
    ///
    /// # Errors
    ///
    /// Those of [`Cache::new`]; [`is_invalid_input`](diskette_store::Error::is_invalid_input) for a limit of 0, and for limits or a policy other
    /// than the recorded ones.
    #[allow(
        clippy::new_ret_no_self,
        reason = "it makes what these are the options of"
    )]
    pub fn new(self, store: &Store, name: &str) -> Result<Cache<K, V, C>> {
        Cache::make(store.clone(), name, self.asked, &self.way())
    }

    /// Opens the cache of this name; `None` if there is none.
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new).
    pub fn find(self, store: &Store, name: &str) -> Result<Option<Cache<K, V, C>>> {
        Cache::seek(store.clone(), name, self.asked, &self.way())
    }

    /// Opens the cache of this name within a transaction, or makes it, as part of that. It can be used there only.
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new).
    pub fn new_within<'t, 's>(
        self,
        tx: &'t Transaction<'s>,
        name: &str,
    ) -> Result<Cache<K, V, C, &'t Transaction<'s>>> {
        Cache::make(tx, name, self.asked, &self.way())
    }

    /// Opens a cache in a store of its own, as [`Cache::open`] does.
    ///
    /// # Errors
    ///
    /// Those of [`Store::open`] and of [`new`](Self::new).
    pub fn open(self, path: impl AsRef<Path>) -> Result<Cache<K, V, C>> {
        self.new(&Store::open(path)?, Cache::<K, V, C>::ALONE)
    }
}

impl<K, V: Content<C>, C> CacheOptions<K, V, C, Shards> {
    /// Opens the sharded cache of this name in a store; makes it if there is none.
    ///
    /// # Errors
    ///
    /// Those of [`Cache::new`]; [`is_invalid_input`](diskette_store::Error::is_invalid_input) for a number of shards, limits or a policy other
    /// than the recorded ones, for more shards than 256 or none, and for a limit that is less than the number of shards;
    /// [`is_timeout`](diskette_store::Error::is_timeout) while somebody [reshards](Cache::reshard) it.
    #[allow(
        clippy::new_ret_no_self,
        reason = "it makes what these are the options of"
    )]
    pub fn new(self, store: &Store, name: &str) -> Result<Cache<K, V, C, Shards>> {
        let made = Spread::make(store, name, self.shards, self.asked, &self.way());
        made.map(Cache::of_spread)
    }

    /// Opens the sharded cache of this name; `None` if there is none.
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new).
    pub fn find(self, store: &Store, name: &str) -> Result<Option<Cache<K, V, C, Shards>>> {
        let found = Spread::seek(store, name, self.shards, self.asked, &self.way());
        Ok(found?.map(Cache::of_spread))
    }

    /// Opens a sharded cache in a store of its own: the one called `cache` in the store in this directory.
    ///
    /// # Errors
    ///
    /// Those of [`Store::open`] and of [`new`](Self::new).
    pub fn open(self, path: impl AsRef<Path>) -> Result<Cache<K, V, C, Shards>> {
        self.new(&Store::open(path)?, Cache::<K, V, C>::ALONE)
    }
}
