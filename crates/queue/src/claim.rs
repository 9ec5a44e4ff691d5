use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::time::{Duration, SystemTime};

use diskette_store::{Access, Codec, Inside, MessagePack, Result, Store, Transaction};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::held::{Ending, Held, cut};
use crate::inner::micros;
use crate::job::{JobId, Why};
use crate::sql;

/// A job in the hands of this process; made by [`Queue::claim`](crate::Queue::claim).
///
/// It ends by one of the methods that take it: those of its own in a transaction of their own, and
/// [`complete`](Self::complete), [`complete_with`](Self::complete_with) and those of [`within`](Self::within) as a part of one. A
/// claim that is dropped, by a panic or an early return, gives its job back at once, as [`release`](Self::release) does, but the
/// attempt counts: so that a job whose workers never come to its end is dead at last.
///
/// # Process safety
///
/// A claim belongs to the process that made it, and may be sent to any of its threads. In a forked child it is a copy: reading the
/// job works, ending it fails with [`is_misuse`](diskette_store::Error::is_misuse), dropping does nothing.
///
/// # Crashes
///
/// If the process dies, the job is ready again at once, for the first who claims or waits; the attempt counts. After the last of its
/// attempts, or when it was the third worker to die of it, the job is dead.
///
/// # Errors
///
/// All that ends a claim, and [`progress`](Self::progress), fails with [`is_overtaken`](diskette_store::Error::is_overtaken) if the job isn't this
/// claim's any more: it was given to another after the [time limit](crate::Queue::with_time_limit), or was
/// [taken away](crate::Queue::take_away) or [discarded](crate::Queue::discard). A transaction in which that happens can't be committed.
///
/// # Example
///
/// ```
/// use diskette::{Queue, Store};
///
/// # let dir = tempfile::tempdir()?;
/// # std::env::set_current_dir(&dir)?;
/// let store = Store::open("store")?;
/// let mails = Queue::<String>::new(&store, "mails")?;
/// mails.push("Ada")?;
///
/// let claim = mails.claim()?;
/// assert_eq!((claim.as_str(), claim.attempt()), ("Ada", 1));
/// claim.fail("the server is down")?;
/// assert_eq!(mails.stats()?.scheduled, 1); // it is tried again in a second
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a claim that is dropped gives its job back at once"]
pub struct Claim<J, C = MessagePack> {
    pub(crate) job: J,
    pub(crate) id: JobId,
    pub(crate) kills: u32,
    /// By the store's timeline.
    pub(crate) pushed: i64,
    pub(crate) hold: Hold,
    pub(crate) codec: PhantomData<fn() -> C>,
}

/// What gives the job back when it is dropped; nothing, once the claim has ended.
pub(crate) struct Hold(pub(crate) Option<Held>);

impl<J, C> Claim<J, C> {
    /// The number of the job.
    pub fn id(&self) -> JobId {
        self.id
    }

    /// Which attempt this is; the first is 1. Those count that failed, that were dropped, and those whose worker died or was late.
    pub fn attempt(&self) -> u32 {
        self.held().map_or(0, |held| held.attempt)
    }

    /// How many attempts there may be.
    pub fn max_attempts(&self) -> u32 {
        self.held().map_or(0, |held| held.max_attempts)
    }

    /// How many workers have died with this job in their hands.
    pub fn kills(&self) -> u32 {
        self.kills
    }

    /// When the job was pushed, by the clock of the wall, as far as can be told now.
    pub fn pushed(&self) -> SystemTime {
        let wall = |held: &Held| held.inner.timeline.wall(self.pushed);
        self.held().map_or(SystemTime::UNIX_EPOCH, wall)
    }

    /// The job is done, once the transaction commits; else it is given back. What the work has written goes into the same
    /// transaction, and so do the jobs that follow from it.
    ///
    /// # Errors
    ///
    /// [`is_overtaken`](diskette_store::Error::is_overtaken), and then the transaction can't be committed; [`is_misuse`](diskette_store::Error::is_misuse) in a forked
    /// child, and in a transaction of another store.
    pub fn complete(self, tx: &Transaction<'_>) -> Result<()> {
        self.within(tx).complete()
    }

