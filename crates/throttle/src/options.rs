use std::sync::Arc;

use diskette_ipc::Clock;
use diskette_store::{Result, Store};

use crate::rate::Rate;
use crate::throttle::Throttle;

/// How a throttle is opened otherwise than by default; made by [`Throttle::options`].
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use diskette::Store;
/// use diskette::throttle::{ManualClock, Rate, Throttle};
///
/// # let dir = tempfile::tempdir()?;
/// # std::env::set_current_dir(&dir)?;
/// let store = Store::open("store")?;
/// let clock = ManualClock::new();
/// let calls = Throttle::options()
///     .clock(clock.clone())
///     .new(&store, "calls", Rate::per_minute(1))?;
///
/// assert!(calls.try_acquire()?.is_ok());
/// assert!(calls.try_acquire()?.is_err());
/// clock.advance(Duration::from_secs(60));
/// assert!(calls.try_acquire()?.is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct ThrottleOptions {
    clock: Option<Arc<dyn Clock>>,
}

impl ThrottleOptions {
    /// The clock that tells the time and sleeps; the [`SystemClock`](diskette_ipc::SystemClock) unless said, or that of the server
    /// where the store is in a database. All who use a throttle
    /// must go by the same.
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// Opens the throttle of this name in a store; makes it if there is none.
    ///
    /// # Errors
    ///
    /// Those of [`Throttle::new`].
    #[allow(
        clippy::new_ret_no_self,
        reason = "it makes what these are the options of"
    )]
    pub fn new(
        self,
        store: &Store,
        name: &str,
        rates: impl IntoIterator<Item = Rate>,
    ) -> Result<Throttle> {
        let rates: Vec<_> = rates.into_iter().collect();
        Throttle::make(store, name, &rates, self.clock_of(store)?)
    }

    /// Opens the throttle of this name in a store and gives it these rates, whatever it had; makes it if there is none.
    ///
    /// # Errors
    ///
    /// Those of [`Throttle::open_or_set`].
    pub fn open_or_set(
        self,
        store: &Store,
        name: &str,
        rates: impl IntoIterator<Item = Rate>,
    ) -> Result<Throttle> {
        let rates: Vec<_> = rates.into_iter().collect();
        Throttle::make_or_set(store, name, &rates, self.clock_of(store)?)
    }

    /// Opens the throttle of this name, with the rates that it has; `None` if there is none.
    ///
    /// # Errors
    ///
    /// Those of [`Throttle::find`].
    pub fn find(self, store: &Store, name: &str) -> Result<Option<Throttle>> {
        Throttle::seek(store, name, self.clock_of(store)?)
    }

    fn clock_of(self, store: &Store) -> Result<Arc<dyn Clock>> {
        self.clock.map_or_else(|| store.clock(), Ok)
    }
}
