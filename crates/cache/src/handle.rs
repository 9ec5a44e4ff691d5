use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use diskette_store::{Access, Result, Store, Structure, Structures};

use crate::cache::Cache;
use crate::config::Asked;
use crate::inner::Inner;
use crate::reach::Reach;
use crate::sql::KIND;
use crate::way::Way;

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

    pub(crate) fn make(access: A, name: &str, asked: Asked, way: &Way) -> Result<Self> {
        let structure = Inner::structure(&access, name, way.codec, asked.config())?;
        Self::of(access, &structure, asked, way)
    }

    pub(crate) fn seek(access: A, name: &str, asked: Asked, way: &Way) -> Result<Option<Self>> {
        let found = Structure::find(&access, &KIND, name, way.codec)?;
        let open = |structure| Self::of(access, &structure, asked, way);
        found.map(open).transpose()
    }

    fn of(access: A, structure: &Arc<Structure>, asked: Asked, way: &Way) -> Result<Self> {
        let open = || {
            let inner = Inner::open(&access, structure, way.clock.clone(), 1)?;
            let inside = structure.inside(&access);
            asked.must_be(&inside.read_one(|db| inner.read_config(db))?)?;
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

impl<K, V, C, A: Access> Structures for Cache<K, V, C, A> {
    fn each(&self, visit: &mut dyn FnMut(&Structure) -> Result<()>) -> Result<()> {
        visit(&self.inner.structure)
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
