//! What the dead leave behind: claims go back to their structures, unfinished value files away.

use std::sync::{Arc, mpsc};
use std::thread;

use diskette_ipc::{ArcMutexGuard, Mutex};
use diskette_ipc::{OwnerId, Stopper, fork};

use crate::access::Access;
use crate::error::{Error, Result};
use crate::store::Store;
use crate::structure::Structure;

/// Knows the structures of this process in which the dead may have claims, and runs the thread that
/// hears of deaths.
#[derive(Default)]
pub(crate) struct Undertaker {
    structures: Mutex<Vec<Arc<Structure>>>,
    watch: Arc<Mutex<Watch>>,
}

/// The generation of forks in which the thread was started, and what stops it.
pub(crate) type Watch = Option<(u64, Stopper)>;

impl Undertaker {
    pub(crate) fn stop(&self) {
        if let Some((_, stopper)) = self.watch.lock().take() {
            stopper.stop();
        }
    }

    pub(crate) fn retire(&self) -> ArcMutexGuard<Watch> {
        self.watch.lock_arc()
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
        self.owners()
            .me()
            .map_err(|error| Error::io("can't create the owner file of this process", error))
    }

    /// Gives back, at once, the claims of the dead in a structure. Deaths are heard of anyway: this is
    /// for the moment at which it is opened, and for a system that doesn't tell.
    ///
    /// # Errors
    ///
    /// Those of the database.
    pub fn give_back_from_the_dead(&self, structure: &Structure) -> Result<()> {
        let Some(claims) = structure.claims() else {
            return Ok(());
        };
        let sql = structure.fill(claims.owners);
        for owner in self.read_one(|db| db.query(&sql, &[], |row| row.int(0)))? {
            let owner = OwnerId::from_i64(owner);
            if !self.is_alive(owner)? {
                self.give_back(structure, owner)?;
            }
        }
        Ok(())
    }
}

impl Store {
    /// Takes on a structure whose claims this process gives back when their owners die.
    pub(crate) fn undertake(&self, structure: &Arc<Structure>) -> Result<()> {
        let undertaker = self.undertaker();
        {
            let mut known = undertaker.structures.lock();
            if !known.iter().any(|other| other.id() == structure.id()) {
                known.push(Arc::clone(structure));
            }
        }
        self.watch_deaths()?;
        self.give_back_from_the_dead(structure)
    }

    /// Settles the estates of all who are dead.
    pub(crate) fn settle_the_dead(&self) -> Result<()> {
        let failed = |error| Error::io("can't read the owner files", error);
        for owner in self.owners().dead().map_err(failed)? {
            self.settle(owner)?;
        }
        Ok(())
    }

    /// Makes sure that a thread of this process hears of the deaths of others.
    pub(crate) fn watch_deaths(&self) -> Result<()> {
        let mut running = self.undertaker().watch.lock();
        if running
            .as_ref()
            .is_some_and(|(generation, _)| *generation == fork::generation())
        {
            return Ok(());
        }
        let failed = |error| Error::io("can't watch for the death of other processes", error);
        let mut watch = self.owners().watch().map_err(failed)?;
        let stopper = watch.stopper();
        // What the dead held is free at once; settling their estates may take turns to write.
        let (dead, estates) = mpsc::channel();
        let store = self.downgrade();
        thread::Builder::new()
            .name("diskette-undertaker".into())
            .spawn(move || {
                while let Ok(Some(owner)) = watch.next() {
                    let Some(shared) = store.upgrade() else {
                        return;
                    };
                    shared.board.bury(owner);
                    let _ = dead.send(owner);
                }
            })
            .map_err(failed)?;
        let store = self.downgrade();
        thread::Builder::new()
            .name("diskette-executor".into())
            .spawn(move || {
                while let Ok(owner) = estates.recv() {
                    let Some(shared) = store.upgrade() else {
                        return;
                    };
                    // What fails here is done at the next open, or by the next to ask.
                    let _ = Store::from(shared).settle(owner);
                }
            })
            .map_err(failed)?;
        *running = Some((fork::generation(), stopper));
        Ok(())
    }

    /// In this order, each step harmless when done twice: claims, value files, then the owner file,
    /// which says that there is something left to do.
    fn settle(&self, owner: OwnerId) -> Result<()> {
        let structures = self.undertaker().structures.lock().clone();
        for structure in structures {
            self.give_back(&structure, owner)?;
        }
        let failed = |error| Error::io("can't settle the estate of a dead process", error);
        let will = self.owners().will(owner).map_err(failed)?;
        if self.remove_orphans(&will)? {
            self.owners().bury(owner).map_err(failed)?;
        }
        Ok(())
    }

    fn give_back(&self, structure: &Structure, owner: OwnerId) -> Result<()> {
        let Some(claims) = structure.claims() else {
            return Ok(());
        };
        self.write(|db| {
            let mut given_back = 0;
            for template in claims.give_back {
                given_back += db.execute(&structure.fill(template), &[owner.as_i64().into()])?;
            }
            if given_back > 0 {
                db.ring(structure.arrivals());
            }
            Ok(())
        })
    }

    fn is_alive(&self, owner: OwnerId) -> Result<bool> {
        self.owners()
            .is_alive(owner)
            .map_err(|error| Error::io("can't tell whether the owner of a claim is alive", error))
    }
}
