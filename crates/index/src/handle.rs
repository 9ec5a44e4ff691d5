use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use diskette_store::entries::Iter;
use diskette_store::{Access, Codec, Inside, Result, Store, Structure, Structures};
use serde::de::DeserializeOwned;

use crate::index::Index;
use crate::sql::{self, KIND};

impl<K, V, C, A: Access> Index<K, V, C, A> {
    /// The same index within an open transaction or snapshot.
    ///
    /// A `tx` of another store makes every operation an error that
    /// [`is_misuse`](diskette_store::Error::is_misuse).
    ///
    /// # Example
    ///
    /// ```
    /// use diskette::{Error, Index, Store};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # std::env::set_current_dir(&dir)?;
    /// let store = Store::open("store")?;
    /// let balance = Index::<String, i64>::new(&store, "balance")?;
    /// balance.extend([("from".to_string(), 10), ("to".to_string(), 0)])?;
    ///
    /// store.transaction(|tx| {
    ///     let balance = balance.within(tx);
    ///     balance.update("from", |amount| amount.map(|amount| amount - 5))?;
    ///     balance.update("to", |amount| amount.map(|amount| amount + 5))?;
    ///     Ok::<_, Error>(())
    /// })?;
    /// let sum: i64 = store.snapshot(|now| balance.within(now).values().sum::<Result<_, _>>())?;
    /// assert_eq!(sum, 10);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn within<'t, B: Access>(&self, tx: &'t B) -> Index<K, V, C, &'t B> {
        Index {
            access: tx,
            structure: Arc::clone(&self.structure),
            types: PhantomData,
        }
    }

    /// The name of the index in its store.
    pub fn name(&self) -> &str {
        self.structure.name()
    }

    /// The store that it is in.
    pub fn store(&self) -> &Store {
        self.access.store()
    }

    pub(crate) fn inside(&self) -> Inside<'_, A> {
        self.structure.inside(&self.access)
    }

    /// Says in an error what was done, and to which index.
    pub(crate) fn doing<R>(
        &self,
        verb: &'static str,
        operation: impl FnOnce() -> Result<R>,
    ) -> Result<R> {
        self.structure.doing(verb, operation())
    }
}

impl<K, V, C, A: Access> Index<K, V, C, A> {
    /// Opens it with what the catalog is to say of its values, or makes it.
    pub(crate) fn make(access: A, name: &str, codec: &'static str) -> Result<Self> {
        let structure = Structure::open(&access, &KIND, name, codec, |db, structure| {
            let share = structure.share();
            let row = [share.structure().into(), share.middle().into()];
            db.run(sql::CREATE, &row)
        })?;
        Ok(Self::of(access, structure))
    }

    pub(crate) fn seek(access: A, name: &str, codec: &'static str) -> Result<Option<Self>> {
        let found = Structure::find(&access, &KIND, name, codec)?;
        Ok(found.map(|structure| Self::of(access, structure)))
    }

    fn of(access: A, structure: Arc<Structure>) -> Self {
        Index {
            access,
            structure,
            types: PhantomData,
        }
    }
}

impl<K, V, C, A> Structures for Index<K, V, C, A> {
    fn each(&self, visit: &mut dyn FnMut(&Structure) -> Result<()>) -> Result<()> {
        visit(&self.structure)
    }
}

impl<K, V, C, A: Clone> Clone for Index<K, V, C, A> {
    fn clone(&self) -> Self {
        Index {
            access: self.access.clone(),
            structure: Arc::clone(&self.structure),
            types: PhantomData,
        }
    }
}

impl<K, V, C, A: Access> fmt::Debug for Index<K, V, C, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Index")
            .field("name", &self.name())
            .field("store", &self.store().path())
            .finish_non_exhaustive()
    }
}

impl<K, V, C, A> IntoIterator for &Index<K, V, C, A>
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
