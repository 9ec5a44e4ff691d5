use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use diskette_store::{Access, Error, ErrorKind, Result, Store, Structure, Timeline};

use crate::cache::Cache;
use crate::config::Config;
use crate::inner::Inner;
use crate::options::CacheOptions;
use crate::policy::Policy;
use crate::reach::Reach;
use crate::sql::{self, KIND};

impl<K, V, C, A: Access> Cache<K, V, C, A> {
    /// The same cache within an open transaction or snapshot.
    ///
    /// A `tx` of another store makes every operation an error that
    /// [`is_misuse`](diskette_store::Error::is_misuse).
    ///
    /// # Example
    ///
    /// ```
    /// use std::time::Duration;
    /// use diskette::{Cache, Deque, Store};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # std::env::set_current_dir(&dir)?;
    /// let store = Store::open("store")?;
    /// let pages = Cache::<String, u16>::new(&store, "pages")?;
    /// let todo = Deque::<String>::new(&store, "todo")?;
    ///
    /// // Both, or neither.
    /// store.transaction(|tx| {
    ///     pages.within(tx).insert_with("https://example.org/", &200, Duration::from_secs(3600))?;
    ///     todo.within(tx).push_back("https://example.org/about")
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn within<'t, B: Access>(&self, tx: &'t B) -> Cache<K, V, C, &'t B> {
        Cache {
            access: tx,
            inner: Arc::clone(&self.inner),
            types: PhantomData,
        }
    }

    pub(crate) fn make(
        access: A,
        name: &str,
        codec: &'static str,
        options: CacheOptions<K, V, C>,
    ) -> Result<Self> {
        let config = Config {
            policy: options.policy.unwrap_or_default(),
            max_bytes: options.max_bytes,
            max_entries: options.max_entries,
        };
        let structure = Structure::open(&access, &KIND, name, codec, |db, structure| {
            config.check()?;
            let share = structure.share();
            let [max_bytes, max_entries] = config.limits().map(Into::into);
            let (id, middle) = (share.structure().into(), share.middle().into());
            let policy = config.policy.name().into();
            let row = [id, middle, policy, max_bytes, max_entries, i64::MIN.into()];
            db.execute(sql::CREATE, &row).map(drop)
        })?;
        Self::of(access, &structure, options)
    }

    pub(crate) fn seek(
        access: A,
        name: &str,
        codec: &'static str,
        options: CacheOptions<K, V, C>,
    ) -> Result<Option<Self>> {
        let found = Structure::find(&access, &KIND, name, codec)?;
        let open = |structure| Self::of(access, &structure, options);
        found.map(open).transpose()
    }

    fn of(access: A, structure: &Arc<Structure>, options: CacheOptions<K, V, C>) -> Result<Self> {
        let asked = (options.policy, options.max_bytes, options.max_entries);
        let open = || {
            let timeline = Timeline::open(&access, options.into_clock()?)?;
            let inner = Inner::new(access.store(), Arc::clone(structure), timeline);
            let config = structure
                .inside(&access)
                .read_one(|db| inner.read_config(db))?;
            must_be_recorded(&config, asked)?;
            Ok(inner)
        };
        let inner = structure.doing("opening", open())?;
        Ok(Cache {
            access,
            inner: Arc::new(inner),
            types: PhantomData,
        })
    }
}

impl<K, V, C, A: Reach> Cache<K, V, C, A> {
    /// The name of the cache in its store.
    pub fn name(&self) -> &str {
        self.access.structure(&self.inner).name()
    }

    /// The store that it is in.
    pub fn store(&self) -> &Store {
        self.access.home()
    }
}

/// Refuses what differs from what is recorded.
fn must_be_recorded(
    config: &Config,
    (policy, max_bytes, max_entries): (Option<Policy>, Option<u64>, Option<u64>),
) -> Result<()> {
    let differs = policy.is_some_and(|policy| policy != config.policy)
        || max_bytes.is_some() && max_bytes != config.max_bytes
        || max_entries.is_some() && max_entries != config.max_entries;
    match differs {
        false => Ok(()),
        true => Err(Error::new(
            ErrorKind::InvalidInput,
            format!(
                "it was made with other limits or another policy ({config:?}): open it without, and change them by \
                 `set_max_bytes`, `set_max_entries` and `set_policy`"
            ),
        )),
    }
}

impl<K, V, C, A: Reach + Clone> Clone for Cache<K, V, C, A> {
    fn clone(&self) -> Self {
        Cache {
            access: self.access.clone(),
            inner: self.inner.clone(),
            types: PhantomData,
        }
    }
}

impl<K, V, C, A: Reach> fmt::Debug for Cache<K, V, C, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("name", &self.name())
            .field("store", &self.store().path())
            .finish()
    }
}
