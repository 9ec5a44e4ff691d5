use std::fmt;
use std::marker::PhantomData;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};

use diskette_store::{
    Access, Ahead, Codec, Db, Error, ErrorKind, Inside, MessagePack, Result, Store, Structure,
    Structures, Transaction,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bound::{Bound, WhenFull, check_max_len};
use crate::options::DequeOptions;
use crate::order::Inner;
use crate::sql::{self, KIND};

/// A double-ended queue in a store, with `VecDeque`'s methods.
///
/// A handle: cheap to clone, and to send to other threads. Each method is one transaction;
/// [`within`](Self::within) makes several of them one.
///
/// The type of the items is not recorded, only the codec ([`MessagePack`] unless
/// [`options`](Self::options) say otherwise): open a deque with the type it was written with.
///
/// # Process safety
///
/// Any number of processes and threads may push, pop and change a deque at the same time; each
/// operation happens as a whole, and no item is handed out twice.
///
/// # Crashes
///
/// What a method returned from survives the death of the process (of the machine: see
/// [`Durability`](diskette_store::Durability)); what it didn't return from happened as a whole or not
/// at all. An item that is popped is gone, whatever becomes of who popped it; one that is
/// [claimed](Self::claim_front) returns to its place when its owner dies.
///
/// # Ordering
///
/// Items keep the order that they were put in. Who waits for an item is woken when one comes; which of
/// several gets it is open.
///
/// # Cost
///
/// Pushing, popping, `len` and access by index take one or two statements of some microseconds at any
/// length; taking from the middle and inserting there make room or close the gap from the shorter side.
/// A transaction of many operations, and the methods for many items, cost a fraction for each.
///
/// # Example
///
/// ```
/// use diskette::{Deque, Store};
///
/// # let dir = tempfile::tempdir()?;
/// # std::env::set_current_dir(&dir)?;
/// let store = Store::open("store")?;
/// let todo = Deque::<String>::new(&store, "todo")?;
/// todo.push_back("write")?;
/// todo.push_back("read")?;
/// todo.push_front("think")?;
///
/// assert_eq!(todo.len()?, 3);
/// assert_eq!(todo.get(1)?.as_deref(), Some("write"));
/// assert_eq!(todo.pop_front()?.as_deref(), Some("think"));
/// for item in &todo {
///     println!("{}", item?);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Deque<T, C = MessagePack, A = Store> {
    pub(crate) inner: Arc<Inner>,
    pub(crate) access: A,
    stored_as: PhantomData<fn() -> (T, C)>,
}

impl<T> Deque<T> {
    /// The name of a deque that has a store of its own.
    pub(crate) const ALONE: &str = "deque";

    /// Opens the deque of this name in a store; makes it if there is none.
    ///
    /// # Errors
    ///
    /// [`is_wrong_kind`](Error::is_wrong_kind) when the name belongs to another kind of structure or
    /// was written by another codec; [`is_invalid_input`](Error::is_invalid_input) for a name that is
    /// empty, longer than 255 bytes or has control characters;
    /// [`is_newer_format`](Error::is_newer_format).
    pub fn new(store: &Store, name: &str) -> Result<Self> {
        Self::options().new(store, name)
    }

    /// Opens a deque in a store of its own, in this directory; makes both if they are missing.
    ///
    /// # Errors
    ///
    /// Those of [`Store::open`] and of [`new`](Self::new).
    ///
    /// # Example
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # std::env::set_current_dir(&dir)?;
    /// let numbers = diskette::Deque::<u32>::open("numbers")?;
    /// numbers.push_back(&1)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::options().open(path)
    }

    /// Opens the deque of this name; `None` if there is none.
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new).
    pub fn find(store: &Store, name: &str) -> Result<Option<Self>> {
        Self::options().find(store, name)
    }

    /// Opens the deque of this name within a transaction, or makes it, as part of that. It can be used there only.
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new).
    ///
    /// # Example
    ///
    /// ```
    /// use diskette::{Deque, Store};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # std::env::set_current_dir(&dir)?;
    /// let store = Store::open("store")?;
    /// let hosts = Deque::<String>::new(&store, "hosts")?;
    /// store.transaction(|tx| {
    ///     hosts.within(tx).push_back("example.org")?;
    ///     Deque::<String>::new_within(tx, "pages of example.org")?.push_back("/")
    /// })?;
    /// let pages = Deque::<String>::find(&store, "pages of example.org")?;
    /// assert_eq!(pages.expect("it was made above").len()?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new_within<'t, 's>(
        tx: &'t Transaction<'s>,
        name: &str,
    ) -> Result<Deque<T, MessagePack, &'t Transaction<'s>>> {
        Self::options().new_within(tx, name)
    }

    /// How to open a deque otherwise than by default: bounded, or with another codec.
    pub fn options() -> DequeOptions<T> {
        DequeOptions::default()
    }
}

impl<T, C: Codec, A: Access> Deque<T, C, A> {
    pub(crate) fn make(access: A, name: &str, options: &DequeOptions<T, C>) -> Result<Self> {
        let wanted = check_max_len(options.max_len)?;
        let structure = Structure::open(&access, &KIND, name, C::NAME, |db, structure| {
            let when_full = options.when_full.unwrap_or_default().number();
            let bound = [structure.id().into(), wanted.into(), when_full.into()];
            db.run(sql::CREATE_BOUND, &bound)
        })?;
        Self::of(access, structure, options)
    }

