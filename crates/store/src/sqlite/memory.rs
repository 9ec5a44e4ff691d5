//! What this process has read of late, kept in memory for as long as it would be read again.
//!
//! What is kept is what a row says, or that there is none, under its key. It belongs to a [`Header`](diskette_wal_index::Header) of the WAL-index:
//!
//! - *Kept*: the header is read before the row.
//! - *Given*: the header is compared within the call, and is the same. Since none comes again, it was there all the time, also when
//!   SQLite took the state in which it read the row; so that is still what the row says. And it was so at a moment of the call:
//!   what had been committed before, by any process, is in it.
//!
//! All on one shelf belongs to one header. Both happen under the lock of the shelf, under which a fork takes the index away, and all
//! that is on the shelves with it: once no connection is open, a header may come again.
//!
//! Threads that are given something change nothing that they share: they read the shelf side by side, each by a lane of its lock.

mod shelves;

use std::cell::Cell;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::sqlite::Sqlite;
use crate::sqlite::fork;

use shelves::Moment;
pub(crate) use shelves::{Emptied, Shelves};

/// What is kept in memory of a database.
#[derive(Clone, Copy)]
pub struct Memory<'s>(&'s Sqlite);

/// What is known of a row.
#[derive(Debug)]
pub enum Recalled<'s> {
    /// It says this.
    Row(Kept),
    /// There is none.
    NoRow,
    /// It has to be read.
    Unknown(Keeping<'s>),
}

/// What a row says, as whoever read it wanted it kept.
#[derive(Debug)]
pub struct Kept(Bytes);

/// What a row says is copied for who reads it up to so many bytes.
const SMALL: usize = 128;

#[derive(Debug)]
enum Bytes {
    /// Faster than to count who shares them, and no memory that threads share is changed.
    Copied(SmallVec<[u8; SMALL]>),
    /// Those after the key.
    Shared { with_key: Arc<[u8]>, key: usize },
}

/// Keeps what is read from now on; or nothing, by default.
#[derive(Debug, Default)]
pub struct Keeping<'s> {
    since: Option<(Memory<'s>, Moment)>,
    found_none: Cell<bool>,
}

impl<'s> Memory<'s> {
    /// What is known of the row of a key.
    pub fn recall(self, key: &[u8]) -> Recalled<'s> {
        let shelves = self.shelves();
        let hash = shelves.hash(key);
        let mut shelf = shelves.shelf(hash).read();
        if !shelf.has_index() {
            drop(shelf);
            shelves.get_index(self.0);
            shelf = shelves.shelf(hash).read();
        }
        if !shelf.is_true() {
            let moment = shelf.moment();
            return Recalled::Unknown(self.keeping(moment));
        }
        match shelf.find(hash, key) {
            Some(entry) => {
                shelves.count_hit();
                entry.recall()
            }
            None => Recalled::Unknown(self.keeping(shelf.known())),
        }
    }

    /// What is known of the rows of several keys, all at one moment; or the way to keep them.
    pub fn recall_all<'k>(
        self,
        keys: impl Iterator<Item = &'k [u8]>,
    ) -> Result<Vec<Option<Kept>>, Keeping<'s>> {
        let moment = self.moment();
        let mut all = Vec::new();
        for key in keys {
            match self.recall(key) {
                Recalled::Row(kept) => all.push(Some(kept)),
                Recalled::NoRow => all.push(None),
                Recalled::Unknown(_) => return Err(self.keeping(moment)),
            }
        }
        match moment.is_some() && self.moment() == moment {
            true => Ok(all),
            false => Err(self.keeping(moment)),
        }
    }

    fn moment(self) -> Option<Moment> {
        self.shelves().shelf(0).read().moment()
    }

    fn keeping(self, moment: Option<Moment>) -> Keeping<'s> {
        Keeping {
            since: moment.map(|moment| (self, moment)),
            found_none: Cell::new(false),
        }
    }

    fn shelves(self) -> &'s Shelves {
        &self.0.shared.memory
    }
}

impl Keeping<'_> {
    /// Keeps what the row of a key says, in several parts. To be called once it was read.
    pub fn keep(&self, key: &[u8], parts: [&[u8]; 2]) {
        self.put(key, Some(parts));
    }

    /// Says that the key was looked for and has no row, which is kept once it is known that its structure is there.
    pub fn found_none(&self) {
        self.found_none.set(true);
    }

    /// Keeps that the key has no row, if that was found.
    pub(crate) fn keep_none(&self, key: &[u8]) {
        if self.found_none.get() {
            self.put(key, None);
        }
    }

    fn put(&self, key: &[u8], parts: Option<[&[u8]; 2]>) {
        let Some((memory, moment)) = self.since else {
            return;
        };
        memory.shelves().put(key, parts, &moment);
    }
}

impl Kept {
    fn of(with_key: &Arc<[u8]>, key: usize) -> Self {
        let row = with_key.get(key..).unwrap_or_default();
        Kept(match row.len() <= SMALL {
            true => Bytes::Copied(SmallVec::from_slice(row)),
            false => Bytes::Shared {
                with_key: Arc::clone(with_key),
                key,
            },
        })
    }
}

impl Deref for Kept {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Bytes::Copied(bytes) => bytes,
            Bytes::Shared { with_key, key } => with_key.get(*key..).unwrap_or_default(),
        }
    }
}

impl fmt::Debug for Memory<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Memory").finish()
    }
}

impl Sqlite {
    /// Nothing within a transaction of this thread, where a plain call is an error, and where nobody may write.
    pub(crate) fn memory(&self) -> Option<Memory<'_>> {
        let is_wanted = self.ways.memory && !self.is_for_reading();
        let is_free = !fork::is_torn() && !self.writer().is_mine() && self.is_known_to_be_here();
        (is_wanted && is_free).then_some(Memory(self))
    }
}