    /// The job is done, and this is its result, for who [waits](crate::Queue::wait) for it; once the transaction commits.
    ///
    /// # Errors
    ///
    /// Those of [`complete`](Self::complete); [`is_codec`](diskette_store::Error::is_codec).
    ///
    /// # Example
    ///
    /// ```
    /// use std::time::Duration;
    /// use diskette::{Outcome, Queue, Store};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # std::env::set_current_dir(&dir)?;
    /// let store = Store::open("store")?;
    /// let sums = Queue::<Vec<u64>>::new(&store, "sums")?;
    /// let id = sums.push(&vec![1, 2, 3])?;
    ///
    /// let claim = sums.claim()?;
    /// let sum: u64 = claim.iter().sum();
    /// store.transaction(|tx| claim.complete_with(tx, &sum))?;
    ///
    /// let outcome = sums.wait::<u64>(id, Duration::from_secs(60))?;
    /// assert_eq!(outcome, Some(Outcome::Done(Some(6))));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn complete_with<R>(self, tx: &Transaction<'_>, result: &R) -> Result<()>
    where
        R: Serialize + DeserializeOwned,
        C: Codec,
    {
        self.within(tx).complete_with(result)
    }

    /// The job is done, in a transaction of its own.
    ///
    /// # Errors
    ///
    /// Those of [`complete`](Self::complete) and [`Store::transaction`](diskette_store::Store::transaction): then the job is given
    /// back.
    pub fn complete_now(self) -> Result<()> {
        self.end("completing a job", Ending::Complete)
    }

    /// It failed: it is tried again after its [back-off](crate::Backoff), or dead if this was the last of its attempts. `error` is
    /// kept, up to 8 KiB of it.
    ///
    /// # Errors
    ///
    /// Those of [`complete_now`](Self::complete_now).
    pub fn fail(self, error: impl fmt::Display) -> Result<()> {
        self.end("failing a job", Ending::Fail(&error.to_string()))
    }

    /// It is tried again after so long, or dead if this was the last of its attempts.
    ///
    /// # Errors
    ///
    /// Those of [`complete_now`](Self::complete_now).
    pub fn retry_in(self, pause: Duration) -> Result<()> {
        self.end("putting a job off", Ending::RetryIn(pause))
    }

    /// Gives the job back, to be claimed again at once. The attempt doesn't count.
    ///
    /// # Errors
    ///
    /// Those of [`complete_now`](Self::complete_now).
    pub fn release(self) -> Result<()> {
        self.end("releasing a job", Ending::Release { counts: false })
    }

    /// Nobody is to try it again: it is dead, and `reason` is kept as its error.
    ///
    /// # Errors
    ///
    /// Those of [`complete_now`](Self::complete_now).
    pub fn cancel(self, reason: impl fmt::Display) -> Result<()> {
        let reason = reason.to_string();
        self.end("cancelling a job", Ending::Die(Why::Cancelled, &reason))
    }

    /// Says how far the work has come, from 0 to 1, for those who [look](crate::Queue::get). Of the note 8 KiB are kept.
    ///
    /// # Errors
    ///
    /// Those of [`complete_now`](Self::complete_now), but that the claim stays as it is.
    pub fn progress(&self, fraction: f64, note: impl fmt::Display) -> Result<()> {
        let Some(held) = self.held() else {
            return Ok(());
        };
        let millionths = (fraction.clamp(0.0, 1.0) * 1e6).round() as i64;
        let note = cut(&note.to_string());
        self.change(held, "telling the progress of a job", |inside| {
            let params = [millionths.into(), note.as_str().into()];
            inside.write_one(|db| held.change(db, sql::PROGRESS, &params))
        })
    }

    /// Begins the claim's [time limit](crate::Queue::with_time_limit) anew, if it has one.
    ///
    /// # Errors
    ///
    /// Those of [`progress`](Self::progress).
    pub fn renew(&self) -> Result<()> {
        let Some((held, limit)) = self.held().and_then(|held| Some((held, held.time_limit?)))
        else {
            return Ok(());
        };
        self.change(held, "renewing a claim", |inside| {
            inside.write_one(|db| {
                let until = held.inner.timeline.now().saturating_add(micros(limit));
                held.change(db, sql::RENEW, &[until.into()])
            })
        })?;
        if let Some(home) = &held.home {
            home.renew(limit);
        }
        Ok(())
    }

