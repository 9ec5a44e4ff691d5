use crate::access::Access;
use crate::error::{Error, ErrorKind, Result};
use crate::hold::Hold;
use crate::holdable::Holdable;
use crate::store::Store;
use crate::structure::Structure;
use crate::transaction::Transaction;

/// What keeps out those who believe that they still hold a lock: the guards of locks and the permits of semaphores, and
/// tuples and slices of them.
///
/// The idea is Kleppmann's (*How to do distributed locking*, 2016): whoever takes a lock gets a token greater than all
/// before, and who writes under the lock shows it; the store remembers the greatest that it was shown, and
/// refuses a smaller one.
pub trait Fence {
    /// Calls `visit` for each that there is, until one is refused.
    ///
    /// # Errors
    ///
    /// Those of `visit`.
    #[doc(hidden)]
    fn each(&self, visit: &mut dyn FnMut(&Holdable, &Hold) -> Result<()>) -> Result<()>;
}

impl Store {
    /// Runs `work` in a write transaction, as [`transaction`](Self::transaction) does, if no guard in `fence` was overtaken.
    /// So nothing is written under a lock that was lost, however late its holder wakes up.
    ///
    /// # Errors
    ///
    /// [`is_overtaken`](Error::is_overtaken): another has had the lock since, or it was taken from
    /// this process, whose owner file is gone. Nothing was changed. Else those of [`transaction`](Self::transaction).
    ///
    /// # Cost
    ///
    /// One statement for each guard, two the first time.
    pub fn transaction_fenced<R, E: From<Error>>(
        &self,
        fence: &(impl Fence + ?Sized),
        work: impl FnOnce(&Transaction<'_>) -> Result<R, E>,
    ) -> Result<R, E> {
        fence.each(&mut |holdable, hold| holdable.must_hold(hold))?;
        self.transaction(|tx| {
            tx.fence(fence)?;
            work(tx)
        })
    }
}

impl Transaction<'_> {
    /// Refuses if a guard in `fence` was overtaken: to be called first, in any transaction. [`Store::transaction_fenced`] does it
    /// by itself. The locks are no part of what a transaction is [over](Store::transaction_over).
    ///
    /// # Errors
    ///
    /// [`is_overtaken`](Error::is_overtaken): then the transaction must end with an error.
    ///
    /// # Example
    ///
    /// ```
    /// use diskette::{Index, Lock, Store};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # std::env::set_current_dir(&dir)?;
    /// let store = Store::open("store")?;
    /// let plan = Index::<String, u32>::new(&store, "plan")?;
    /// let planner = Lock::new(&store, "planner")?;
    ///
    /// let guard = planner.lock()?;
    /// store.transaction_over(&plan, |tx| {
    ///     tx.fence(&guard)?;
    ///     plan.within(tx).insert("pages", &12)
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn fence(&self, fence: &(impl Fence + ?Sized)) -> Result<()> {
        fence.each(&mut |holdable, hold| holdable.show(hold, self))
    }
}

impl<F: Fence + ?Sized> Fence for &F {
    fn each(&self, visit: &mut dyn FnMut(&Holdable, &Hold) -> Result<()>) -> Result<()> {
        (**self).each(visit)
    }
}

impl<F: Fence> Fence for [F] {
    fn each(&self, visit: &mut dyn FnMut(&Holdable, &Hold) -> Result<()>) -> Result<()> {
        self.iter().try_for_each(|fence| fence.each(visit))
    }
}

impl<F: Fence, const N: usize> Fence for [F; N] {
    fn each(&self, visit: &mut dyn FnMut(&Holdable, &Hold) -> Result<()>) -> Result<()> {
        self.as_slice().each(visit)
    }
}

impl<F: Fence, G: Fence> Fence for (F, G) {
    fn each(&self, visit: &mut dyn FnMut(&Holdable, &Hold) -> Result<()>) -> Result<()> {
        self.0.each(visit)?;
        self.1.each(visit)
    }
}

impl<F: Fence, G: Fence, H: Fence> Fence for (F, G, H) {
    fn each(&self, visit: &mut dyn FnMut(&Holdable, &Hold) -> Result<()>) -> Result<()> {
        (&self.0, &self.1).each(visit)?;
        self.2.each(visit)
    }
}

const SHOWN: &str = "SELECT token FROM fences WHERE structure = $1 AND slot = $2";
const SHOW: &str = "INSERT INTO fences (structure, slot, token) VALUES ($1, $2, $3) \
    ON CONFLICT (structure, slot) DO UPDATE SET token = excluded.token";

/// Shows the token under which a slot of `structure` is held.
pub(crate) fn show(
    tx: &Transaction<'_>,
    structure: &Structure,
    slot: u32,
    token: u64,
) -> Result<()> {
    let (id, slot, token) = (structure.id(), i64::from(slot), token.cast_signed());
    tx.write(|db| {
        let shown = db.query_one(SHOWN, &[id.into(), slot.into()], |row| row.int(0))?;
        match shown {
            Some(shown) if shown > token => Err(overtaken()),
            Some(shown) if shown == token => Ok(()),
            _ => db
                .execute(SHOW, &[id.into(), slot.into(), token.into()])
                .map(drop),
        }
    })
}

pub(crate) fn overtaken() -> Error {
    Error::new(
        ErrorKind::Overtaken,
        "another has taken it since, so that nothing was written under it: take it again, and look at what has changed",
    )
}
