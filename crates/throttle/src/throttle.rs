use std::fmt;
use std::sync::Arc;

use diskette_ipc::Clock;
use diskette_store::{Access, Result, Store, Structure, Structures};

use crate::chain::Chain;
use crate::links::Link;
use crate::options::ThrottleOptions;
use crate::rate::{self, Rate, invalid};
use crate::sql::KIND;
use crate::state::State;

/// A rate limit in a store, kept by all processes together.
///
/// A handle: cheap to clone, and to send to other threads. It has one or several [`Rate`]s, and never lets
/// more through than each of them says, in any window of time.
///
/// # Process safety
///
/// Any number of processes and threads may use a throttle at the same time. They must go by
/// the same clock: one machine, and on Linux one time namespace; or, on any number of machines, that of the server that the
/// store is in. How late that is each process knows to within a round trip.
///
/// # Crashes
///
/// What has been let through stays debited, whoever dies: a restart of a program, of all of them
/// or of the machine refills nothing. The slot of a process that dies while it waits goes to the next who
/// would have to wait. Over a restart of the machine time is taken from the time of day, as far as that goes
/// forward; at all other times a step of the time of day has no effect.
///
/// # Fairness
///
/// Those who wait are let through in the order in which they came, each at the time that it was given.
/// Only a slot that was given back, or whose owner died, goes to whoever comes next. A
/// call of small weight never delays a heavier one that came first.
///
/// # Cost
///
/// One transaction of two statements, some 10 microseconds, to pass at once or to take a place; a refusal
/// after another is one reading statement. Where others wait, a microsecond more for each of their processes, to see
/// whether it lives. Each call that waits adds 28 bytes to the row; 10,000 may wait at once. Nobody
/// polls: whoever waits sleeps until its time.
///
/// # Example
///
/// ```
/// use diskette::{Rate, RetryAfter, Store, Throttle};
///
/// # let dir = tempfile::tempdir()?;
/// # std::env::set_current_dir(&dir)?;
/// let store = Store::open("store")?;
/// let calls = Throttle::new(&store, "calls", Rate::per_hour(60).burst(2))?;
/// calls.acquire()?;
/// assert_eq!(calls.try_acquire()?, Ok(()));
/// let Err(RetryAfter(wait)) = calls.try_acquire()? else { panic!("the burst is used up") };
/// assert!(wait.as_secs() <= 60);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Throttle<A = Store> {
    /// A throttle is a chain of one.
    pub(crate) chain: Chain<A>,
}

impl Throttle {
    /// Opens the throttle of this name in a store; makes it if there is none. One [`Rate`] will do, or
    /// an array of several, all of which hold.
    ///
    /// # Errors
    ///
    /// [`is_invalid_input`](diskette_store::Error::is_invalid_input) for rates that let nobody through (see [`Rate`]), for
    /// other rates than the recorded ones, and for a name that is empty, longer than 255 bytes or has
    /// control characters; [`is_wrong_kind`](diskette_store::Error::is_wrong_kind) when the name belongs to another kind
    /// of structure; [`is_newer_format`](diskette_store::Error::is_newer_format); [`is_corrupt`](diskette_store::Error::is_corrupt) for a
    /// row that no throttle has written.
    pub fn new(store: &Store, name: &str, rates: impl IntoIterator<Item = Rate>) -> Result<Self> {
        Self::options().new(store, name, rates)
    }

