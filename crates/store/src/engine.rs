//! What a store stands on. Above it nobody knows which it is.

use std::time::Duration;

use diskette_ipc::{Awaited, Doorbell, Listener, Mutex, OwnerId, Party};

use crate::error::Result;
use crate::kind::Kind;
use crate::sqlite::Sqlite;
use crate::store::Store;

#[derive(Clone)]
pub(crate) enum Engine {
    /// A directory, for the processes of one machine.
    Sqlite(Sqlite),
    /// A schema in a database, for the processes of any number of machines.
    #[cfg(feature = "postgres")]
    Postgres(crate::postgres::Postgres),
}

/// Somebody who waits at the doorbell; until this is dropped.
#[must_use = "who drops it listens no longer"]
pub(crate) enum Listening {
    #[expect(dead_code, reason = "it is there to be dropped")]
    Sqlite(Listener),
    #[cfg(feature = "postgres")]
    Postgres(crate::postgres::Listening),
}

impl Listening {
    /// Has those who commit something for this line ring it, wherever they are, from now on. Whether that is since just now: then
    /// one has to look again.
    pub(crate) fn tell(&mut self) -> Result<bool> {
        match self {
            // The board tells.
            Listening::Sqlite(_) => Ok(false),
            #[cfg(feature = "postgres")]
            Listening::Postgres(listening) => listening.tell(),
        }
    }

    /// To look for what other threads wait for as well: whether something is likely to be there. If it is for another of them to look,
    /// how long to wait, as far as is known, and where. Whoever has just been called looks himself.
    #[cfg_attr(
        not(feature = "postgres"),
        expect(unused_variables, reason = "there is one engine")
    )]
    pub(crate) fn look(
        &mut self,
        awaited: &mut Awaited<'_>,
        called: bool,
    ) -> Result<bool, Option<Duration>> {
        match self {
            // A look is faster than to ask who looks. Of the many that are woken, most find that another was faster.
            Listening::Sqlite(_) => Ok(false),
            #[cfg(feature = "postgres")]
            Listening::Postgres(listening) => listening.look(awaited, called),
        }
    }

    /// That look has found nothing for any of them, and nothing will come by itself for so long.
    #[cfg_attr(
        not(feature = "postgres"),
        expect(unused_variables, reason = "there is one engine")
    )]
    pub(crate) fn in_vain(&mut self, left: Option<Duration>) {
        match self {
            Listening::Sqlite(_) => {}
            #[cfg(feature = "postgres")]
            Listening::Postgres(listening) => listening.in_vain(left),
        }
    }
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
        match self.now().engine() {
            Engine::Sqlite(sqlite) => sqlite.claimant(),
            #[cfg(feature = "postgres")]
            Engine::Postgres(postgres) => postgres.claimant(),
        }
    }

    /// Who an owner is, as far as is known: one of his threads.
    pub fn party_of(&self, owner: OwnerId) -> Option<Party> {
        match self.engine_now() {
            Engine::Sqlite(sqlite) => sqlite.party_of(owner),
            #[cfg(feature = "postgres")]
            Engine::Postgres(postgres) => postgres.party_of(owner),
        }
    }

    /// Whether the process behind an owner lives.
    ///
    /// # Errors
    ///
    /// What looking can fail with.
    pub fn is_alive(&self, owner: OwnerId) -> Result<bool> {
        match self.engine_now() {
            Engine::Sqlite(sqlite) => sqlite.is_alive(owner),
            #[cfg(feature = "postgres")]
            Engine::Postgres(postgres) => postgres.is_alive(owner),
        }
    }

    /// Tells this store from others, by where this handle was opened.
    pub fn identity(&self) -> (u64, u64) {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.identity(),
            #[cfg(feature = "postgres")]
            Engine::Postgres(postgres) => postgres.identity(),
        }
    }

    /// Has something done soon, by a thread: once, whether it succeeds or not, and not at all if the process ends before.
    pub fn in_background(&self, errand: impl FnOnce(&Store) + Send + 'static) {
        match self.engine_now() {
            Engine::Sqlite(sqlite) => sqlite.in_background(errand),
            #[cfg(feature = "postgres")]
            Engine::Postgres(postgres) => postgres.in_background(errand),
        }
    }
}

