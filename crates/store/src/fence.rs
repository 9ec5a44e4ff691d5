use crate::access::Access;
use crate::error::{Error, ErrorKind, Result};
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
    /// Refuses if this was overtaken; else it counts as shown once the transaction commits.
    ///
    /// # Errors
    ///
    /// [`is_overtaken`](Error::is_overtaken), [`is_misuse`](Error::is_misuse) in a transaction of another store.
    fn check(&self, tx: &Transaction<'_>) -> Result<()>;
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
        self.transaction(|tx| {
            fence.check(tx)?;
            work(tx)
        })
    }
}

impl<F: Fence + ?Sized> Fence for &F {
    fn check(&self, tx: &Transaction<'_>) -> Result<()> {
        (**self).check(tx)
    }
}

impl<F: Fence> Fence for [F] {
    fn check(&self, tx: &Transaction<'_>) -> Result<()> {
        self.iter().try_for_each(|fence| fence.check(tx))
    }
}

impl<F: Fence, const N: usize> Fence for [F; N] {
    fn check(&self, tx: &Transaction<'_>) -> Result<()> {
        self.as_slice().check(tx)
    }
}

impl<F: Fence, G: Fence> Fence for (F, G) {
    fn check(&self, tx: &Transaction<'_>) -> Result<()> {
        self.0.check(tx)?;
        self.1.check(tx)
    }
}

impl<F: Fence, G: Fence, H: Fence> Fence for (F, G, H) {
    fn check(&self, tx: &Transaction<'_>) -> Result<()> {
        (&self.0, &self.1).check(tx)?;
        self.2.check(tx)
    }
}

pub(crate) const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS fences \
    (structure BIGINT NOT NULL, slot BIGINT NOT NULL, token BIGINT NOT NULL, PRIMARY KEY (structure, slot))";
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
