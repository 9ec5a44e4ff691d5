use std::fs;

use crate::access::Access;
use crate::error::{Error, Result};
use crate::store::Store;

/// What a store holds; made by [`Store::stats`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// The structures, in the order in which they were made.
    pub structures: Vec<StructureStats>,
    /// The database, in bytes.
    pub database_bytes: u64,
    /// The part of it that is free, to be used again or given back by [`Store::compact`].
    pub free_bytes: u64,
    /// The write-ahead log, in bytes.
    pub wal_bytes: u64,
    /// Large values that are files.
    pub value_files: u64,
    /// What they hold, in bytes.
    pub value_bytes: u64,
}

/// One structure of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StructureStats {
    /// Its name.
    pub name: String,
    /// Its kind: `deque`, `index`, …
    pub kind: String,
    /// The codec of its values.
    pub codec: String,
}

impl Store {
    /// What the store holds, and how large it is. Costs a few statements, whatever the size.
    ///
    /// # Errors
    ///
    /// Those of the database.
    pub fn stats(&self) -> Result<Stats> {
        self.snapshot(|snapshot| {
            snapshot.read(|db| {
                let one = |sql| {
                    let number = db.query_one(sql, &[], |row| row.int(0))?;
                    Ok(u64::try_from(number.unwrap_or(0)).unwrap_or(0))
                };
                let page = one("PRAGMA page_size")?;
                let sql = "SELECT name, kind, codec FROM structures ORDER BY id";
                Ok(Stats {
                    structures: db.query(sql, &[], |row| {
                        Ok(StructureStats {
                            name: row.text(0)?.to_owned(),
                            kind: row.text(1)?.to_owned(),
                            codec: row.text(2)?.to_owned(),
                        })
                    })?,
                    database_bytes: page * one("PRAGMA page_count")?,
                    free_bytes: page * one("PRAGMA freelist_count")?,
                    wal_bytes: fs::metadata(self.directory().wal()).map_or(0, |wal| wal.len()),
                    value_files: one("SELECT count(*) FROM value_files")?,
                    value_bytes: one("SELECT coalesce(sum(bytes), 0) FROM value_files")?,
                })
            })
        })
        .map_err(|error: Error| error.at(|| format!("measuring {}", self.path().display())))
    }
}
