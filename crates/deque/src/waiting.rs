//! Waiting: for an item to come, for room, for the last to go. Nobody polls.

use std::time::Duration;

use diskette_ipc::Deadline;
use diskette_store::{
    Access, Arrivals, Attempt, Codec, Error, ErrorKind, Like, Result, Store, Stored, Structure,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bound::{Bound, full};
use crate::claim::Claim;
use crate::deque::Deque;
use crate::positions::End;

impl<T, C> Deque<T, C>
where
    T: Serialize + DeserializeOwned,
    C: Codec,
{
    /// Takes the first item, and waits for one if there is none; `None` when the time is up.
    ///
    /// # Errors
    ///
    /// Those of [`pop_front`](Self::pop_front); [`is_misuse`](Error::is_misuse) within a transaction of
    /// this thread; [`is_stopped`](Error::is_stopped) if there is no item and the store's [`Stop`](diskette_store::Stop) is, or was,
    /// stopped.
    ///
    /// # Example
    ///
    /// ```
    /// use std::time::Duration;
    /// use diskette::Deque;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # std::env::set_current_dir(&dir)?;
    /// let calls = Deque::<u32>::open("calls")?;
    /// let line = calls.clone();
    /// let answering = std::thread::spawn(move || line.pop_front_timeout(Duration::from_secs(60)));
    /// calls.push_back(&7)?;
    /// assert_eq!(answering.join().unwrap()?, Some(7));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn pop_front_timeout(&self, timeout: Duration) -> Result<Option<T>> {
        let popped = self.wait_for_item(timeout, |deque| deque.pop(End::Front));
        self.doing("pop_front_timeout", popped)
    }

    /// Takes the last item. Otherwise like [`pop_front_timeout`](Self::pop_front_timeout).
    ///
    /// # Errors
    ///
    /// Those of [`pop_front_timeout`](Self::pop_front_timeout).
    pub fn pop_back_timeout(&self, timeout: Duration) -> Result<Option<T>> {
        let popped = self.wait_for_item(timeout, |deque| deque.pop(End::Back));
        self.doing("pop_back_timeout", popped)
    }

    /// Claims the first item, and waits for one if there is none; `None` when the time is up. Nobody
    /// else gets the item while the [`Claim`] lives; it is gone once the claim is
    /// [completed](Claim::complete), and back in its place if the claim is dropped or the process dies.
    ///
    /// # Errors
    ///
    /// Those of [`pop_front_timeout`](Self::pop_front_timeout).
    ///
    /// # Cost
    ///
    /// Three statements, and four to complete.
    pub fn claim_front(&self, timeout: Duration) -> Result<Option<Claim<T>>> {
        let claimed = self.wait_for_item(timeout, |deque| deque.claim(End::Front));
        self.doing("claim_front", claimed)
    }

    /// Claims the last item. Otherwise like [`claim_front`](Self::claim_front).
    ///
    /// # Errors
    ///
    /// Those of [`pop_front_timeout`](Self::pop_front_timeout).
    pub fn claim_back(&self, timeout: Duration) -> Result<Option<Claim<T>>> {
        let claimed = self.wait_for_item(timeout, |deque| deque.claim(End::Back));
        self.doing("claim_back", claimed)
    }

    /// Puts an item behind the last, and waits for room if the deque is full and drops nothing.
    ///
    /// # Errors
    ///
    /// [`is_timeout`](Error::is_timeout) if there is no room in time, [`is_stopped`](Error::is_stopped) if that was not waited for:
    /// nothing was changed.
    pub fn push_back_timeout<Q>(&self, item: &Q, timeout: Duration) -> Result<()>
    where
        Q: Like<T> + ?Sized,
    {
        let push = || self.push_within(End::Back, vec![self.encode(item)?], timeout);
        self.doing("push_back_timeout", push())
    }

    /// Puts an item before the first. Otherwise like [`push_back_timeout`](Self::push_back_timeout).
    ///
    /// # Errors
    ///
    /// Those of [`push_back_timeout`](Self::push_back_timeout).
    pub fn push_front_timeout<Q>(&self, item: &Q, timeout: Duration) -> Result<()>
    where
        Q: Like<T> + ?Sized,
    {
        let push = || self.push_within(End::Front, vec![self.encode(item)?], timeout);
        self.doing("push_front_timeout", push())
    }

    /// Waits until there is no item, neither in its place nor claimed: until all work is done. `false`
    /// when the time is up.
    ///
    /// # Errors
    ///
    /// [`is_misuse`](Error::is_misuse) within a transaction of this thread; [`is_stopped`](Error::is_stopped); those of the database.
    pub fn wait_idle(&self, timeout: Duration) -> Result<bool> {
        let mut begun = false;
        let line = self.inner.structure.departures();
        let waited = self.wait_for(line, timeout, |deque| {
            // Refused within a transaction of this thread, where nobody else could do anything.
            if !std::mem::replace(&mut begun, true) {
                deque.inside().write_one(|_| Ok(()))?;
            }
            Ok(deque.is_idle()?.then_some(()))
        });
        self.doing("wait_idle", waited).map(|idle| idle.is_some())
    }

    pub(crate) fn push_within(
        &self,
        end: End,
        mut items: Vec<Stored>,
        timeout: Duration,
    ) -> Result<()> {
        let mut reason = None;
        let line = self.inner.structure.departures();
        let pushed = self.wait_for(line, timeout, |deque| {
            reason = deque.admit(end, &mut items)?;
            match reason {
                None => Ok(Some(())),
                // They never will have room.
                Some(bound) if bound.max_len < Some(items.len()) => Err(full(bound)),
                Some(_) => Ok(None),
            }
        })?;
        pushed.ok_or_else(|| late(reason, timeout))
    }

    fn wait_for_item<R>(
        &self,
        timeout: Duration,
        mut take: impl FnMut(&Self) -> Result<Option<R>>,
    ) -> Result<Option<R>> {
        let (structure, deadline) = (&self.inner.structure, Deadline::after(timeout));
        let attempt = |store: &Store, at_once: bool| {
            let deque = self.through(store.clone());
            match at_once || !deque.is_empty()? {
                true => take(&deque).map(Attempt::from),
                false => Ok(Attempt::NotYet),
            }
        };
        self.access.wait_for_arrivals(structure, deadline, attempt)
    }

    fn wait_for<R>(
        &self,
        line: usize,
        timeout: Duration,
        mut attempt: impl FnMut(&Self) -> Result<Option<R>>,
    ) -> Result<Option<R>> {
        let (structure, deadline) = (&self.inner.structure, Deadline::after(timeout));
        self.access.wait_for(structure, line, deadline, |store| {
            attempt(&self.through(store.clone()))
        })
    }
}

