//! Structures that are spread over several databases.

use std::fmt;
use std::str::FromStr;

use crate::access::Access;
use crate::db::Db;
use crate::engine::Engine;
use crate::error::Result;
use crate::store::Store;
use crate::tenancy::Tenancy;

const IS_THERE: &str = "SELECT 1 FROM structures WHERE id = $1";

/// The shards of one structure. When it is spread over another number of them it gets another set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardSet {
    /// The number of the structure.
    pub structure: i64,
    /// A number that is drawn, so that no other set ever had it.
    pub set: i64,
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
    pub fn shards(&self, of: ShardSet, count: u32) -> Result<Vec<Store>> {
        self.again(|store| match store.engine() {
            Engine::Sqlite(sqlite) => {
                sqlite.must_be_here()?;
                let shards = sqlite.shards(of, count)?;
                Ok(shards.into_iter().map(Store::from).collect())
            }
            #[cfg(feature = "postgres")]
            Engine::Postgres(postgres) => {
                let shards = postgres.shards(of, count)?;
                Ok(shards.into_iter().map(Store::from).collect())
            }
        })
    }

    /// Somebody who will use the shards of the structure with this number, and doesn't yet.
    ///
    /// # Errors
    ///
    /// Those of opening a lock file.
    pub fn tenancy(&self, structure: i64) -> Result<Tenancy> {
        self.again(|store| match store.engine() {
            Engine::Sqlite(sqlite) => sqlite.tenancy(structure),
            #[cfg(feature = "postgres")]
            Engine::Postgres(postgres) => postgres.tenancy(structure),
        })
    }

    /// Sees to it that no power cut takes what was committed until now.
    ///
    /// # Errors
    ///
    /// Those of the database.
    pub fn write_down(&self) -> Result<()> {
        self.in_one_place(|store| match store.engine() {
            Engine::Sqlite(sqlite) => sqlite.write_down(),
            #[cfg(feature = "postgres")]
            Engine::Postgres(postgres) => postgres.write_down(),
        })
    }

    /// The sets that there are, whole or half made.
    ///
    /// # Errors
    ///
    /// Those of reading a directory.
    pub fn sets_of_shards(&self) -> Result<Vec<ShardSet>> {
        self.in_one_place(|store| match store.engine() {
            Engine::Sqlite(sqlite) => sqlite.sets_of_shards(),
            #[cfg(feature = "postgres")]
            Engine::Postgres(postgres) => postgres.sets_of_shards(),
        })
    }

    /// Removes a set that nobody has open, or whose structure was removed.
    ///
    /// # Errors
    ///
    /// Those of removing files.
    pub fn remove_shards(&self, of: ShardSet) -> Result<()> {
        self.in_one_place(|store| match store.engine() {
            Engine::Sqlite(sqlite) => sqlite.remove_shards(of),
            #[cfg(feature = "postgres")]
            Engine::Postgres(postgres) => postgres.remove_shards(of),
        })
    }
}

#[doc(hidden)]
impl Store {
    /// The sets of a structure but this one.
    ///
    /// # Errors
    ///
    /// Those of reading a directory.
    pub fn other_shards(&self, but: ShardSet) -> Result<Vec<ShardSet>> {
        let mut others = self.sets_of_shards()?;
        others.retain(|set| set.structure == but.structure && *set != but);
        Ok(others)
    }

    /// Removes all sets of a structure but this one, which is the one that the database names, for good. The caller is alone.
    ///
    /// # Errors
    ///
    /// Those of removing files, and of the database.
    pub fn remove_other_shards(&self, but: ShardSet) -> Result<()> {
        let others = self.other_shards(but)?;
        if !others.is_empty() {
            self.write_down()?;
        }
        others
            .into_iter()
            .try_for_each(|set| self.remove_shards(set))
    }

    /// Removes the sets whose structure was removed, for good.
    ///
    /// # Errors
    ///
    /// Those of removing files, and of the database.
    pub fn remove_orphaned_shards(&self) -> Result<()> {
        let mut orphans = Vec::new();
        // A set is made after its structure: so they are listed first.
        for set in self.sets_of_shards()? {
            let found = |db: &Db<'_>| db.query_one(IS_THERE, &[set.structure.into()], |_| Ok(()));
            if self.read_one(found)?.is_none() {
                orphans.push(set);
            }
        }
        if !orphans.is_empty() {
            self.write_down()?;
        }
        orphans
            .into_iter()
            .try_for_each(|set| self.remove_shards(set))
    }
}

impl fmt::Display for ShardSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:016x}", self.structure, self.set)
    }
}

impl FromStr for ShardSet {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        let (structure, set) = name.split_once('-').ok_or(())?;
        Ok(ShardSet {
            structure: structure.parse().map_err(drop)?,
            set: i64::from_str_radix(set, 16).map_err(drop)?,
        })
    }
}
