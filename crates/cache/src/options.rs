use std::marker::PhantomData;
use std::path::Path;
use std::sync::Arc;

use diskette_ipc::{Clock, SystemClock};
use diskette_store::{Codec, Content, Error, MessagePack, Result, Store, Transaction};

use crate::cache::{Cache, Types};
use crate::policy::Policy;

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
pub struct CacheOptions<K, V, C = MessagePack> {
    pub(crate) max_bytes: Option<u64>,
    pub(crate) max_entries: Option<u64>,
    pub(crate) policy: Option<Policy>,
    clock: Option<Arc<dyn Clock>>,
    types: PhantomData<Types<K, V, C>>,
}

impl<K, V> Default for CacheOptions<K, V> {
    fn default() -> Self {
        CacheOptions {
            max_bytes: None,
            max_entries: None,
            policy: None,
            clock: None,
            types: PhantomData,
        }
    }
}

impl<K, V, C> CacheOptions<K, V, C> {
    /// The most bytes that its entries may count for, each for those of its key and its value and 64; any number unless said.
    ///
    /// It is never exceeded. The store's directory takes more: pages that aren't full, a log of some ten megabytes, and the files of
    /// large values for a moment after they have gone, or for as long as a snapshot may want them.
    pub fn max_bytes(mut self, max_bytes: u64) -> Self {
        self.max_bytes = Some(max_bytes);
        self
    }

    /// The most entries that it may have; any number unless said.
    pub fn max_entries(mut self, max_entries: u64) -> Self {
        self.max_entries = Some(max_entries);
        self
    }

    /// What is removed to make room; [`Policy::Sieve`] unless said.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = Some(policy);
        self
    }

    /// How values become bytes; [`MessagePack`] unless said.
    pub fn codec<D: Codec>(self) -> CacheOptions<K, V, D> {
        CacheOptions {
            max_bytes: self.max_bytes,
            max_entries: self.max_entries,
            policy: self.policy,
            clock: self.clock,
            types: PhantomData,
        }
    }

    /// The clock that tells the time, for tests; the [`SystemClock`] unless said. All who use a cache must go by the same.
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    pub(crate) fn into_clock(self) -> Result<Arc<dyn Clock>> {
        match self.clock {
            Some(clock) => Ok(clock),
            None => match SystemClock::new() {
                Ok(clock) => Ok(Arc::new(clock)),
                Err(error) => Err(Error::io(
                    "can't read the clock that all processes share",
                    error,
                )),
            },
        }
    }
}

impl<K, V: Content<C>, C> CacheOptions<K, V, C> {
    /// Opens the cache of this name in a store; makes it if there is none.
    ///
    /// # Errors
    ///
    /// Those of [`Cache::new`]; [`is_invalid_input`](Error::is_invalid_input) for a limit of 0, and for limits or a policy other
    /// than the recorded ones.
    #[allow(
        clippy::new_ret_no_self,
        reason = "it makes what these are the options of"
    )]
    pub fn new(self, store: &Store, name: &str) -> Result<Cache<K, V, C>> {
        Cache::make(store.clone(), name, V::CODEC, self)
    }

    /// Opens the cache of this name; `None` if there is none.
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new).
    pub fn find(self, store: &Store, name: &str) -> Result<Option<Cache<K, V, C>>> {
        Cache::seek(store.clone(), name, V::CODEC, self)
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
        Cache::make(tx, name, V::CODEC, self)
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
