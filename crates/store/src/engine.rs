//! What a store stands on. Above it nobody knows which it is.

use std::sync::Arc;

use diskette_ipc::{Board, Doorbell, OwnerId, Owners, Party};

use crate::error::Result;
use crate::sqlite::Sqlite;
use crate::sqlite::directory::Identity;
use crate::store::Store;
use crate::structure::Structure;

#[derive(Clone)]
pub(crate) enum Engine {
    /// A directory, for the processes of one machine.
    Sqlite(Sqlite),
}

/// Who is alive, and has claims.
#[doc(hidden)]
impl Store {
    /// The owner that claims of this process are made out to. From then on other processes give the
    /// claims back as soon as this one dies.
    ///
    /// # Errors
    ///
    /// Those of creating the owner's file.
    pub fn claimant(&self) -> Result<OwnerId> {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.claimant(),
        }
    }

    /// Who an owner is, as far as is known: one of his threads.
    pub fn party_of(&self, owner: OwnerId) -> Option<Party> {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.party_of(owner),
        }
    }

    /// Who is alive.
    pub fn owners(&self) -> &Arc<Owners> {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.owners(),
        }
    }

    /// Gives back, at once, the claims of the dead in a structure. Deaths are heard of anyway: this is
    /// for the moment at which it is opened, and for a system that doesn't tell.
    ///
    /// # Errors
    ///
    /// Those of the database.
    pub fn give_back_from_the_dead(&self, structure: &Structure) -> Result<()> {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.give_back_from_the_dead(structure),
        }
    }

    /// Has something done soon, by a thread: once, whether it succeeds or not, and not at all if the process ends before.
    pub fn in_background(&self, errand: impl FnOnce(&Store) + Send + 'static) {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.in_background(errand),
        }
    }
}

impl Store {
    /// Takes on the kind of a structure: this process gives back its claims when their owners die.
    pub(crate) fn undertake(&self, structure: &Structure) -> Result<()> {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.undertake(structure),
        }
    }

    /// Tells this store from others.
    pub(crate) fn identity(&self) -> Identity {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.identity(),
        }
    }

    /// Whether nobody in this process may write.
    pub(crate) fn is_for_reading(&self) -> bool {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.is_for_reading(),
        }
    }

    /// Makes sure that a thread of this process hears of the deaths of others.
    pub(crate) fn watch_deaths(&self) -> Result<()> {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.watch_deaths(),
        }
    }

    /// # Errors
    ///
    /// [`is_read_only`](crate::Error::is_read_only).
    pub(crate) fn bell(&self) -> Result<&Doorbell> {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.bell(),
        }
    }

    /// # Errors
    ///
    /// [`is_read_only`](crate::Error::is_read_only).
    pub(crate) fn board(&self) -> Result<&Arc<Board>> {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.board(),
        }
    }

    /// The number that a structure of this database has on the board.
    pub(crate) fn number_on_board(&self, structure: i64) -> i64 {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.number_on_board(structure),
        }
    }

    /// Refuses if the store is open for reading only.
    pub(crate) fn must_be_writable(&self) -> Result<()> {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.must_be_writable(),
        }
    }

    /// Does what makes room. On a full disk it is tried once more, with what room can be had.
    pub(crate) fn freeing<R>(&self, attempt: impl FnMut() -> Result<R>) -> Result<R> {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.freeing(attempt),
        }
    }
}