impl Store {
    /// Of the structures of which this process gives back claims.
    pub(crate) fn kinds(&self) -> &Mutex<Vec<&'static Kind>> {
        match self.engine_now() {
            Engine::Sqlite(sqlite) => sqlite.kinds(),
            #[cfg(feature = "postgres")]
            Engine::Postgres(postgres) => postgres.kinds(),
        }
    }

    /// Makes sure that a thread of this process hears of the deaths of others.
    pub(crate) fn watch_deaths(&self) -> Result<()> {
        match self.now().engine() {
            Engine::Sqlite(sqlite) => sqlite.watch_deaths(),
            #[cfg(feature = "postgres")]
            Engine::Postgres(postgres) => postgres.watch_deaths(),
        }
    }

    /// # Errors
    ///
    /// [`is_read_only`](crate::Error::is_read_only).
    pub(crate) fn bell(&self) -> Result<&Doorbell> {
        match self.engine_now() {
            Engine::Sqlite(sqlite) => sqlite.bell(),
            #[cfg(feature = "postgres")]
            Engine::Postgres(postgres) => Ok(postgres.bell()),
        }
    }

    /// Somebody who waits at this line of the doorbell, if all is `alike` for any of those who do. To be called before the look at
    /// what he waits for.
    ///
    /// # Errors
    ///
    /// [`is_read_only`](crate::Error::is_read_only).
    #[cfg_attr(
        not(feature = "postgres"),
        expect(unused_variables, reason = "there is one engine")
    )]
    pub(crate) fn listen(&self, line: usize, alike: bool) -> Result<Listening> {
        match self.now().engine() {
            Engine::Sqlite(sqlite) => Ok(Listening::Sqlite(sqlite.board()?.listen())),
            #[cfg(feature = "postgres")]
            Engine::Postgres(postgres) => Ok(Listening::Postgres(postgres.listen(line, alike))),
        }
    }

    /// More than there will ever be, and never known.
    pub(crate) const UNKNOWN: u64 = u64::MAX - 1;

    /// A number that differs once a structure was removed or changed; where it is unknown, one has to look.
    pub(crate) fn removals(&self) -> Result<u64> {
        match self.engine_now() {
            Engine::Sqlite(sqlite) => sqlite.removals(),
            #[cfg(feature = "postgres")]
            Engine::Postgres(_) => Ok(Self::UNKNOWN),
        }
    }

    /// The same for who has the turn to write, or something that others would have to take from him.
    pub(crate) fn removals_in_turn(&self) -> Result<u64> {
        match self.now().engine() {
            Engine::Sqlite(sqlite) => sqlite.removals_in_turn(),
            #[cfg(feature = "postgres")]
            Engine::Postgres(postgres) => {
                postgres.must_be_writable()?;
                Ok(postgres.another_number())
            }
        }
    }

    /// Tells all processes that a structure was removed, or is about to be.
    pub(crate) fn tell_removed(&self, structure: i64) -> Result<()> {
        match self.engine_now() {
            Engine::Sqlite(sqlite) => sqlite.tell_removed(structure),
            #[cfg(feature = "postgres")]
            Engine::Postgres(postgres) => {
                postgres.tell_removed(structure);
                Ok(())
            }
        }
    }

    /// Tells them that something was changed that they may know by heart.
    pub(crate) fn tell_changed(&self) -> Result<()> {
        match self.engine_now() {
            Engine::Sqlite(sqlite) => sqlite.tell_changed(),
            #[cfg(feature = "postgres")]
            Engine::Postgres(_) => Ok(()),
        }
    }

    /// Refuses if the store is open for reading only.
    pub(crate) fn must_be_writable(&self) -> Result<()> {
        match self.now().engine() {
            Engine::Sqlite(sqlite) => sqlite.must_be_writable(),
            #[cfg(feature = "postgres")]
            Engine::Postgres(postgres) => postgres.must_be_writable(),
        }
    }

    /// Does what makes room. On a full disk it is tried once more, with what room can be had.
    pub(crate) fn freeing<R>(&self, attempt: impl FnMut() -> Result<R>) -> Result<R> {
        match self.engine_now() {
            Engine::Sqlite(sqlite) => sqlite.freeing(attempt),
            #[cfg(feature = "postgres")]
            Engine::Postgres(_) => {
                let mut attempt = attempt;
                attempt()
            }
        }
    }
}
