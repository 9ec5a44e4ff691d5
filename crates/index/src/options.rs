use std::marker::PhantomData;
use std::path::Path;

use diskette_store::{Codec, Content, MessagePack, Result, Store, Transaction};

use crate::index::{Index, Types};

/// How an index is opened otherwise than by default; made by [`Index::options`].
///
/// The codec is recorded when the index is made, and a later opening names the same.
///
/// # Example
///
/// ```
/// use diskette::{Index, Json, Store};
///
/// # let dir = tempfile::tempdir()?;
/// # std::env::set_current_dir(&dir)?;
/// let store = Store::open("store")?;
/// let ages = Index::<String, u32>::options().codec::<Json>().new(&store, "ages")?;
/// ages.insert("Ada", &36)?;
///
/// assert!(Index::<String, u32>::new(&store, "ages").unwrap_err().is_wrong_kind());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct IndexOptions<K, V, C = MessagePack> {
    types: PhantomData<Types<K, V, C>>,
}

impl<K, V> Default for IndexOptions<K, V> {
    fn default() -> Self {
        IndexOptions { types: PhantomData }
    }
}

impl<K, V, C> IndexOptions<K, V, C> {
    /// How values become bytes; [`MessagePack`] unless said.
    pub fn codec<D: Codec>(self) -> IndexOptions<K, V, D> {
        IndexOptions { types: PhantomData }
    }
}

impl<K, V: Content<C>, C> IndexOptions<K, V, C> {
    /// Opens the index of this name in a store; makes it if there is none.
    ///
    /// # Errors
    ///
    /// Those of [`Index::new`].
    #[allow(
        clippy::new_ret_no_self,
        reason = "it makes what these are the options of"
    )]
    pub fn new(self, store: &Store, name: &str) -> Result<Index<K, V, C>> {
        Index::make(store.clone(), name, V::CODEC)
    }

    /// Opens the index of this name; `None` if there is none.
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new).
    pub fn find(self, store: &Store, name: &str) -> Result<Option<Index<K, V, C>>> {
        Index::seek(store.clone(), name, V::CODEC)
    }

    /// Opens the index of this name within a transaction, or makes it, as part of that. It can be used there only.
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new).
    pub fn new_within<'t, 's>(
        self,
        tx: &'t Transaction<'s>,
        name: &str,
    ) -> Result<Index<K, V, C, &'t Transaction<'s>>> {
        Index::make(tx, name, V::CODEC)
    }

    /// Opens an index in a store of its own, as [`Index::open`] does.
    ///
    /// # Errors
    ///
    /// Those of [`Store::open`] and of [`new`](Self::new).
    pub fn open(self, path: impl AsRef<Path>) -> Result<Index<K, V, C>> {
        self.new(&Store::open(path)?, Index::<K, V, C>::ALONE)
    }
}
