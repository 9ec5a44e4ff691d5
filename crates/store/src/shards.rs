//! Shards: the databases of a structure that is spread over several of them, so that as many processes can write at once.
//!
//! They are in `shards/`, below the directory of the structure's store: a directory for each set of them, named by the number
//! of the structure and that of the set, and in it one for each shard. A shard has a database, value files and locks of its
//! own; board, bell and owners are those of the store, and so are the threads.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use diskette_ipc::plain_file;

use crate::commons::Commons;
use crate::directory::Directory;
use crate::error::{Error, ErrorKind, Result};
use crate::store::Store;

/// The shards of one structure. When it is spread over another number of them it gets another set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shards {
    /// The number of the structure.
    pub structure: i64,
    /// The number of the set, of all that the structure has had.
    pub set: i64,
}

/// A shard of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shard {
    of: Shards,
    number: u32,
}

/// A set has no more of them.
pub const MOST_SHARDS: u32 = 1 << 8;

#[doc(hidden)]
impl Store {
    /// Opens the shards `0..count`, and makes those that are missing.
    ///
    /// # Errors
    ///
    /// Those of [`open`](Store::open).
    pub fn shards(&self, of: Shards, count: u32) -> Result<Vec<Store>> {
        if !(1..=MOST_SHARDS).contains(&count) || self.shard().is_some() {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                format!("a structure has 1 to {MOST_SHARDS} shards, which have none themselves"),
            ));
        }
        if !self.is_read_only() {
            self.make_directory_of(of)?;
        }
        let directory = self.directory_of(of);
        let opened = self.open_shards((0..count).map(|number| {
            let shard = Shard { of, number };
            (shard, directory.join(format!("{number:03}")))
        }))?;
        if !self.is_read_only() {
            self.mourn_the_dead()?;
            opened.iter().try_for_each(Store::take_up_work)?;
        }
        Ok(opened)
    }

    /// The sets that there are, whole or half made.
    ///
    /// # Errors
    ///
    /// Those of reading a directory.
    pub fn sets_of_shards(&self) -> Result<Vec<Shards>> {
        sets(self.directory())
    }

    /// Removes a set that nobody has open.
    ///
    /// # Errors
    ///
    /// Those of removing files.
    pub fn remove_shards(&self, of: Shards) -> Result<()> {
        match fs::remove_dir_all(self.directory_of(of)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::io("can't remove the shards of a structure", error))
            }
            _ => Ok(()),
        }
    }

    fn directory_of(&self, of: Shards) -> PathBuf {
        self.directory().shards().join(of.to_string())
    }

    fn make_directory_of(&self, of: Shards) -> Result<()> {
        let make = |directory: &Path, within: &Path| match plain_file::create_directory(directory)?
        {
            true => plain_file::sync_directory(within),
            false => Ok(()),
        };
        let all = self.directory().shards();
        make(&all, self.path())
            .and_then(|()| make(&self.directory_of(of), &all))
            .map_err(|error| Error::io("can't make the directory of the shards", error))
    }
}

impl Store {
    /// The number that a structure of this database has on the board, which shards have together with their store: there
    /// theirs are negative.
    pub(crate) fn number_on_board(&self, structure: i64) -> i64 {
        match self.shard() {
            None => structure,
            Some(shard) => shard.number_on_board(structure),
        }
    }
}

impl Shard {
    /// That of a structure in it; or, for 0, its own. (-1 is that of the store.)
    pub(crate) fn number_on_board(self, structure: i64) -> i64 {
        const STRUCTURES: i64 = 1 << 24;
        let number = self.of.structure * i64::from(MOST_SHARDS) + i64::from(self.number);
        -2 - (number * STRUCTURES + structure)
    }
}

impl fmt::Display for Shards {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.structure, self.set)
    }
}

impl FromStr for Shards {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        let (structure, set) = name.split_once('-').ok_or(())?;
        Ok(Shards {
            structure: structure.parse().map_err(drop)?,
            set: set.parse().map_err(drop)?,
        })
    }
}

impl Commons {
    /// Whether all sets of shards that there are are open here.
    pub(crate) fn has_all_shards(&self) -> Result<bool> {
        let members = self.members();
        let is_open = |set: &Shards| {
            let mut shards = members.iter().filter_map(Store::shard);
            shards.any(|shard| shard.of == *set)
        };
        Ok(sets(&self.directory)?.iter().all(is_open))
    }
}

fn sets(directory: &Directory) -> Result<Vec<Shards>> {
    let read = || {
        let sets = match fs::read_dir(directory.shards()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            sets => sets?,
        };
        let names = sets.map(|set| Ok(set?.file_name().to_string_lossy().parse().ok()));
        names.filter_map(Result::transpose).collect()
    };
    read().map_err(|error| Error::io("can't read the directory of the shards", error))
}
