use std::time::{Duration, SystemTime, UNIX_EPOCH};

use diskette_ipc::{OwnerId, Party};
use diskette_store::{Access, Codec, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::deque::Deque;
use crate::sql;

/// A claim of somebody's; listed by [`Deque::claims`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Claimed {
    /// Whose it is, if that is known: a thread of the process that claimed the item.
    pub party: Option<Party>,
    /// Since when, by the clock of the wall.
    pub since: SystemTime,
    /// How often the item was claimed, this time included.
    pub deliveries: u32,
    owner: OwnerId,
    token: i64,
}

impl<T, C, A> Deque<T, C, A>
where
    T: Serialize + DeserializeOwned,
    C: Codec,
    A: Access,
{
    /// Who holds items, since when, in the order of the deque.
    ///
    /// # Errors
    ///
    /// Those of the database.
    pub fn claims(&self) -> Result<Vec<Claimed>> {
        let rows = self.inner.rows();
        let claims = self.inside().read_one(|db| {
            db.query(sql::CLAIMS, &rows, |row| {
                let owner = OwnerId::from_i64(row.int(0)?);
                let since = Duration::from_millis(u64::try_from(row.int(2)?).unwrap_or(0));
                Ok(Claimed {
                    party: self.store().party_of(owner),
                    since: UNIX_EPOCH + since,
                    deliveries: u32::try_from(row.opt_int(3)?.unwrap_or(1)).unwrap_or(u32::MAX),
                    owner,
                    token: row.int(1)?,
                })
            })
        });
        self.doing("claims", claims)
    }

    /// Takes a claim away from whoever has it: its item is back in its place. For a worker that lives and hangs: when he
    /// completes the claim after all, he is told that it isn't his any more. Was it still there?
    ///
    /// # Errors
    ///
    /// Those of the database.
    ///
    /// # Example
    ///
    /// ```
    /// use std::time::{Duration, SystemTime};
    /// use diskette::Deque;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # std::env::set_current_dir(&dir)?;
    /// let limit = Duration::from_secs(600);
    /// let todo = Deque::<String>::open("todo")?;
    /// # let limit = Duration::ZERO;
    /// # todo.push_back("hang")?;
    /// # let hanging = todo.try_claim_front()?.expect("there is one");
    /// for claim in todo.claims()? {
    ///     if SystemTime::now().duration_since(claim.since).unwrap_or_default() >= limit {
    ///         todo.take_away(&claim)?;
    ///     }
    /// }
    /// # assert!(hanging.complete_now().unwrap_err().is_misuse());
    /// # assert_eq!(todo.len()?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn take_away(&self, claim: &Claimed) -> Result<bool> {
        let taken = self.inside().write(|db| {
            let found = self.inner.find_claim(db, claim.owner, claim.token)?;
            if let Some((pos, _)) = found {
                self.inner.give_back(db, pos, None)?;
            }
            Ok(found.is_some())
        });
        self.doing("take_away", taken)
    }
}