    /// Opens the throttle of this name in a store and gives it these rates, whatever it had; makes it if there is none. For
    /// a new release with other rates: programs of the old one that run go by the new rates, as after
    /// [`set_rates`](Self::set_rates).
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new), but for other rates than the recorded ones, and of [`set_rates`](Self::set_rates);
    /// [`is_misuse`](diskette_store::Error::is_misuse) within a transaction of this thread.
    ///
    /// # Example
    ///
    /// ```
    /// use diskette::{Rate, Store, Throttle};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # std::env::set_current_dir(&dir)?;
    /// let store = Store::open("store")?;
    /// let old = Throttle::new(&store, "calls", Rate::per_second(10))?;
    /// assert!(Throttle::new(&store, "calls", Rate::per_second(20)).is_err());
    /// Throttle::open_or_set(&store, "calls", Rate::per_second(20))?;
    /// assert_eq!(old.rates()?, [Rate::per_second(20)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn open_or_set(
        store: &Store,
        name: &str,
        rates: impl IntoIterator<Item = Rate>,
    ) -> Result<Self> {
        Self::options().open_or_set(store, name, rates)
    }

    /// Opens the throttle of this name, with the rates that it has; `None` if there is none.
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new), but for the rates.
    pub fn find(store: &Store, name: &str) -> Result<Option<Self>> {
        Self::options().find(store, name)
    }

    /// How to open a throttle otherwise than by default: with another clock.
    pub fn options() -> ThrottleOptions {
        ThrottleOptions::default()
    }

    pub(crate) fn make(
        store: &Store,
        name: &str,
        rates: &[Rate],
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        let throttle = Self::open(store, name, rates, clock)?;
        let agree = throttle.recorded().and_then(|recorded| match recorded {
            recorded if recorded == rates => Ok(()),
            recorded => Err(invalid(format!(
                "it has {}, and was asked for with {}: open it with the rates it has or by \
                 `Throttle::find`, or by `open_or_set` if they should change",
                listed(&recorded),
                listed(rates)
            ))),
        });
        throttle.doing("opening", agree)?;
        Ok(throttle)
    }

    pub(crate) fn make_or_set(
        store: &Store,
        name: &str,
        rates: &[Rate],
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        let throttle = Self::open(store, name, rates, clock)?;
        let set = throttle.recorded().and_then(|recorded| {
            if recorded == rates {
                return Ok(());
            }
            throttle.set(rates)
        });
        throttle.doing("opening", set)?;
        Ok(throttle)
    }

    fn open(store: &Store, name: &str, rates: &[Rate], clock: Arc<dyn Clock>) -> Result<Self> {
        let structure = Structure::open(store, &KIND, name, CODEC, |db, structure| {
            rate::check(rates)?;
            State::new(rates, &clock.read()).create(db, structure)
        })?;
        structure.doing("opening", rate::check(rates))?;
        Ok(Self::of(store, structure, clock))
    }

    pub(crate) fn seek(store: &Store, name: &str, clock: Arc<dyn Clock>) -> Result<Option<Self>> {
        let found = Structure::find(store, &KIND, name, CODEC)?;
        Ok(found.map(|found| Self::of(store, found, clock)))
    }

    fn of(store: &Store, structure: Arc<Structure>, clock: Arc<dyn Clock>) -> Self {
        let links = Arc::new([Link {
            structure,
            clock,
            refuses: Arc::default(),
        }]);
        let access = store.clone();
        Throttle {
            chain: Chain { links, access },
        }
    }
}

impl<A: Access> Throttle<A> {
    /// The same throttle inside an open transaction: what passes there is debited once that commits.
    ///
    /// # Example
    ///
    /// ```
    /// use diskette::{Error, Rate, Store, Throttle};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # std::env::set_current_dir(&dir)?;
    /// let store = Store::open("store")?;
    /// let mails = Throttle::new(&store, "mails", Rate::per_hour(1))?;
    /// let sent = store.transaction(|tx| {
    ///     let passed = mails.within(tx).try_acquire()?;
    ///     // … mark the mail as sent, in the same transaction
    ///     Ok::<_, Error>(passed.is_ok())
    /// })?;
    /// assert!(sent);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn within<'t, B: Access>(&self, tx: &'t B) -> Throttle<&'t B> {
        Throttle {
            chain: self.chain.within(tx),
        }
    }

    /// The name of the throttle in its store.
    pub fn name(&self) -> &str {
        self.link().structure.name()
    }

    /// The store that it is in.
    pub fn store(&self) -> &Store {
        self.chain.access.store()
    }

    pub(crate) fn link(&self) -> &Link {
        &self.chain.links[0]
    }

    pub(crate) fn doing<R>(&self, verb: &str, result: Result<R>) -> Result<R> {
        self.chain.doing(verb, result)
    }
}

/// A throttle stores no values.
const CODEC: &str = "none";

fn listed(rates: &[Rate]) -> String {
    let rates: Vec<_> = rates.iter().map(Rate::to_string).collect();
    rates.join(" and ")
}

impl<A> Structures for Throttle<A> {
    fn each(&self, visit: &mut dyn FnMut(&Structure) -> Result<()>) -> Result<()> {
        self.chain.each(visit)
    }
}

impl<A: Clone> Clone for Throttle<A> {
    fn clone(&self) -> Self {
        Throttle {
            chain: self.chain.clone(),
        }
    }
}

impl<A: Access> fmt::Debug for Throttle<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Throttle")
            .field("name", &self.name())
            .field("store", &self.store().path())
            .finish_non_exhaustive()
    }
}
