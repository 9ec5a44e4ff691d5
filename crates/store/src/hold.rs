//! What is held, and how an attempt to hold it ended.

use diskette_ipc::{self as ipc, Link};
use smallvec::SmallVec;

#[cfg(feature = "postgres")]
use crate::access::Access;
use crate::error::Result;
#[cfg(feature = "postgres")]
use crate::postgres;
use crate::transaction::Transaction;

/// What a thread has taken of a [`Holdable`]. Dropping it gives it back.
#[doc(hidden)]
#[derive(Debug)]
#[must_use = "what is held is given back when this is dropped"]
pub struct Hold(Place);

#[derive(Debug)]
enum Place {
    Board(ipc::Hold),
    #[cfg(feature = "postgres")]
    Postgres(postgres::Hold),
}

/// How an attempt to take some ended.
pub(crate) enum Taken {
    Held(Hold),
    TimedOut,
    Stopped,
    TooMany,
    Deadlock(Vec<Link>),
}

impl Hold {
    /// Whether what was taken is still held, if the store is still where it was taken.
    #[must_use]
    pub fn is_held(&self) -> bool {
        match &self.0 {
            Place::Board(hold) => hold.is_held(),
            #[cfg(feature = "postgres")]
            Place::Postgres(hold) => hold.is_held(),
        }
    }

    /// The greatest of its tokens.
    #[must_use]
    pub fn token(&self) -> u64 {
        match &self.0 {
            Place::Board(hold) => hold.token(),
            #[cfg(feature = "postgres")]
            Place::Postgres(hold) => hold.token(),
        }
    }

    #[cfg_attr(
        not(feature = "postgres"),
        expect(unused_variables, reason = "there is one engine")
    )]
    pub(crate) fn is_held_for(&self, tx: &Transaction<'_>) -> Result<bool> {
        match &self.0 {
            Place::Board(hold) => Ok(hold.is_held()),
            #[cfg(feature = "postgres")]
            Place::Postgres(hold) => tx.read(|db| hold.is_held_for(db)),
        }
    }

    pub(crate) fn tokens(&self) -> SmallVec<[(u32, u64); 1]> {
        match &self.0 {
            Place::Board(hold) => hold.tokens().collect(),
            #[cfg(feature = "postgres")]
            Place::Postgres(hold) => hold.tokens().collect(),
        }
    }

    /// Whether it was taken in a directory.
    pub(crate) fn is_of_board(&self) -> bool {
        matches!(self.0, Place::Board(_))
    }

    pub(crate) fn belong_to_process(&self) -> bool {
        match &self.0 {
            Place::Board(hold) => hold.belong_to_process().is_ok(),
            #[cfg(feature = "postgres")]
            Place::Postgres(hold) => hold.belong_to_process(),
        }
    }

    pub(crate) fn give_back(self) -> bool {
        match self.0 {
            Place::Board(hold) => hold.give_back().is_ok(),
            #[cfg(feature = "postgres")]
            Place::Postgres(hold) => hold.give_back(),
        }
    }
}

impl From<ipc::Hold> for Hold {
    fn from(hold: ipc::Hold) -> Self {
        Hold(Place::Board(hold))
    }
}

#[cfg(feature = "postgres")]
impl From<postgres::Hold> for Hold {
    fn from(hold: postgres::Hold) -> Self {
        Hold(Place::Postgres(hold))
    }
}

impl From<ipc::Taken> for Taken {
    fn from(taken: ipc::Taken) -> Self {
        match taken {
            ipc::Taken::Held(hold) => Taken::Held(hold.into()),
            ipc::Taken::TimedOut => Taken::TimedOut,
            ipc::Taken::Stopped => Taken::Stopped,
            ipc::Taken::TooMany => Taken::TooMany,
            ipc::Taken::Deadlock(circle) => Taken::Deadlock(circle),
        }
    }
}
