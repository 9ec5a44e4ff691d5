//! What is left in a directory whose store has moved to a database.
//!
//! A move is decided by one file, in this order of writes, of which each step may be the last of a process that is killed:
//!
//! 1. `moving` says where to. It changes nothing;
//! 2. the store is copied while others write, in rounds; then, with the gates of all databases shut, what has changed since the last one; it is
//!    compared with the copy, and committed there as one that nobody may open;
//! 3. the header of the database gets a format that no diskette of before knows;
//! 4. what is held on the board is taken from all, who are told to look;
//! 5. `moving` becomes `moved`: from here on the copy is the store, before it this directory was;
//! 6. all are told to look again;
//! 7. the copy may be opened, which is also done by who opens the directory.
//!
//! Who is told looks whether there is `moved`, and as long as there is `moving` doesn't take a no for the last word.

#[cfg(feature = "postgres")]
mod writing;

use std::fs;
use std::io::Read;
use std::path::Path;
use std::sync::atomic::Ordering;

use diskette_ipc::plain_file;

use crate::error::{Error, ErrorKind, Result};
use crate::options::Options;
use crate::sqlite::Sqlite;
use crate::sqlite::directory::Directory;

const MOVED: &str = "moved";
const MOVING: &str = "moving";

const HEADER: &str = "diskette moved 1";

/// Longer than any address.
const LONGEST: u64 = 64 * 1024;

/// Where a store has moved to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Moved {
    /// That of the new store.
    pub(crate) identity: i64,
    /// As it may be shown.
    pub(crate) shown: String,
    /// With all that it takes to open it.
    pub(crate) address: String,
}

impl Moved {
    /// The same for who opens the directory: nobody is led on by a file that a stranger may have put there.
    pub(crate) fn find_for(path: &Path, options: &Options) -> Result<Option<Self>> {
        let moved = Self::find(path)?;
        if moved.is_some() {
            Directory::find(path, options)
                .map_err(|error| error.at(|| format!("opening the store {}", path.display())))?;
        }
        Ok(moved)
    }

    /// Of a directory; `None`: its store is in it.
    pub(crate) fn find(directory: &Path) -> Result<Option<Self>> {
        Self::read(&directory.join(MOVED))
    }

    /// For what was begun here and can't go on there.
    pub(crate) fn error(&self) -> Error {
        let how = match cfg!(feature = "postgres") {
            true => "what was held or begun before has ended; take it anew, there",
            false => {
                "build diskette with its feature `postgres`, and open it by its directory or this address"
            }
        };
        let message = format!(
            "the store has moved to {}: {how}; nothing was changed here",
            self.shown
        );
        Error::new(ErrorKind::Moved, message)
    }

    fn read(path: &Path) -> Result<Option<Self>> {
        let failed = |error| Error::reading("can't read where the store has moved", error);
        let mut text = String::new();
        match plain_file::read(path) {
            Err(_) if fs::symlink_metadata(path).is_err() => return Ok(None),
            file => file
                .and_then(|file| file.take(LONGEST).read_to_string(&mut text))
                .map_err(failed)?,
        };
        let mut lines = text.lines();
        let moved = match (lines.next(), lines.next(), lines.next(), lines.next()) {
            (Some(HEADER), Some(identity), Some(shown), Some(address)) => {
                identity.parse().ok().map(|identity| Moved {
                    identity,
                    shown: shown.to_owned(),
                    address: address.to_owned(),
                })
            }
            _ => None,
        };
        let damaged = || {
            Error::new(
                ErrorKind::Corrupt,
                format!(
                    "the store has moved, but {} doesn't say where to: open it by its new address",
                    path.display()
                ),
            )
        };
        moved.map(Some).ok_or_else(damaged)
    }
}

impl Sqlite {
    /// Refuses if the store has moved. Costs a look into shared memory, unless something was told there.
    pub(crate) fn must_be_here(&self) -> Result<()> {
        match self.is_known_to_be_here() {
            true => Ok(()),
            false => self.look_whether_moved(),
        }
    }

    pub(crate) fn is_known_to_be_here(&self) -> bool {
        self.told()
            .is_some_and(|told| self.shared.here.load(Ordering::Acquire) == told)
    }

    /// Tells all who have this database open to look.
    #[cfg(feature = "postgres")]
    pub(crate) fn tell_to_look(&self) {
        if let Some(locks) = &self.shared.log_locks {
            locks.tell();
        }
    }

    /// Another number once somebody was told; `None`: one has to look each time.
    fn told(&self) -> Option<u64> {
        self.shared.log_locks.as_ref()?.told()
    }

    fn look_whether_moved(&self) -> Result<()> {
        let told = self.told();
        let home = self.commons().directory.path();
        if let Some(moved) = Moved::find(home)? {
            return Err(moved.error());
        }
        if let Some(told) = told
            && !home.join(MOVING).exists()
        {
            // It may have become the other in between.
            if let Some(moved) = Moved::find(home)? {
                return Err(moved.error());
            }
            self.shared.here.store(told, Ordering::Release);
        }
        Ok(())
    }
}
