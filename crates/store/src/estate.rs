//! What the dead leave behind: claims go back to their structures, unfinished value files away.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};
use std::time::Duration;

use diskette_ipc::{ArcMutexGuard, Mutex};
use diskette_ipc::{DeathWatch, OwnerId, Party, Stopper, background, clock, fork};

use crate::access::Access;
use crate::db::Db;
use crate::error::{Error, Result};
use crate::housekeeping::Job;
use crate::kind::{Claims, Kind};
use crate::store::{Shared, Store};
use crate::structure::{self, Structure};

/// Knows the kinds of structures in which the dead may have claims, and runs the thread that hears of deaths.
#[derive(Default)]
pub(crate) struct Undertaker(Arc<Mutex<Estates>>);

#[derive(Default)]
pub(crate) struct Estates {
    kinds: Vec<&'static Kind>,
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

/// For structures with claims.
#[doc(hidden)]
impl Store {
    /// The owner that claims of this process are made out to. From then on other processes give the
    /// claims back as soon as this one dies.
    ///
    /// # Errors
    ///
    /// Those of creating the owner's file.
    pub fn claimant(&self) -> Result<OwnerId> {
        self.must_be_writable()?;
        self.owners()
            .me()
            .map_err(|error| Error::io("can't create the owner file of this process", error))
    }

    /// Who an owner is, as far as the board knows: one of his threads.
    pub fn party_of(&self, owner: OwnerId) -> Option<Party> {
        self.board().ok()?.party_of(owner)
    }

    /// Gives back, at once, the claims of the dead in a structure. Deaths are heard of anyway: this is
    /// for the moment at which it is opened, and for a system that doesn't tell.
    ///
    /// # Errors
    ///
    /// Those of the database.
    pub fn give_back_from_the_dead(&self, structure: &Structure) -> Result<()> {
        let Some(claims) = &structure.kind().claims else {
            return Ok(());
        };
        if self.is_read_only() {
            return Ok(());
        }
        let of_this = [structure.id().into()];
        for owner in self.read_one(|db| db.query(claims.owners, &of_this, |row| row.int(0)))? {
            let owner = OwnerId::from_i64(owner);
            if !self.is_alive(owner)? {
                self.give_back(claims, owner)?;
            }
        }
        Ok(())
    }
}

impl Store {
    /// Takes on the kind of a structure: this process gives back its claims when their owners die.
    pub(crate) fn undertake(&self, structure: &Structure) -> Result<()> {
        if self.is_read_only() {
            return Ok(());
        }
        {
            let kinds = &mut self.undertaker().0.lock().kinds;
            if !kinds.iter().any(|kind| kind.name == structure.kind().name) {
                kinds.push(structure.kind());
            }
        }
        self.watch_deaths()?;
        self.give_back_from_the_dead(structure)
    }

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
        let mourned = self.undertaker().0.lock().dead.clone();
        let mut settled = Ok(());
        for owner in mourned {
            match self.settle(owner) {
                Ok(()) => drop(self.undertaker().0.lock().dead.remove(&owner)),
                failed => settled = failed,
            }
        }
        settled
    }

    /// Makes sure that a thread of this process hears of the deaths of others.
    pub(crate) fn watch_deaths(&self) -> Result<()> {
        self.must_be_writable()?;
        let watch = &mut self.undertaker().0.lock().watch;
        if watch
            .as_ref()
            .is_some_and(|(generation, _)| *generation == fork::generation())
        {
            return Ok(());
        }
        let failed = |error| Error::io("can't watch for the death of other processes", error);
        let deaths = self.owners().watch().map_err(failed)?;
        let stopper = deaths.stopper();
        let store = self.downgrade();
        background::spawn("diskette-undertaker", move || {
            hear_of_deaths(deaths, &store)
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
        self.undertaker().0.lock().dead.extend(dead);
        self.wake(Job::Settle);
    }

    /// In this order, each step harmless when done twice: claims, value files, then the owner file,
    /// which says that there is something left to do.
    fn settle(&self, owner: OwnerId) -> Result<()> {
        let kinds = self.undertaker().0.lock().kinds.clone();
        for claims in kinds.iter().filter_map(|kind| kind.claims.as_ref()) {
            self.give_back(claims, owner)?;
        }
        let failed = |error| Error::io("can't settle the estate of a dead process", error);
        let will = self.owners().will(owner).map_err(failed)?;
        self.remove_orphans(&will)?;
        self.owners().bury(owner).map_err(failed)
    }

    fn give_back(&self, claims: &Claims, owner: OwnerId) -> Result<()> {
        let of_this = [owner.as_i64().into()];
        let has_claims = |db: &Db<'_>| db.query(claims.structures, &of_this, |row| row.int(0));
        // Most who die hold nothing: that takes no turn to write.
        if self.read_one(has_claims)?.is_empty() {
            return Ok(());
        }
        self.write(|db| {
            for structure in has_claims(db)? {
                db.ring(structure::arrivals(structure));
                db.ring(structure::departures(structure));
            }
            claims.give_back.run(db, owner)
        })
    }

    fn is_alive(&self, owner: OwnerId) -> Result<bool> {
        self.owners()
            .is_alive(owner)
            .map_err(|error| Error::io("can't tell whether the owner of a claim is alive", error))
    }
}

/// Until the store is closed. What the dead held is free at once; settling their estates may take turns to write.
fn hear_of_deaths(mut deaths: DeathWatch, store: &Weak<Shared>) {
    /// After an error, such as no more descriptors.
    const PAUSE: Duration = Duration::from_millis(100);
    loop {
        let death = deaths.next();
        let Some(shared) = store.upgrade() else {
            return;
        };
        match death {
            Ok(Some(owner)) => {
                if let Some(board) = shared.board() {
                    board.bury(owner);
                }
                Store::of(shared).mourn([owner]);
            }
            Ok(None) => return,
            Err(_) if shared.is_intact() => {
                drop(shared);
                clock::sleep(PAUSE);
            }
            Err(_) => return, // the store was removed
        }
    }
}
