use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use diskette_ipc::{Clock, Deadline, fork};
use diskette_store::{Access, Db, Error, ErrorKind, Result, Store};

use crate::booking::{self, Latest, Wish};
use crate::gcra::Ticket;
use crate::links::{self, Link, doing};
use crate::retry_after::RetryAfter;
use crate::state::nanos;

/// A time that is booked ahead; made by [`Throttle::reserve`](crate::Throttle::reserve).
///
/// Either [wait](Self::wait) for it, or [ask](Self::try_wait) whether it has come, and then do what is throttled; or drop
/// it, which gives the slot to the next comer if its time has not come yet. Nobody else's slot moves.
///
/// # Process safety
///
/// A reservation belongs to the process that made it. In a forked child it is a copy: waiting fails with
/// [`is_misuse`](Error::is_misuse), dropping does nothing.
///
/// # Crashes
///
/// If the process dies before the time, its slot goes to the next who would have to wait.
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
/// let options = Throttle::options().clock(ManualClock::new());
/// let calls = options.new(&store, "calls", Rate::per_minute(1))?;
/// calls.acquire()?;
/// let next = calls.reserve()?;
/// assert_eq!(next.remaining(), Duration::from_secs(60));
/// drop(next); // thought better of it
/// let next = calls.reserve()?;
/// assert_eq!(next.remaining(), Duration::from_secs(60));
/// next.wait()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a reservation that is dropped gives its slot back"]
pub struct Reservation {
    links: Arc<[Link]>,
    store: Store,
    weight: u32,
    ticket: Ticket,
    /// In nanoseconds of uptime.
    at: u64,
    /// Whether there is an appointment: the time had not come when it was booked, and it has not been kept.
    is_booked: bool,
    /// The process that made it.
    generation: u64,
}

impl Reservation {
    /// When its time comes, as an [uptime](diskette_ipc::Reading::uptime) of the throttle's clock. A
    /// [postponed](crate::Throttle::postpone) one comes later: [`wait`](Self::wait) knows.
    pub fn at(&self) -> Duration {
        Duration::from_nanos(self.at)
    }

    /// How long until its time comes; zero once it has. Whether it was [postponed](crate::Throttle::postpone) since,
    /// [`try_wait`](Self::try_wait) knows.
    pub fn remaining(&self) -> Duration {
        Duration::from_nanos(self.at.saturating_sub(self.now()))
    }

    /// Sleeps until the time has come.
    ///
    /// # Errors
    ///
    /// [`is_misuse`](Error::is_misuse) within a transaction of this thread, which would keep all others
    /// waiting, and in a forked child. [`is_stopped`](Error::is_stopped), and those of the database: then the slot is given up.
    ///
    /// # Cost
    ///
    /// One statement after the sleep, which tells whether the slot was moved.
    pub fn wait(self) -> Result<()> {
        let links = Arc::clone(&self.links);
        let waited = || {
            self.must_be_ours()?;
            if self.is_booked {
                // Refused within a transaction of this thread.
                self.store.write_one(|_| Ok(()))?;
            }
            self.keep(Latest::Never)
        };
        doing(&links, "waiting for a slot", waited()).map(drop)
    }

    /// Whether the time has come; how long it still is otherwise. It never sleeps, so an async program asks it, sleeps as its
    /// runtime does, and asks again, until it is `Ok`: once is enough unless the slot was
    /// [postponed](crate::Throttle::postpone). Once it was `Ok` it stays so, and dropping gives nothing back.
    ///
    /// # Errors
    ///
    /// Those of [`wait`](Self::wait); but the slot is kept, and it can be asked again.
    ///
    /// # Cost
    ///
    /// None before the time; one statement after it, which tells whether the slot was moved, and then a transaction, as it takes
    /// to [reserve](crate::Throttle::reserve), to move it.
    ///
    /// # Example
    ///
    /// ```
    /// use std::time::Duration;
    /// use diskette::throttle::{ManualClock, Rate, Throttle};
    /// use diskette::{RetryAfter, Store};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # std::env::set_current_dir(&dir)?;
    /// let store = Store::open("store")?;
    /// let clock = ManualClock::new();
    /// let options = Throttle::options().clock(clock.clone());
    /// let calls = options.new(&store, "calls", Rate::per_minute(1))?;
    /// calls.acquire()?;
    /// let mut slot = calls.reserve()?;
    /// while let Err(RetryAfter(left)) = slot.try_wait()? {
    ///     // tokio::time::sleep(left).await;
    ///     clock.advance(left); // in a test
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_wait(&mut self) -> Result<Result<(), RetryAfter>> {
        let links = Arc::clone(&self.links);
        doing(&links, "asking for a slot", self.has_come())
    }

