use std::marker::PhantomData;
use std::path::Path;

use diskette_store::{Codec, MessagePack, Result, Store, Transaction};

use crate::bound::WhenFull;
use crate::deque::Deque;

/// How a deque is opened otherwise than by default; made by [`Deque::options`].
///
/// The codec and the bound are recorded when the deque is made. A later opening names the same, or,
/// for the bound, nothing.
///
/// # Example
///
/// ```
/// use diskette::{Deque, Json, Store, WhenFull};
///
/// # let dir = tempfile::tempdir()?;
/// # std::env::set_current_dir(&dir)?;
/// let store = Store::open("store")?;
/// let latest = Deque::<String>::options()
///     .max_len(2)
///     .when_full(WhenFull::DropOther)
///     .codec::<Json>()
///     .new(&store, "latest")?;
///
/// latest.extend(["a", "b", "c"])?;
/// assert_eq!(latest.to_vec()?, ["b", "c"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct DequeOptions<T, C = MessagePack> {
    pub(crate) max_len: Option<usize>,
    pub(crate) when_full: Option<WhenFull>,
    stored_as: PhantomData<fn() -> (T, C)>,
}

impl<T> Default for DequeOptions<T> {
    fn default() -> Self {
        DequeOptions {
            max_len: None,
            when_full: None,
            stored_as: PhantomData,
        }
    }
}

impl<T, C> DequeOptions<T, C> {
    /// The most items that the deque may hold, claimed ones among them; any number unless said.
    pub fn max_len(mut self, max_len: usize) -> Self {
        self.max_len = Some(max_len);
        self
    }

    /// What a push does when the deque is full; [`WhenFull::Refuse`] unless said.
    pub fn when_full(mut self, when_full: WhenFull) -> Self {
        self.when_full = Some(when_full);
        self
    }

    /// How items become bytes; [`MessagePack`] unless said.
    pub fn codec<D: Codec>(self) -> DequeOptions<T, D> {
        DequeOptions {
            max_len: self.max_len,
            when_full: self.when_full,
            stored_as: PhantomData,
        }
    }
}

impl<T, C: Codec> DequeOptions<T, C> {
    /// Opens the deque of this name in a store; makes it if there is none.
    ///
    /// # Errors
    ///
    /// Those of [`Deque::new`]; [`is_invalid_input`](diskette_store::Error::is_invalid_input) for a
    /// `max_len` of 0, and for a bound other than the recorded one.
    #[allow(
        clippy::new_ret_no_self,
        reason = "it makes what these are the options of"
    )]
    pub fn new(self, store: &Store, name: &str) -> Result<Deque<T, C>> {
        Deque::make(store.clone(), name, &self)
    }

    /// Opens the deque of this name; `None` if there is none.
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new).
    pub fn find(self, store: &Store, name: &str) -> Result<Option<Deque<T, C>>> {
        Deque::seek(store.clone(), name, &self)
    }

    /// Opens the deque of this name within a transaction, or makes it, as part of that. It can be used there only.
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new).
    pub fn new_within<'t, 's>(
        self,
        tx: &'t Transaction<'s>,
        name: &str,
    ) -> Result<Deque<T, C, &'t Transaction<'s>>> {
        Deque::make(tx, name, &self)
    }

    /// Opens a deque in a store of its own, as [`Deque::open`] does.
    ///
    /// # Errors
    ///
    /// Those of [`Store::open`] and of [`new`](Self::new).
    pub fn open(self, path: impl AsRef<Path>) -> Result<Deque<T, C>> {
        self.new(&Store::open(path)?, Deque::<T>::ALONE)
    }
}