    /// The claim within a transaction: how it ends there is part of that.
    ///
    /// # Example
    ///
    /// ```
    /// use diskette::{Deque, Queue, Store};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # std::env::set_current_dir(&dir)?;
    /// let store = Store::open("store")?;
    /// let mails = Queue::<String>::new(&store, "mails")?;
    /// let log = Deque::<String>::new(&store, "log")?;
    /// mails.push("Ada")?;
    /// let claim = mails.claim()?;
    /// store.transaction(|tx| {
    ///     log.within(tx).push_back("no such user")?;
    ///     claim.within(tx).cancel("no such user")
    /// })?;
    /// assert_eq!(mails.stats()?.dead, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn within<'t, 's>(self, tx: &'t Transaction<'s>) -> ClaimWithin<'t, 's, J, C> {
        ClaimWithin { claim: self, tx }
    }

    fn held(&self) -> Option<&Held> {
        self.hold.0.as_ref()
    }

    fn end(mut self, verb: &str, ending: Ending<'_>) -> Result<()> {
        let Some(held) = self.hold.0.as_ref() else {
            return Ok(());
        };
        let ended = held.end(&held.store, ending);
        held.inner.structure.doing(verb, ended)?;
        self.hold.0 = None;
        Ok(())
    }

    fn change(
        &self,
        held: &Held,
        verb: &str,
        change: impl FnOnce(Inside<'_, Store>) -> Result<()>,
    ) -> Result<()> {
        let inside = held.inner.structure.inside(&held.store);
        let changed = held.must_be_ours().and_then(|()| change(inside));
        held.inner.structure.doing(verb, changed)
    }
}

/// A [`Claim`] within a transaction; made by [`Claim::within`]. If that is rolled back, the job is given back after it.
#[must_use = "a claim that is dropped gives its job back at once"]
pub struct ClaimWithin<'t, 's, J, C = MessagePack> {
    claim: Claim<J, C>,
    tx: &'t Transaction<'s>,
}

impl<J, C> ClaimWithin<'_, '_, J, C> {
    /// See [`Claim::complete`].
    ///
    /// # Errors
    ///
    /// Those of [`Claim::complete`].
    pub fn complete(self) -> Result<()> {
        self.end("completing a job", Ending::Complete)
    }

    /// See [`Claim::complete_with`].
    ///
    /// # Errors
    ///
    /// Those of [`Claim::complete_with`].
    pub fn complete_with<R>(self, result: &R) -> Result<()>
    where
        R: Serialize + DeserializeOwned,
        C: Codec,
    {
        let tx = self.tx;
        self.end_by("completing a job", |held| {
            let stored = tx.store().store_value::<C, R, R>(result)?;
            held.complete_with(tx, stored)
        })
    }

    /// See [`Claim::fail`].
    ///
    /// # Errors
    ///
    /// Those of [`Claim::complete`].
    pub fn fail(self, error: impl fmt::Display) -> Result<()> {
        self.end("failing a job", Ending::Fail(&error.to_string()))
    }

    /// See [`Claim::retry_in`].
    ///
    /// # Errors
    ///
    /// Those of [`Claim::complete`].
    pub fn retry_in(self, pause: Duration) -> Result<()> {
        self.end("putting a job off", Ending::RetryIn(pause))
    }

    /// See [`Claim::release`].
    ///
    /// # Errors
    ///
    /// Those of [`Claim::complete`].
    pub fn release(self) -> Result<()> {
        self.end("releasing a job", Ending::Release { counts: false })
    }

    /// See [`Claim::cancel`].
    ///
    /// # Errors
    ///
    /// Those of [`Claim::complete`].
    pub fn cancel(self, reason: impl fmt::Display) -> Result<()> {
        let reason = reason.to_string();
        self.end("cancelling a job", Ending::Die(Why::Cancelled, &reason))
    }

    fn end(self, verb: &str, ending: Ending<'_>) -> Result<()> {
        let tx = self.tx;
        self.end_by(verb, |held| held.end(tx, ending))
    }

    fn end_by(mut self, verb: &str, end: impl FnOnce(&Held) -> Result<()>) -> Result<()> {
        let Some(held) = self.claim.hold.0.as_ref() else {
            return Ok(());
        };
        held.inner.structure.doing(verb, end(held))?;
        if let Some(held) = self.claim.hold.0.take() {
            self.tx.on_rollback(move |_| held.give_back());
        }
        Ok(())
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if let Some(held) = self.0.take() {
            held.give_back();
        }
    }
}

impl<J, C> Deref for Claim<J, C> {
    type Target = J;

    fn deref(&self) -> &J {
        &self.job
    }
}

impl<J: fmt::Debug, C> fmt::Debug for Claim<J, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claim")
            .field("id", &self.id)
            .field("job", &self.job)
            .finish_non_exhaustive()
    }
}

impl<J: fmt::Debug, C> fmt::Debug for ClaimWithin<'_, '_, J, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ClaimWithin").field(&self.claim).finish()
    }
}