    /// Gives the slot to the next comer if its time has not come, and says whether that went well;
    /// dropping does the same.
    ///
    /// # Errors
    ///
    /// [`is_misuse`](Error::is_misuse) within a transaction of this thread: the slot is given back after
    /// its end. Those of [`Store::transaction`].
    pub fn cancel(mut self) -> Result<()> {
        if !self.is_booked || !self.is_ours() {
            return Ok(());
        }
        let cancel = |db: &Db<'_>| booking::cancel(db, &self.links, self.ticket);
        let cancelled = links::write(&self.links, &self.store, cancel);
        doing(&self.links, "cancelling a reservation", cancelled)?;
        self.is_booked = false;
        Ok(())
    }

    /// Books the earliest slot, if that is not too late.
    pub(crate) fn book(
        links: &Arc<[Link]>,
        store: &Store,
        weight: u32,
        latest: Latest,
    ) -> Result<Result<Self, RetryAfter>> {
        static NEXT: AtomicI64 = AtomicI64::new(1);
        links::must_be_in(links, store)?;
        let generation = fork::generation();
        let ticket = Ticket {
            owner: store.claimant()?.as_i64(),
            number: NEXT.fetch_add(1, Ordering::Relaxed),
        };
        let mut reservation = Reservation {
            links: Arc::clone(links),
            store: store.clone(),
            weight,
            ticket,
            at: 0,
            is_booked: false,
            generation,
        };
        Ok(reservation.book_again(latest)?.map(|()| reservation))
    }

    /// Sleeps until the slot, and on if it was moved meanwhile, unless that is too late: then it is
    /// given up.
    pub(crate) fn keep(mut self, latest: Latest) -> Result<Result<(), RetryAfter>> {
        while self.is_booked {
            self.sleep()?;
            if let Err(refusal) = self.arrive(latest)? {
                return Ok(Err(refusal));
            }
        }
        Ok(Ok(()))
    }

    fn sleep(&self) -> Result<()> {
        let Some(stop) = self.store.stop() else {
            self.clock().sleep_until(self.at());
            return Ok(());
        };
        self.clock().sleep_until_stopped(self.at(), stop);
        match self.remaining() {
            Duration::ZERO => Ok(()),
            _ => self.store.may_wait(),
        }
    }

    fn has_come(&mut self) -> Result<Result<(), RetryAfter>> {
        self.must_be_ours()?;
        if self.is_booked && self.remaining().is_zero() {
            let _never_refused = self.arrive(Latest::Never)?;
        }
        Ok(match self.is_booked {
            true => Err(RetryAfter(self.remaining())),
            false => Ok(()),
        })
    }

    /// Keeps the appointment, whose time has come; if it was moved meanwhile, it is booked anew.
    fn arrive(&mut self, latest: Latest) -> Result<Result<(), RetryAfter>> {
        let was_moved = links::read(&self.links, &self.store, |db| {
            booking::is_ahead(db, &self.links, self.ticket)
        })?;
        if was_moved {
            return self.book_again(latest);
        }
        self.is_booked = false;
        Ok(Ok(()))
    }

    fn book_again(&mut self, latest: Latest) -> Result<Result<(), RetryAfter>> {
        let wish = Wish {
            weight: self.weight,
            latest,
            ticket: Some(self.ticket),
        };
        let store = match latest {
            Latest::At(time) => {
                let left = Duration::from_nanos(time.saturating_sub(self.now()));
                self.store.hurried(Deadline::after(left))
            }
            Latest::Now | Latest::Never => self.store.clone(),
        };
        let book = |db: &Db<'_>| booking::book(db, &self.links, wish);
        let booked = links::write(&self.links, &store, book)?;
        self.is_booked = booked.is_ok_and(|slot| !slot.is_now);
        Ok(booked.map(|slot| self.at = slot.at))
    }

    fn must_be_ours(&self) -> Result<()> {
        if self.is_ours() {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Misuse,
            "this reservation belongs to the process that this one was forked from: reserve anew",
        ))
    }

    fn is_ours(&self) -> bool {
        self.generation == fork::generation()
    }

    fn now(&self) -> u64 {
        nanos(self.clock().read().uptime)
    }

    fn clock(&self) -> &dyn Clock {
        &self.links[0].clock
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if !self.is_booked || !self.is_ours() {
            return;
        }
        let (links, ticket) = (Arc::clone(&self.links), self.ticket);
        self.store.when_free(move |store| {
            // If that fails, the slot goes unused.
            let _ = links::write(&links, store, |db| booking::cancel(db, &links, ticket));
        });
    }
}

impl fmt::Debug for Reservation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reservation")
            .field("at", &self.at())
            .field("weight", &self.weight)
            .finish_non_exhaustive()
    }
}
