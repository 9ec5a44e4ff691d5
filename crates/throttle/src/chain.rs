use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use diskette_ipc::Deadline;
use diskette_store::{Access, Db, Error, ErrorKind, Result, Store, Structure, Structures};

use crate::booking::{self, Latest, Wish};
use crate::links::{self, Link, doing};
use crate::rate::{Rate, invalid};
use crate::reservation::Reservation;
use crate::retry_after::RetryAfter;
use crate::state::nanos;
use crate::throttle::Throttle;

/// Several throttles that a call has to pass together; made by [`Throttle::and`].
///
/// Each call is debited to all of them or to none, in one transaction. One that has to wait gets the
/// earliest time that suits all; until then it holds nobody up on those that would have
/// let it through at once. A throttle that is named twice counts once.
///
/// The throttles must be in one store: calls on others fail with [`is_misuse`](Error::is_misuse). All go by
/// the clock of the first.
///
/// # Process safety
///
/// That of [`Throttle`], as for the headings below.
///
/// # Crashes
///
/// The debit of a call happens in all throttles or in none.
///
/// # Fairness
///
/// As on a single throttle, in each of them.
///
/// # Cost
///
/// One transaction, with two statements for each throttle.
///
/// # Example
///
/// ```
/// use diskette::{Rate, Store, Throttle};
///
/// # let dir = tempfile::tempdir()?;
/// # std::env::set_current_dir(&dir)?;
/// let store = Store::open("store")?;
/// let global = Throttle::new(&store, "global", Rate::per_second(2).burst(2))?;
/// let slow = Throttle::new(&store, "host slow.example", Rate::per_hour(1))?;
/// let fast = Throttle::new(&store, "host fast.example", Rate::per_second(1))?;
///
/// assert!(slow.and(&global).try_acquire()?.is_ok());
/// assert!(slow.and(&global).try_acquire()?.is_err()); // nothing is debited to `global`
/// assert!(fast.and(&global).try_acquire()?.is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Chain<A = Store> {
    /// At least one, none of them twice.
    pub(crate) links: Arc<[Link]>,
    pub(crate) access: A,
}

impl Chain {
    /// A chain of these throttles.
    ///
    /// # Errors
    ///
    /// [`is_invalid_input`](Error::is_invalid_input) if there is none.
    pub fn new<'t>(throttles: impl IntoIterator<Item = &'t Throttle>) -> Result<Self> {
        let mut throttles = throttles.into_iter();
        let Some(first) = throttles.next() else {
            return Err(invalid("a chain needs at least one throttle".into()));
        };
        Ok(throttles.fold(first.chain.clone(), |chain, next| chain.and(next)))
    }

    /// The same chain with one more throttle.
    #[must_use]
    pub fn and(&self, throttle: &Throttle) -> Self {
        let mut links = self.links.to_vec();
        for link in &*throttle.chain.links {
            let same = |other: &Link| {
                other.structure.id() == link.structure.id()
                    && link.structure.must_be_in(&self.access).is_ok()
            };
            if !links.iter().any(same) {
                links.push(link.clone());
            }
        }
        Chain {
            links: links.into(),
            access: self.access.clone(),
        }
    }

    /// Waits until all throttles let this call through. Like [`Throttle::acquire`].
    ///
    /// # Errors
    ///
    /// Those of [`Throttle::acquire`].
    pub fn acquire(&self) -> Result<()> {
        self.acquire_n(1)
    }

    /// Waits until all throttles let a call of this weight through. Like [`Throttle::acquire_n`].
    ///
    /// # Errors
    ///
    /// Those of [`Throttle::acquire_n`].
    pub fn acquire_n(&self, weight: u32) -> Result<()> {
        self.doing("acquire", self.acquire_within(weight, Duration::MAX))
            .map(drop)
    }

    /// Waits until all throttles let this call through, unless that takes too long. Like
    /// [`Throttle::acquire_timeout`].
    ///
    /// # Errors
    ///
    /// Those of [`Throttle::acquire_timeout`].
    pub fn acquire_timeout(&self, timeout: Duration) -> Result<Result<(), RetryAfter>> {
        self.acquire_n_timeout(1, timeout)
    }

    /// Waits until all throttles let a call of this weight through, unless that takes too long. Like
    /// [`Throttle::acquire_n_timeout`].
    ///
    /// # Errors
    ///
    /// Those of [`Throttle::acquire_n_timeout`].
    pub fn acquire_n_timeout(
        &self,
        weight: u32,
        timeout: Duration,
    ) -> Result<Result<(), RetryAfter>> {
        if timeout.is_zero() {
            return self.try_acquire_n(weight);
        }
        self.doing("acquire_timeout", self.acquire_within(weight, timeout))
    }

    /// Books the earliest time that suits all throttles. Like [`Throttle::reserve`].
    ///
    /// # Errors
    ///
    /// Those of [`Throttle::reserve`].
    pub fn reserve(&self) -> Result<Reservation> {
        self.reserve_n(1)
    }

    /// Books the earliest time that suits all throttles, for a call of this weight. Like
    /// [`Throttle::reserve_n`].
    ///
    /// # Errors
    ///
    /// Those of [`Throttle::reserve_n`].
    pub fn reserve_n(&self, weight: u32) -> Result<Reservation> {
        let book = |store: &Store| Reservation::book(&self.links, store, weight, Latest::Never);
        let booked = self.access.in_one_place(book);
        self.doing("reserve", booked)?.map_err(|refusal| {
            Error::new(ErrorKind::Full, refusal.to_string()) // never, without a latest time
        })
    }

    /// Who waits when the store moves gets another slot.
    fn acquire_within(&self, weight: u32, timeout: Duration) -> Result<Result<(), RetryAfter>> {
        let (deadline, mut first) = (Deadline::after(timeout), Some(timeout));
        self.access.in_one_place(|store| {
            let left = first.take().or_else(|| deadline.remaining());
            let now = self.links[0].clock.read().uptime;
            let latest = now.checked_add(left.unwrap_or(Duration::MAX));
            let latest = latest.map_or(Latest::Never, |latest| Latest::At(nanos(latest)));
            match Reservation::book(&self.links, store, weight, latest)? {
                Ok(reservation) => reservation.keep(latest),
                Err(refusal) => Ok(Err(refusal)),
            }
        })
    }
}

