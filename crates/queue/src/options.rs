use std::marker::PhantomData;
use std::path::Path;
use std::sync::Arc;

use diskette_ipc::Clock;
use diskette_store::{Codec, MessagePack, Result, Store, Transaction};

use crate::backoff::Backoff;
use crate::keep::Keep;
use crate::queue::Queue;

/// How a queue is opened otherwise than by default; made by [`Queue::options`].
///
/// The codec and the rest, but for the clock, are recorded when the queue is made. A later opening names the same, or, but for the
/// codec, nothing; they can be changed, for all who use the queue, by [`set_backoff`](Queue::set_backoff) and its like.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use diskette::{Backoff, Json, Keep, Queue, Store};
///
/// # let dir = tempfile::tempdir()?;
/// # std::env::set_current_dir(&dir)?;
/// let store = Store::open("store")?;
/// let mails = Queue::<String>::options()
///     .max_attempts(5)
///     .backoff(Backoff::exponential(Duration::from_secs(10), Duration::from_secs(3600)))
///     .keep_done(Keep::for_(Duration::from_secs(86_400)))
///     .codec::<Json>()
///     .new(&store, "mails")?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct QueueOptions<J, C = MessagePack> {
    pub(crate) max_attempts: Option<u32>,
    pub(crate) backoff: Option<Backoff>,
    pub(crate) keep_done: Option<Keep>,
    pub(crate) keep_dead: Option<Keep>,
    pub(crate) clock: Option<Arc<dyn Clock>>,
    types: PhantomData<fn() -> (J, C)>,
}

impl<J> Default for QueueOptions<J> {
    fn default() -> Self {
        QueueOptions {
            max_attempts: None,
            backoff: None,
            keep_done: None,
            keep_dead: None,
            clock: None,
            types: PhantomData,
        }
    }
}

impl<J, C> QueueOptions<J, C> {
    /// How often a job that fails is tried, where its [`Push`](crate::Push) doesn't say; 20 times unless said.
    pub fn max_attempts(mut self, max_attempts: u32) -> Self {
        self.max_attempts = Some(max_attempts);
        self
    }

    /// How long a job that failed waits, where its [`Push`](crate::Push) doesn't say; from a second on, twice as long each time, up
    /// to an hour, unless said.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = Some(backoff);
        self
    }

    /// Which jobs are kept that are done; the last 1000 unless said.
    pub fn keep_done(mut self, keep: Keep) -> Self {
        self.keep_done = Some(keep);
        self
    }

    /// Which jobs are kept that are dead; all unless said.
    pub fn keep_dead(mut self, keep: Keep) -> Self {
        self.keep_dead = Some(keep);
        self
    }

    /// How jobs and results become bytes; [`MessagePack`] unless said.
    pub fn codec<D: Codec>(self) -> QueueOptions<J, D> {
        QueueOptions {
            max_attempts: self.max_attempts,
            backoff: self.backoff,
            keep_done: self.keep_done,
            keep_dead: self.keep_dead,
            clock: self.clock,
            types: PhantomData,
        }
    }

    /// The clock that tells the time, for tests; the [`SystemClock`](diskette_ipc::SystemClock) unless said, or that of the server
    /// where the store is in a database. All who use a queue must go by the same.
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }
}

impl<J, C: Codec> QueueOptions<J, C> {
    /// Opens the queue of this name in a store; makes it if there is none.
    ///
    /// # Errors
    ///
    /// Those of [`Queue::new`]; [`is_invalid_input`](diskette_store::Error::is_invalid_input) for `max_attempts` of 0, and for what differs from what
    /// is recorded.
    #[allow(
        clippy::new_ret_no_self,
        reason = "it makes what these are the options of"
    )]
    pub fn new(self, store: &Store, name: &str) -> Result<Queue<J, C>> {
        Queue::make(store.clone(), name, self)
    }

    /// Opens the queue of this name; `None` if there is none.
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new).
    pub fn find(self, store: &Store, name: &str) -> Result<Option<Queue<J, C>>> {
        Queue::seek(store.clone(), name, self)
    }

    /// Opens the queue of this name within a transaction, or makes it, as part of that. It can be used there only.
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new).
    pub fn new_within<'t, 's>(
        self,
        tx: &'t Transaction<'s>,
        name: &str,
    ) -> Result<Queue<J, C, &'t Transaction<'s>>> {
        Queue::make(tx, name, self)
    }

    /// Opens a queue in a store of its own, as [`Queue::open`] does.
    ///
    /// # Errors
    ///
    /// Those of [`Store::open`] and of [`new`](Self::new).
    pub fn open(self, path: impl AsRef<Path>) -> Result<Queue<J, C>> {
        self.new(&Store::open(path)?, Queue::<J>::ALONE)
    }
}
