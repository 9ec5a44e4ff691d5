//! Structures that are spread over several databases.

use std::fmt;
use std::str::FromStr;

use crate::engine::Engine;
use crate::error::Result;
use crate::store::Store;

/// The shards of one structure. When it is spread over another number of them it gets another set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shards {
    /// The number of the structure.
    pub structure: i64,
    /// The number of the set, of all that the structure has had.
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
    pub fn shards(&self, of: Shards, count: u32) -> Result<Vec<Store>> {
        match self.engine() {
            Engine::Sqlite(sqlite) => {
                let shards = sqlite.shards(of, count)?;
                Ok(shards.into_iter().map(Store::from).collect())
            }
            #[cfg(feature = "postgres")]
            Engine::Postgres(postgres) => {
                let shards = postgres.shards(of, count)?;
                Ok(shards.into_iter().map(Store::from).collect())
            }
        }
    }

    /// The sets that there are, whole or half made.
    ///
    /// # Errors
    ///
    /// Those of reading a directory.
    pub fn sets_of_shards(&self) -> Result<Vec<Shards>> {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.sets_of_shards(),
            #[cfg(feature = "postgres")]
            Engine::Postgres(postgres) => postgres.sets_of_shards(),
        }
    }

    /// Removes a set that nobody has open.
    ///
    /// # Errors
    ///
    /// Those of removing files.
    pub fn remove_shards(&self, of: Shards) -> Result<()> {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.remove_shards(of),
            #[cfg(feature = "postgres")]
            Engine::Postgres(postgres) => postgres.remove_shards(of),
        }
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