impl<A: Access> Chain<A> {
    /// The same chain inside an open transaction. Like [`Throttle::within`].
    pub fn within<'t, B: Access>(&self, tx: &'t B) -> Chain<&'t B> {
        Chain {
            links: Arc::clone(&self.links),
            access: tx,
        }
    }

    /// Passes all throttles if they let this call through at once. Like [`Throttle::try_acquire`].
    ///
    /// # Errors
    ///
    /// Those of [`Throttle::try_acquire`].
    pub fn try_acquire(&self) -> Result<Result<(), RetryAfter>> {
        self.try_acquire_n(1)
    }

    /// Passes all throttles if they let a call of this weight through at once. Like
    /// [`Throttle::try_acquire_n`].
    ///
    /// # Errors
    ///
    /// Those of [`Throttle::try_acquire_n`].
    pub fn try_acquire_n(&self, weight: u32) -> Result<Result<(), RetryAfter>> {
        let wish = Wish {
            weight,
            latest: Latest::Now,
            ticket: None,
        };
        let acquire = || {
            links::must_be_in(&self.links, self.access.store())?;
            // After a refusal comes another, most likely, and that needs no turn to write.
            if self.links.iter().any(|link| link.refuses.load(Relaxed)) {
                let look = |db: &Db<'_>| booking::refusal(db, &self.links, wish);
                if let Some(refusal) = links::read(&self.links, &self.access, look)? {
                    return Ok(Err(refusal));
                }
            }
            let links = &*self.links;
            let book = |db: &Db<'_>| booking::book(db, links, wish);
            let booked = links::write(links, &self.access, book)?;
            for link in links {
                link.refuses.store(booked.is_err(), Relaxed);
            }
            Ok(booked.map(drop))
        };
        self.doing("try_acquire", acquire())
    }

    /// The greatest weight that all throttles would let through at once now. Like [`Throttle::available`].
    ///
    /// # Errors
    ///
    /// Those of [`Throttle::available`].
    pub fn available(&self) -> Result<u32> {
        let rates = self.available_by_rate("available")?;
        Ok(rates.iter().map(|&(_, weight)| weight).min().unwrap_or(0))
    }

    pub(crate) fn available_by_rate(&self, verb: &str) -> Result<Vec<(Rate, u32)>> {
        let look = || {
            links::must_be_in(&self.links, self.access.store())?;
            let look = |db: &Db<'_>| booking::available(db, &self.links);
            links::read(&self.links, &self.access, look)
        };
        self.doing(verb, look())
    }

    pub(crate) fn doing<R>(&self, verb: &str, result: Result<R>) -> Result<R> {
        doing(&self.links, verb, result)
    }
}

impl<A> Structures for Chain<A> {
    fn each(&self, visit: &mut dyn FnMut(&Structure) -> Result<()>) -> Result<()> {
        let mut links = self.links.iter();
        links.try_for_each(|link| visit(&link.structure))
    }
}

impl<A: Clone> Clone for Chain<A> {
    fn clone(&self) -> Self {
        Chain {
            links: Arc::clone(&self.links),
            access: self.access.clone(),
        }
    }
}

impl<A: Access> fmt::Debug for Chain<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.links.iter().map(|link| link.structure.name());
        f.debug_struct("Chain")
            .field("names", &names.collect::<Vec<_>>())
            .field("store", &self.access.store().path())
            .finish_non_exhaustive()
    }
}