impl<T, C, A> Deque<T, C, A>
where
    T: Serialize + DeserializeOwned,
    C: Codec,
    A: Access,
{
    /// What a push does that may wait: unless this is within a transaction.
    pub(crate) fn push_when_free(&self, end: End, items: Vec<Stored>, bound: Bound) -> Result<()> {
        let outside = self.through(self.store().clone());
        match outside.push_within(end, items, self.store().timeout()) {
            Err(error) if error.is_misuse() => Err(full(bound)),
            result => result,
        }
    }
}

impl<T, C> Arrivals for Deque<T, C>
where
    T: Serialize + DeserializeOwned,
    C: Codec,
{
    fn place(&self) -> (&Store, &Structure) {
        (&self.access, &self.inner.structure)
    }

    fn has_any(&self) -> Result<bool> {
        Ok(!self.is_empty()?)
    }
}

fn late(bound: Option<Bound>, timeout: Duration) -> Error {
    let what = match bound.and_then(|bound| bound.max_len) {
        Some(max_len) => format!("it was full (max_len {max_len})"),
        None => "others were writing".into(),
    };
    Error::new(
        ErrorKind::Timeout,
        format!(
            "{what} for {timeout:?}; nothing was changed: try again, or allow a longer timeout"
        ),
    )
}
