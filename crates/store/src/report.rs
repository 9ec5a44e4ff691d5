use std::fmt;

use serde::Serialize;

/// What [`Store::check`](crate::Store::check) found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// What is wrong; empty when the store is sound.
    pub problems: Vec<Problem>,
}

impl Report {
    /// Is nothing wrong?
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }
}

/// Something that is wrong with a store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub enum Problem {
    /// SQLite found the database damaged, and says where. [`Store::repair`](crate::Store::repair) rebuilds its indexes; what
    /// remains after that needs a backup.
    Database(String),
    /// The database holds a table, an index, a trigger or a view that diskette did not make, or not so. Nothing of it is
    /// run. Nobody but diskette should write to the database.
    Schema(String),
    /// The file of a large value is gone, cut short or overwritten. Reading the entry fails until it is
    /// removed or replaced.
    ValueFile {
        /// The file's number.
        id: i64,
        /// The name of the structure whose it is, if an entry names it.
        structure: Option<String>,
        /// Where the entry is in there: its key or its index, or that it is claimed.
        place: Option<String>,
        /// What is wrong with it.
        how: String,
    },
    /// A file in `values/` that no entry names. [`Store::repair`](crate::Store::repair) removes it.
    Orphan {
        /// The file's number.
        id: i64,
    },
    /// What is wrong with one of the databases over which a structure is spread.
    InShard {
        /// Its directory, from that of the store on.
        shard: String,
        /// What it is.
        problem: Box<Problem>,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::Database(what) | Problem::Schema(what) => write!(f, "database: {what}"),
            Problem::ValueFile {
                structure,
                place,
                how,
                ..
            } => {
                if let (Some(structure), Some(place)) = (structure, place) {
                    write!(f, "{structure:?}, {place}: ")?;
                }
                f.write_str(how)
            }
            Problem::Orphan { id } => write!(f, "value file {id:016x} belongs to no entry"),
            Problem::InShard { shard, problem } => write!(f, "{shard}: {problem}"),
        }
    }
}