    pub(crate) fn seek(
        access: A,
        name: &str,
        options: &DequeOptions<T, C>,
    ) -> Result<Option<Self>> {
        let found = Structure::find(&access, &KIND, name, C::NAME)?;
        found
            .map(|structure| Self::of(access, structure, options))
            .transpose()
    }

    fn of(access: A, structure: Arc<Structure>, options: &DequeOptions<T, C>) -> Result<Self> {
        let inner = Inner {
            structure,
            bounded: AtomicBool::new(false),
            unbounded_at: AtomicU64::new(u64::MAX),
        };
        let deque = Deque {
            inner: Arc::new(inner),
            access,
            stored_as: PhantomData,
        };
        let found = deque.inside().read_one(|db| deque.inner.bound(db));
        let fits = found.and_then(|found| agree(found, options.max_len, options.when_full));
        deque.doing("opening", fits)?;
        Ok(deque)
    }
}

impl<T, C, A: Access> Deque<T, C, A> {
    /// The same deque inside an open transaction or snapshot: its methods are part of that.
    ///
    /// # Example
    ///
    /// ```
    /// use diskette::{Deque, Error, Store};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # std::env::set_current_dir(&dir)?;
    /// let store = Store::open("store")?;
    /// let todo = Deque::<u32>::new(&store, "todo")?;
    /// let done = Deque::<u32>::new(&store, "done")?;
    /// todo.push_back(&1)?;
    ///
    /// store.transaction(|tx| {
    ///     while let Some(item) = todo.within(tx).pop_front()? {
    ///         done.within(tx).push_back(&item)?;
    ///     }
    ///     Ok::<(), Error>(())
    /// })?;
    /// assert_eq!((todo.len()?, done.len()?), (0, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn within<'t, B: Access>(&self, tx: &'t B) -> Deque<T, C, &'t B> {
        Deque {
            inner: Arc::clone(&self.inner),
            access: tx,
            stored_as: PhantomData,
        }
    }

    /// The name of the deque in its store.
    pub fn name(&self) -> &str {
        self.inner.structure.name()
    }

    /// The store that it is in.
    pub fn store(&self) -> &Store {
        self.access.store()
    }

    /// The same deque, reached in another way.
    pub(crate) fn through<B>(&self, access: B) -> Deque<T, C, B> {
        Deque {
            inner: Arc::clone(&self.inner),
            access,
            stored_as: PhantomData,
        }
    }

    pub(crate) fn doing<R>(&self, verb: &str, result: Result<R>) -> Result<R> {
        self.inner.structure.doing(verb, result)
    }

    pub(crate) fn inside(&self) -> Inside<'_, A> {
        self.inner.structure.inside(&self.access)
    }
}

impl<T: DeserializeOwned, C: Codec, A: Access> Deque<T, C, A> {
    /// Takes items in a turn to write, with those that are large read ahead of it.
    pub(crate) fn take_ahead<R>(
        &self,
        take: impl FnMut(&Db<'_>, &mut Ahead<T>) -> Result<Option<R>>,
    ) -> Result<R> {
        Ahead::take::<C, R>(&self.inside(), take)
    }
}

impl<T, C, A> Deque<T, C, A>
where
    T: Serialize + DeserializeOwned,
    C: Codec,
    A: Access,
{
    /// The number of items; those that are [claimed](Self::claimed) don't count.
    ///
    /// # Errors
    ///
    /// Those of the database.
    ///
    /// # Cost
    ///
    /// One statement, at any length.
    pub fn len(&self) -> Result<usize> {
        let some = |db: &Db<'_>| Ok(Some(self.inner.len(db)?).filter(|&len| len > 0));
        let len = self.inside().look(some);
        self.doing("len", len).map(Option::unwrap_or_default)
    }

    /// Are there no items?
    ///
    /// # Errors
    ///
    /// Those of the database.
    pub fn is_empty(&self) -> Result<bool> {
        let any = self
            .inside()
            .look(|db| db.query_one(sql::ANY, &self.inner.rows(), |_| Ok(())));
        self.doing("is_empty", any).map(|any| any.is_none())
    }
}

impl<T, C, A> Structures for Deque<T, C, A> {
    fn each(&self, visit: &mut dyn FnMut(&Structure) -> Result<()>) -> Result<()> {
        visit(&self.inner.structure)
    }
}

impl<T, C, A: Clone> Clone for Deque<T, C, A> {
    fn clone(&self) -> Self {
        Deque {
            inner: Arc::clone(&self.inner),
            access: self.access.clone(),
            stored_as: PhantomData,
        }
    }
}

impl<T, C, A: Access> fmt::Debug for Deque<T, C, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deque")
            .field("name", &self.name())
            .field("store", &self.store().path())
            .finish_non_exhaustive()
    }
}

/// Is the bound that was asked for, if any, the recorded one?
fn agree(found: Bound, max_len: Option<usize>, when_full: Option<WhenFull>) -> Result<()> {
    let differs = if max_len.is_some_and(|wanted| Some(wanted) != found.max_len) {
        let found = found.max_len.map_or("without a bound".into(), |max_len| {
            format!("with a max_len of {max_len}")
        });
        format!("it was made {found}: open it without `max_len`, or change that by `set_max_len`")
    } else if when_full.is_some_and(|wanted| wanted != found.when_full) {
        format!(
            "it was made with WhenFull::{:?}: open it without `when_full`, or change that by `set_when_full`",
            found.when_full
        )
    } else {
        return Ok(());
    };
    Err(Error::new(ErrorKind::InvalidInput, differs))
}
