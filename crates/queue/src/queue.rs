use std::fmt;
use std::marker::PhantomData;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use diskette_ipc::Mutex;
use diskette_store::{
    Access, Codec, Error, ErrorKind, Inside, MessagePack, Result, Store, Structure, Structures,
    Timeline, Transaction,
};

use crate::config::Config;
use crate::inner::Inner;
use crate::options::QueueOptions;
use crate::sql::{self, KIND};

/// Jobs that any number of processes push, and that workers in any process claim, work on, and complete.
///
/// A handle: cheap to clone, and to send to other threads. Each method is one transaction by itself;
/// [`within`](Self::within) makes several of them one, with those of other structures: a job, what comes of it, and the jobs that
/// follow from it are committed together.
///
/// A job is [pushed](Self::push), perhaps [for later, with a priority, or as the only one of its kind](crate::Push). Who
/// [claims](Self::claim) it has it alone, until he [completes](crate::Claim::complete) it, [fails](crate::Claim::fail) or gives it
/// back. What failed is tried again, ever later, until it is dead: then it is kept to be looked at, and
/// [brought back](Self::retry_dead), perhaps. [`list`](Self::list) shows the jobs in each state, [`wait`](Self::wait) waits for the
/// end of one.
///
/// The type of the jobs is not recorded, only the codec ([`MessagePack`] unless [`options`](Self::options) say otherwise). A job
/// that can't be read as the type that it is claimed as is set aside, dead, with its bytes.
///
/// # Process safety
///
/// Any number of processes and threads may push and claim at the same time. No job is given to two at once.
///
/// # Crashes
///
/// A claim belongs to the process that made it. If that dies, its jobs are ready again at once, and their attempts count; there is no
/// time-out, so that a worker that is slow and alive is never robbed, unless it asked for a [time limit](Self::with_time_limit). A
/// job that three workers died of is dead, and says so. Work may be done twice, then; but what it writes into the same store, in
/// the transaction that completes the claim, is there exactly once.
///
/// # Ordering
///
/// The greatest priority first, and of the same priority the first that was pushed. A job that is due, or that comes back, takes
/// its place among the others by when it was pushed. Those of a [group](crate::Push::group) run one after the other, in the order in
/// which they were pushed.
///
/// # Cost
///
/// One statement to claim and to complete, at any length, and to push one that writes (in a directory it asks for the number before);
/// two or three where there is a group, a unique key or a result. A claim never looks at jobs that aren't due or have to wait.
///
/// # Example
///
/// ```
/// use diskette::{Index, Queue, Store};
///
/// # let dir = tempfile::tempdir()?;
/// # std::env::set_current_dir(&dir)?;
/// let store = Store::open("store")?;
/// let pictures = Queue::<String>::new(&store, "pictures")?;
/// let sizes = Index::<String, usize>::new(&store, "sizes")?;
/// pictures.push("cat.jpg")?;
///
/// while let Some(claim) = pictures.try_claim()? {
///     let size = claim.len(); // if this process dies here, the job is ready again at once
///     store.transaction(|tx| {
///         sizes.within(tx).insert(&*claim, &size)?;
///         claim.complete(tx)
///     })?;
/// }
/// assert_eq!(sizes.get("cat.jpg")?, Some(7));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Queue<J, C = MessagePack, A = Store> {
    pub(crate) inner: Arc<Inner>,
    pub(crate) access: A,
    pub(crate) time_limit: Option<Duration>,
    types: PhantomData<fn() -> (J, C)>,
}

impl<J> Queue<J> {
    /// The name of a queue that has a store of its own.
    pub(crate) const ALONE: &str = "queue";

    /// Opens the queue of this name in a store; makes it if there is none.
    ///
    /// # Errors
    ///
    /// [`is_wrong_kind`](Error::is_wrong_kind) when the name belongs to another kind of structure or was written by another codec;
    /// [`is_invalid_input`](Error::is_invalid_input) for a name that is empty, longer than 255 bytes or has control characters;
    /// [`is_newer_format`](Error::is_newer_format).
    pub fn new(store: &Store, name: &str) -> Result<Self> {
        Self::options().new(store, name)
    }

    /// Opens a queue in a store of its own, in this directory; makes both if they are missing.
    ///
    /// # Errors
    ///
    /// Those of [`Store::open`] and of [`new`](Self::new).
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::options().open(path)
    }

    /// Opens the queue of this name; `None` if there is none.
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new).
    pub fn find(store: &Store, name: &str) -> Result<Option<Self>> {
        Self::options().find(store, name)
    }

    /// Opens the queue of this name within a transaction, or makes it, as part of that. It can be used there only.
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new).
    pub fn new_within<'t, 's>(
        tx: &'t Transaction<'s>,
        name: &str,
    ) -> Result<Queue<J, MessagePack, &'t Transaction<'s>>> {
        Self::options().new_within(tx, name)
    }

    /// How to open a queue otherwise than by default: with other retries, other things kept, another codec.
    pub fn options() -> QueueOptions<J> {
        QueueOptions::default()
    }
}

