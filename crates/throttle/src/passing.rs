//! Passing: at once, after a wait, or at a time that is booked.

use std::time::Duration;

use diskette_store::{Access, Result};

use crate::chain::Chain;
use crate::rate::Rate;
use crate::reservation::Reservation;
use crate::retry_after::RetryAfter;
use crate::throttle::Throttle;

impl<A: Access> Throttle<A> {
    /// Passes if the throttle lets this call through at once; says otherwise how long to wait.
    ///
    /// # Errors
    ///
    /// [`is_timeout`](diskette_store::Error::is_timeout) when the turn to write didn't come in the store's time. Those of
    /// the database.
    ///
    /// # Cost
    ///
    /// A refusal writes nothing and waits for no turn to write.
    pub fn try_acquire(&self) -> Result<Result<(), RetryAfter>> {
        self.chain.try_acquire()
    }

    /// Passes if the throttle lets a call of this weight through at once: it counts as so many.
    ///
    /// # Errors
    ///
    /// Those of [`try_acquire`](Self::try_acquire); [`is_invalid_input`](diskette_store::Error::is_invalid_input) for a
    /// weight of 0 or above the smallest burst.
    pub fn try_acquire_n(&self, weight: u32) -> Result<Result<(), RetryAfter>> {
        self.chain.try_acquire_n(weight)
    }

    /// The greatest weight that the throttle would let through at once now, without taking it: at most the smallest
    /// burst; 0 while it is [postponed](Self::postpone), and where it would delay one who waits already. By the time you look,
    /// others may have taken it.
    ///
    /// # Errors
    ///
    /// Those of the database.
    ///
    /// # Cost
    ///
    /// One reading statement; it waits for no turn to write.
    ///
    /// # Example
    ///
    /// ```
    /// use diskette::{Rate, Store, Throttle};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # std::env::set_current_dir(&dir)?;
    /// let store = Store::open("store")?;
    /// let calls = Throttle::new(&store, "calls", Rate::per_hour(60).burst(10))?;
    /// assert_eq!(calls.available()?, 10);
    /// calls.acquire_n(7)?;
    /// assert_eq!(calls.available()?, 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn available(&self) -> Result<u32> {
        self.chain.available()
    }

    /// The same by each of the [rates](Self::rates): what it would let through by itself, in the order in which they were given.
    ///
    /// # Errors
    ///
    /// Those of [`available`](Self::available).
    pub fn available_by_rate(&self) -> Result<Vec<(Rate, u32)>> {
        self.chain.available_by_rate("available_by_rate")
    }
}

impl Throttle {
    /// Waits until the throttle lets this call through: takes the earliest free slot and sleeps exactly
    /// until then.
    ///
    /// # Errors
    ///
    /// [`is_misuse`](diskette_store::Error::is_misuse) within a transaction of this thread;
    /// [`is_stopped`](diskette_store::Error::is_stopped), with the slot given back; [`is_full`](diskette_store::Error::is_full)
    /// when 10,000 are waiting already, or the slot is more than ten years away;
    /// [`is_timeout`](diskette_store::Error::is_timeout) when the turn to write didn't come in the store's time. Those of
    /// the database.
    pub fn acquire(&self) -> Result<()> {
        self.chain.acquire()
    }

    /// Waits until the throttle lets a call of this weight through: it counts as so many.
    ///
    /// # Errors
    ///
    /// Those of [`acquire`](Self::acquire); [`is_invalid_input`](diskette_store::Error::is_invalid_input) for a weight of 0
    /// or above the smallest burst.
    pub fn acquire_n(&self, weight: u32) -> Result<()> {
        self.chain.acquire_n(weight)
    }

    /// Waits until the throttle lets this call through, unless that takes longer than `timeout`: then it is
    /// refused at once, and nothing is debited. A timeout of zero is [`try_acquire`](Self::try_acquire).
    ///
    /// # Errors
    ///
    /// Those of [`acquire`](Self::acquire).
    pub fn acquire_timeout(&self, timeout: Duration) -> Result<Result<(), RetryAfter>> {
        self.chain.acquire_timeout(timeout)
    }

    /// Waits until the throttle lets a call of this weight through, unless that takes longer than `timeout`.
    ///
    /// # Errors
    ///
    /// Those of [`acquire_n`](Self::acquire_n).
    pub fn acquire_n_timeout(
        &self,
        weight: u32,
        timeout: Duration,
    ) -> Result<Result<(), RetryAfter>> {
        self.chain.acquire_n_timeout(weight, timeout)
    }

    /// Takes the earliest free slot without waiting for it.
    ///
    /// # Errors
    ///
    /// Those of [`acquire`](Self::acquire).
    pub fn reserve(&self) -> Result<Reservation> {
        self.chain.reserve()
    }

    /// Takes the earliest slot that is free for a call of this weight, without waiting for it.
    ///
    /// # Errors
    ///
    /// Those of [`acquire_n`](Self::acquire_n).
    pub fn reserve_n(&self, weight: u32) -> Result<Reservation> {
        self.chain.reserve_n(weight)
    }

    /// Both throttles, to be passed together.
    #[must_use]
    pub fn and(&self, other: &Throttle) -> Chain {
        self.chain.and(other)
    }

    /// The function, throttled: each call [waits](Self::acquire) first.
    ///
    /// # Errors
    ///
    /// Those of [`acquire`](Self::acquire); then the function was not called.
    ///
    /// # Example
    ///
    /// ```
    /// use diskette::{Rate, Store, Throttle};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # std::env::set_current_dir(&dir)?;
    /// let store = Store::open("store")?;
    /// let calls = Throttle::new(&store, "calls", Rate::per_second(1000))?;
    /// let double = calls.wrap(|x| 2 * x);
    /// assert_eq!((double(1)?, double(2)?), (2, 4));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn wrap<X, R, F: Fn(X) -> R>(&self, f: F) -> impl Fn(X) -> Result<R> + use<X, R, F> {
        let throttle = self.clone();
        move |x| {
            throttle.acquire()?;
            Ok(f(x))
        }
    }
}
