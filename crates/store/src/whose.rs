//! Whose a value file is.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use crate::db::Db;
use crate::error::Result;
use crate::key;
use crate::removal::{self, Part};
use crate::share::Share;

/// The entry that names a value file.
pub(crate) struct Entry {
    /// The name of its structure.
    pub(crate) structure: String,
    /// Where it is in there.
    pub(crate) place: String,
}

/// A row that has a file.
struct Found {
    file: i64,
    row: i64,
    key: Option<Vec<u8>>,
}

const TABLES: &str = "SELECT name, whose, items FROM tables WHERE items <> 0";
const COLUMNS: &str = "SELECT name FROM pragma_table_info($1)";
const NAME: &str = "SELECT name FROM structures WHERE id = $1";

/// The entries that name these files. Goes through all entries that have one.
pub(crate) fn entries(db: &Db<'_>, files: &BTreeSet<i64>) -> Result<BTreeMap<i64, Entry>> {
    let mut entries = BTreeMap::new();
    if files.is_empty() {
        return Ok(entries);
    }
    for part in removal::parts(db, TABLES, &[])? {
        let columns = db.query(COLUMNS, &[part.table.as_str().into()], |row| {
            Ok(row.text(0)?.to_owned())
        })?;
        let has = |name: &str| columns.iter().any(|column| column == name);
        for Found { file, row, key } in part.rows_of(db, files, has("key"))? {
            let share = Share::around(row)?;
            let name = db.query_one(NAME, &[share.structure().into()], |row| {
                Ok(row.text(0)?.to_owned())
            })?;
            let place = match key {
                Some(key) => {
                    let own = key.get(share.beginning().len()..).unwrap_or_default();
                    format!("at the key {}", key::show(own))
                }
                None if has("state") => format!("job {}", row - share.rows().start),
                None if has("owner") => "claimed".into(),
                None => format!("at index {}", part.index_of(db, share, row)?),
            };
            if let Some(structure) = name {
                entries.insert(file, Entry { structure, place });
            }
        }
    }
    Ok(entries)
}

impl Part {
    /// The rows that have one of these files.
    fn rows_of(&self, db: &Db<'_>, files: &BTreeSet<i64>, keyed: bool) -> Result<Vec<Found>> {
        let Part { table, column, .. } = self;
        let key = if keyed { "key" } else { "NULL" };
        let sql = format!("SELECT {column}, file, {key} FROM {table} WHERE file IS NOT NULL");
        let mut found = Vec::new();
        db.query_each(&sql, &[], |row| {
            let file = row.int(1)?;
            if files.contains(&file) {
                let (key, row) = (row.opt_blob(2)?.map(<[u8]>::to_vec), row.int(0)?);
                found.push(Found { file, row, key });
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(found)
    }

    /// How many rows of its structure are before this one.
    fn index_of(&self, db: &Db<'_>, share: Share, row: i64) -> Result<i64> {
        let Part { table, column, .. } = self;
        let sql = format!("SELECT count(*) FROM {table} WHERE {column} >= $1 AND {column} < $2");
        let before = [share.rows().start.into(), row.into()];
        let count = db.query_one(&sql, &before, |row| row.int(0))?;
        Ok(count.unwrap_or_default())
    }
}