impl<J, C: Codec, A: Access> Queue<J, C, A> {
    pub(crate) fn make(access: A, name: &str, options: QueueOptions<J, C>) -> Result<Self> {
        let defaults = Config::default();
        let config = Config {
            paused: false,
            max_attempts: options.max_attempts.unwrap_or(defaults.max_attempts),
            backoff: options.backoff.unwrap_or(defaults.backoff),
            keep_done: options.keep_done.unwrap_or(defaults.keep_done),
            keep_dead: options.keep_dead.unwrap_or(defaults.keep_dead),
        };
        let structure = Structure::open(&access, &KIND, name, C::NAME, |db, structure| {
            config.check()?;
            let backoff = config.backoff.to_string();
            let [a, b, c, d, e, f] = config.recorded(&backoff);
            let first = structure.share().rows().start;
            let row = [structure.id().into(), first.into(), a, b, c, d, e, f];
            db.run(sql::CREATE, &row)
        })?;
        Self::of(access, &structure, options)
    }

    pub(crate) fn seek(access: A, name: &str, options: QueueOptions<J, C>) -> Result<Option<Self>> {
        let found = Structure::find(&access, &KIND, name, C::NAME)?;
        let open = |structure| Self::of(access, &structure, options);
        found.map(open).transpose()
    }

    fn of(access: A, structure: &Arc<Structure>, options: QueueOptions<J, C>) -> Result<Self> {
        let asked = (
            options.max_attempts,
            options.backoff,
            options.keep_done,
            options.keep_dead,
        );
        let open = || {
            let inner = Inner {
                timeline: Timeline::open(&access, options.clock)?,
                structure: Arc::clone(structure),
                config: Mutex::new((u64::MAX, Config::default())),
            };
            let config = structure
                .inside(&access)
                .read_one(|db| inner.read_config(db))?;
            *inner.config.lock() = (u64::MAX, config);
            let (max_attempts, backoff, keep_done, keep_dead) = asked;
            let differs = max_attempts.is_some_and(|asked| asked != config.max_attempts)
                || backoff.is_some_and(|asked| asked != config.backoff)
                || keep_done.is_some_and(|asked| asked != config.keep_done)
                || keep_dead.is_some_and(|asked| asked != config.keep_dead);
            match differs {
                false => Ok(inner),
                true => Err(Error::new(
                    ErrorKind::InvalidInput,
                    format!(
                        "it was made with other options ({config:?}): open it without, and change them by `set_max_attempts`, \
                         `set_backoff`, `set_keep_done` and `set_keep_dead`"
                    ),
                )),
            }
        };
        let inner = structure.doing("opening", open())?;
        Ok(Queue {
            inner: Arc::new(inner),
            access,
            time_limit: None,
            types: PhantomData,
        })
    }
}

impl<J, C, A: Access> Queue<J, C, A> {
    /// The same queue inside an open transaction or snapshot: its methods are part of that.
    ///
    /// # Example
    ///
    /// ```
    /// use diskette::{Index, Queue, Store};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # std::env::set_current_dir(&dir)?;
    /// let store = Store::open("store")?;
    /// let mails = Queue::<String>::new(&store, "mails")?;
    /// let users = Index::<String, u32>::new(&store, "users")?;
    ///
    /// // Who is there is welcomed, however this process ends.
    /// store.transaction(|tx| {
    ///     users.within(tx).insert("Ada", &36)?;
    ///     mails.within(tx).push("welcome, Ada")
    /// })?;
    /// assert_eq!(mails.stats()?.ready, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn within<'t, B: Access>(&self, tx: &'t B) -> Queue<J, C, &'t B> {
        self.through(tx)
    }

    /// The same queue, whose claims are to end within so long: after that the job is given to others, its attempt counts, and who
    /// was late finds out when he [completes](crate::Claim::complete) it. Without, a claim lasts as long as its process lives.
    ///
    /// # Example
    ///
    /// ```
    /// use std::time::Duration;
    /// use diskette::{Queue, Store};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # std::env::set_current_dir(&dir)?;
    /// let store = Store::open("store")?;
    /// let pages = Queue::<String>::new(&store, "pages")?.with_time_limit(Duration::ZERO);
    /// pages.push("/")?;
    /// let slow = pages.try_claim()?.expect("there is one");
    /// let other = pages.try_claim()?.expect("the same one");
    /// assert!(slow.complete_now().unwrap_err().is_overtaken());
    /// other.complete_now()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn with_time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = Some(limit);
        self
    }

    /// The name of the queue in its store.
    pub fn name(&self) -> &str {
        self.inner.structure.name()
    }

    /// The store that it is in.
    pub fn store(&self) -> &Store {
        self.access.store()
    }

    /// The same queue, reached in another way.
    pub(crate) fn through<B>(&self, access: B) -> Queue<J, C, B> {
        Queue {
            inner: Arc::clone(&self.inner),
            access,
            time_limit: self.time_limit,
            types: PhantomData,
        }
    }

    pub(crate) fn doing<R>(&self, verb: &str, result: Result<R>) -> Result<R> {
        self.inner.structure.doing(verb, result)
    }

    pub(crate) fn inside(&self) -> Inside<'_, A> {
        self.inner.structure.inside(&self.access)
    }
}

impl<J, C, A> Structures for Queue<J, C, A> {
    fn each(&self, visit: &mut dyn FnMut(&Structure) -> Result<()>) -> Result<()> {
        visit(&self.inner.structure)
    }
}

impl<J, C, A: Clone> Clone for Queue<J, C, A> {
    fn clone(&self) -> Self {
        Queue {
            inner: Arc::clone(&self.inner),
            access: self.access.clone(),
            time_limit: self.time_limit,
            types: PhantomData,
        }
    }
}

impl<J, C, A: Access> fmt::Debug for Queue<J, C, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("name", &self.name())
            .field("store", &self.store().path())
            .finish_non_exhaustive()
    }
}
