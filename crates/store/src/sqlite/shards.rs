//! ShardSet: the databases of a structure that is spread over several of them, so that as many processes can write at once.
//!
//! They are in `shards/`, below the directory of the structure's store: a directory for each set of them, named by the number
//! of the structure and that of the set, and in it one for each shard. A shard has a database, value files and locks of its
//! own; board, bell and owners are those of the store, and so are the threads.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use diskette_ipc::{Deadline, FileLock, plain_file};

use crate::error::{Error, ErrorKind, Result, timed_out};
use crate::shards::{MOST_SHARDS, ShardSet};
use crate::sqlite::Sqlite;
use crate::sqlite::commons::Commons;
use crate::sqlite::directory::Directory;
use crate::tenancy::{Lock, Tenancy};

/// A shard of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shard {
    of: ShardSet,
    number: u32,
}

impl Sqlite {
    pub(crate) fn shards(&self, of: ShardSet, count: u32) -> Result<Vec<Sqlite>> {
        if !(1..=MOST_SHARDS).contains(&count) || self.shard().is_some() {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                format!("a structure has 1 to {MOST_SHARDS} shards, which have none themselves"),
            ));
        }
        let opened = self.open_shards((0..count).map(|number| Shard { of, number }))?;
        if !self.is_read_only() {
            self.mourn_the_dead()?;
            opened.iter().try_for_each(Sqlite::take_up_work)?;
        }
        Ok(opened)
    }

    pub(crate) fn tenancy(&self, structure: i64) -> Result<Tenancy> {
        let path = self.directory().lock(&format!("tenants-{structure}"));
        let lock = match self.is_read_only() {
            false => FileLock::open(path).map(Lock::File),
            true => match FileLock::open_to_read(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Lock::Nobodys),
                lock => lock.map(Lock::File),
            },
        };
        let tenancy = |lock| Tenancy::of(lock, self.clone().into(), structure);
        lock.map(tenancy)
            .map_err(|error| Error::io("can't open the lock of the shards", error))
    }

    pub(crate) fn sets_of_shards(&self) -> Result<Vec<ShardSet>> {
        sets(self.directory())
    }

    pub(crate) fn remove_shards(&self, of: ShardSet) -> Result<()> {
        let remove = || match fs::remove_dir_all(self.directory_of(of)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
        // Others may still be about to make a file there.
        let removed = remove().or_else(|_| remove()).or_else(|_| remove());
        let synced = removed.and_then(|()| plain_file::sync_directory(&self.directory().shards()));
        synced.map_err(|error| Error::io("can't remove the shards of a structure", error))
    }

    fn directory_of(&self, of: ShardSet) -> PathBuf {
        self.directory().shards().join(of.to_string())
    }
}

impl Sqlite {
    /// All shards that there are, of all structures.
    pub(crate) fn all_shards(&self) -> Result<Vec<Sqlite>> {
        let mut all = Vec::new();
        for of in self.sets_of_shards()? {
            let failed =
                |error| Error::io("can't read the directory of a structure's shards", error);
            let count = fs::read_dir(self.directory_of(of)).map_err(failed)?.count();
            if count > 0 {
                all.extend(self.shards(of, u32::try_from(count).unwrap_or(u32::MAX))?);
            }
        }
        Ok(all)
    }

    /// Keeps the structures that are spread over shards from being spread over others.
    pub(crate) fn stay_with_all_shards(&self) -> Result<Vec<Tenancy>> {
        let sets = self.sets_of_shards()?;
        let structures: BTreeSet<_> = sets.iter().map(|set| set.structure).collect();
        let stay = |structure| {
            let tenancy = self.tenancy(structure)?;
            match tenancy.stay(Deadline::after(self.timeout()))? {
                true => Ok(tenancy),
                false => Err(timed_out(
                    "a structure to be spread over other shards",
                    self.timeout(),
                )),
            }
        };
        structures.into_iter().map(stay).collect()
    }

    pub(crate) fn write_down(&self) -> Result<()> {
        self.copy_log()?;
        let synced = plain_file::sync_directory(self.path());
        synced.map_err(|error| Error::io("can't sync the store's directory", error))
    }

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
    #[cfg(feature = "postgres")]
    pub(crate) fn of(of: ShardSet, number: u32) -> Self {
        Shard { of, number }
    }

    #[cfg(feature = "postgres")]
    pub(crate) fn set(self) -> ShardSet {
        self.of
    }

    #[cfg(feature = "postgres")]
    pub(crate) fn number(self) -> u32 {
        self.number
    }

    /// Whose it is.
    pub(crate) fn structure(self) -> i64 {
        self.of.structure
    }

    /// Its directory below that of a store, made if it is missing.
    pub(crate) fn prepare(self, store: &Directory) -> Result<Directory> {
        let all = store.shards();
        let set = all.join(self.of.to_string());
        let make = |directory: &Path, within: &Path| match plain_file::create_directory(directory)?
        {
            true => plain_file::sync_directory(within),
            false => Ok(()),
        };
        make(&all, store.path())
            .and_then(|()| make(&set, &all))
            .map_err(|error| Error::io("can't make the directory of the shards", error))?;
        Directory::prepare_shard(&set.join(self.name()))
    }

    /// Its directory, for who may only read.
    pub(crate) fn find(self, store: &Directory) -> Result<Directory> {
        let set = store.shards().join(self.of.to_string());
        Directory::find_shard(&set.join(self.name()))
    }

    fn name(self) -> String {
        format!("{:03}", self.number)
    }

    /// That of a structure in it; or, for 0, its own. (-1 is that of the store.)
    pub(crate) fn number_on_board(self, structure: i64) -> i64 {
        const STRUCTURES: i64 = 1 << 24;
        let number = self.of.structure * i64::from(MOST_SHARDS) + i64::from(self.number);
        -2 - (number * STRUCTURES + structure)
    }
}

impl Commons {
    /// Whether all shards that there are are among these, which were open here a moment ago.
    pub(crate) fn are_all_shards(&self, members: &[Sqlite]) -> Result<bool> {
        for set in sets(&self.directory)? {
            let failed =
                |error| Error::io("can't read the directory of a structure's shards", error);
            let there =
                fs::read_dir(self.directory.shards().join(set.to_string())).map_err(failed)?;
            let shards = members.iter().filter_map(Sqlite::shard);
            if shards.filter(|shard| shard.of == set).count() < there.count() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn sets(directory: &Directory) -> Result<Vec<ShardSet>> {
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
