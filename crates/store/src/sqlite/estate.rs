//! What the dead leave behind: claims go back to their structures, unfinished value files away.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};
use std::time::Duration;

use diskette_ipc::{ArcMutexGuard, Mutex};
use diskette_ipc::{DeathWatch, OwnerId, Party, Stopper, background, clock, fork};

use crate::error::{Error, Result};
use crate::sqlite::Sqlite;
use crate::sqlite::commons::Commons;
use crate::sqlite::housekeeping::Job;

/// Knows who has died, and runs the thread that hears of it.
#[derive(Default)]
pub(crate) struct Undertaker(Arc<Mutex<Estates>>);

#[derive(Default)]
pub(crate) struct Estates {
    /// Whose estates are not settled yet.
    dead: BTreeSet<OwnerId>,
    /// The generation of forks in which the thread was started, and what stops it.
    watch: Option<(u64, Stopper)>,
}

impl Undertaker {
    pub(crate) fn stop(&self) {
        if let Some((_, stopper)) = self.0.lock().watch.take() {
            stopper.stop();
        }
    }

    /// Keeps all this still over a fork.
    pub(crate) fn retire(&self) -> ArcMutexGuard<Estates> {
        self.0.lock_arc()
    }
}

/// See the methods of [`Store`](crate::Store) with these names.
impl Sqlite {
    pub(crate) fn claimant(&self) -> Result<OwnerId> {
        self.must_be_writable()?;
        self.owners()
            .me()
            .map_err(|error| Error::io("can't create the owner file of this process", error))
    }

    pub(crate) fn party_of(&self, owner: OwnerId) -> Option<Party> {
        self.board().ok()?.party_of(owner)
    }
}

impl Sqlite {
    /// Settles the estates of all who are dead.
    pub(crate) fn settle_the_dead(&self) -> Result<()> {
        self.dead()?
            .into_iter()
            .try_for_each(|owner| self.settle(owner))
    }

    /// Has the estates of all who are dead settled soon.
    pub(crate) fn mourn_the_dead(&self) -> Result<()> {
        let dead = self.dead()?;
        if !dead.is_empty() {
            self.mourn(dead);
        }
        Ok(())
    }

    /// Settles the estates of those who are known to be dead; who is left is for another try.
    pub(crate) fn settle_the_mourned(&self) -> Result<()> {
        let estates = &self.commons().undertaker.0;
        let mourned = estates.lock().dead.clone();
        let mut settled = Ok(());
        for owner in mourned {
            match self.settle(owner) {
                Ok(()) => drop(estates.lock().dead.remove(&owner)),
                failed => settled = failed,
            }
        }
        settled
    }

    /// Makes sure that a thread of this process hears of the deaths of others.
    pub(crate) fn watch_deaths(&self) -> Result<()> {
        self.must_be_writable()?;
        let watch = &mut self.commons().undertaker.0.lock().watch;
        if watch
            .as_ref()
            .is_some_and(|(generation, _)| *generation == fork::generation())
        {
            return Ok(());
        }
        let failed = |error| Error::io("can't watch for the death of other processes", error);
        let deaths = self.owners().watch().map_err(failed)?;
        let stopper = deaths.stopper();
        let commons = Arc::downgrade(self.commons());
        background::spawn("diskette-undertaker", move || {
            hear_of_deaths(deaths, &commons)
        })
        .map_err(failed)?;
        *watch = Some((fork::generation(), stopper));
        Ok(())
    }

    fn dead(&self) -> Result<Vec<OwnerId>> {
        let dead = self.owners().dead();
        dead.map_err(|error| Error::io("can't read the owner files", error))
    }

    fn mourn(&self, dead: impl IntoIterator<Item = OwnerId>) {
        self.commons().undertaker.0.lock().dead.extend(dead);
        self.wake(Job::Settle);
    }

    /// In this order, each step harmless when done twice: claims, value files, then the owner file,
    /// which says that there is something left to do.
    fn settle(&self, owner: OwnerId) -> Result<()> {
        let failed = |error| Error::io("can't settle the estate of a dead process", error);
        let will = self.owners().will(owner).map_err(failed)?;
        let members = self.commons().members();
        for store in &members {
            store.store().give_back_claims_of(owner)?;
            store.remove_orphans(&will)?;
        }
        // Else it is for a process that has those open that may have them.
        if will.is_empty() || self.commons().are_all_shards(&members)? {
            self.owners().bury(owner).map_err(failed)?;
        }
        Ok(())
    }

    pub(crate) fn is_alive(&self, owner: OwnerId) -> Result<bool> {
        self.owners()
            .is_alive(owner)
            .map_err(|error| Error::io("can't tell whether the owner of a claim is alive", error))
    }
}

/// Until the store is closed. What the dead held is free at once; settling their estates may take turns to write.
fn hear_of_deaths(mut deaths: DeathWatch, commons: &Weak<Commons>) {
    /// After an error, such as no more descriptors.
    const PAUSE: Duration = Duration::from_millis(100);
    loop {
        let death = deaths.next();
        let Some(store) = commons.upgrade().and_then(|it| it.members().pop()) else {
            return;
        };
        match death {
            Ok(Some(owner)) => {
                if let Ok(board) = store.board() {
                    board.bury(owner);
                }
                store.mourn([owner]);
            }
            Ok(None) => return,
            Err(_) if store.is_intact() => {
                drop(store);
                clock::sleep(PAUSE);
            }
            Err(_) => return, // the store was removed
        }
    }
}
