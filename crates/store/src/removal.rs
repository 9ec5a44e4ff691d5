//! Removing structures, and giving them other names.
//!
//! A structure is removed in this order, of which each step may be the last of a process that is killed:
//!
//! 1. its line leaves the catalog, for another list: its name is free, and nobody finds it any more;
//! 2. its rows go, some at a time, so that others can write meanwhile; then its shards, if it has some;
//! 3. its number leaves that list.
//!
//! Whoever has it open is told by the board, at the beginning of each step, that one may have been removed, and looks.

use crate::access::Access;
use crate::db::Db;
use crate::error::{Error, ErrorKind, Result};
use crate::row::Value;
use crate::share::Share;
use crate::store::Store;

/// So many rows go between two turns to write.
const STEP: i64 = 500;

const FIND: &str = "SELECT id FROM structures WHERE name = $1";
const TAKE_DOWN: &str =
    "INSERT INTO removed (id, kind) SELECT id, kind FROM structures WHERE id = $1";
const FORGET: &str = "DELETE FROM structures WHERE id = $1";
const RENAME: &str = "UPDATE structures SET name = $1 WHERE id = $2";
const REMOVED: &str = "SELECT id FROM removed LIMIT 1";
const TABLES: &str = "SELECT tables.name, whose, items FROM removed \
    JOIN tables ON tables.kind = removed.kind WHERE id = $1";
const UNFENCE: &str = "DELETE FROM fences WHERE structure = $1";
const FINISH: &str = "DELETE FROM removed WHERE id = $1";

/// A table of a kind, as the catalog has it.
pub(crate) struct Part {
    pub(crate) table: String,
    pub(crate) column: String,
    pub(crate) items: bool,
}

/// Is there a structure of which not all is removed yet?
pub(crate) fn is_unfinished(db: &Db<'_>) -> Result<bool> {
    Ok(db.query_one(REMOVED, &[], |_| Ok(()))?.is_some())
}

impl Store {
    /// Removes the structure of this name with all that is in it; was there one?
    ///
    /// Whoever has it open, here or in another process, gets errors from it from then on
    /// ([`is_removed`](Error::is_removed)); who holds it, if it is a lock, holds it no more. The name is free at once. Another
    /// structure that is made under it has nothing to do with the old one.
    ///
    /// # Errors
    ///
    /// [`is_timeout`](Error::is_timeout) when the turn to write didn't come in time,
    /// [`is_misuse`](Error::is_misuse) within a transaction of this thread.
    ///
    /// # Crashes
    ///
    /// Once its name is free, the rest goes even if this process dies: whoever opens the store next sees to it.
    ///
    /// # Cost
    ///
    /// A turn to write for every 500 rows, between which others can write.
    pub fn remove_structure(&self, name: &str) -> Result<bool> {
        let remove = || {
            let found = self.free(|db| {
                let Some(id) = db.query_one(FIND, &[name.into()], |row| row.int(0))? else {
                    return Ok(false);
                };
                self.tell_removed(id)?;
                db.run(TAKE_DOWN, &[id.into()])?;
                db.run(FORGET, &[id.into()])?;
                Ok(true)
            })?;
            if found {
                self.clear_removed()?;
            }
            Ok(found)
        };
        let place = || format!("removing {name:?} from {}", self.path().display());
        remove().map_err(|error: Error| error.at(place))
    }

    /// Gives a structure another name. Whoever has it open keeps it.
    ///
    /// # Errors
    ///
    /// [`is_invalid_input`](Error::is_invalid_input) when there is none of this name, when another has the new one, or when
    /// that is no name for a structure.
    pub fn rename_structure(&self, name: &str, to: &str) -> Result<()> {
        let rename = || {
            crate::structure::check_name(to)?;
            self.write(|db| {
                let find = |name: &str| db.query_one(FIND, &[name.into()], |row| row.int(0));
                let invalid = |message| Error::new(ErrorKind::InvalidInput, message);
                let Some(id) = find(name)? else {
                    let hint = "there is none of this name: Store::stats lists those that there are";
                    return Err(invalid(hint.into()));
                };
                if find(to)?.is_some_and(|other| other != id) {
                    return Err(invalid(format!(
                        "{to:?} is the name of another structure: remove that, or choose another name"
                    )));
                }
                db.run(RENAME, &[to.into(), id.into()])?;
                Ok(())
            })
        };
        let place = || format!("renaming {name:?} in {}", self.path().display());
        rename().map_err(|error: Error| error.at(place))
    }

    /// Steps 2 and 3 for all that were removed.
    pub(crate) fn clear_removed(&self) -> Result<()> {
        while let Some(id) = self.read_one(|db| db.query_one(REMOVED, &[], |row| row.int(0)))? {
            self.tell_removed(id)?;
            let parts = self.read_one(|db| parts(db, TABLES, &[id.into()]))?;
            for part in parts {
                while self.free(|db| part.clear_some(db, id))? {}
            }
            self.remove_orphaned_shards()?;
            self.free(|db| {
                self.tell_removed(id)?;
                db.run(UNFENCE, &[id.into()])?;
                db.forget_holds(id)?;
                db.run(FINISH, &[id.into()])?;
                Ok(())
            })?;
        }
        Ok(())
    }

    fn free<R>(&self, operation: impl Fn(&Db<'_>) -> Result<R>) -> Result<R> {
        self.freeing(|| self.write(&operation))
    }
}

/// Tables as the catalog has them.
pub(crate) fn parts(db: &Db<'_>, sql: &str, params: &[Value<'_>]) -> Result<Vec<Part>> {
    db.query(sql, params, |row| {
        // They become part of statements: nothing but a name may.
        let name = |column| {
            let text = row.text(column)?;
            match text
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
            {
                true => Ok(text.to_owned()),
                false => Err(Error::new(
                    ErrorKind::Corrupt,
                    format!("{text:?} is no name of a table: Store::check says what is damaged"),
                )),
            }
        };
        Ok(Part {
            table: name(0)?,
            column: name(1)?,
            items: row.int(2)? != 0,
        })
    })
}

impl Part {
    /// From which number to before which the rows of a structure are.
    pub(crate) fn rows(&self, structure: i64) -> Result<[Value<'static>; 2]> {
        let rows = match self.items {
            true => Share::of(structure)?.rows(),
            false => structure..structure + 1,
        };
        Ok([rows.start.into(), rows.end.into()])
    }

    /// Removes some rows of a structure; are there more?
    fn clear_some(&self, db: &Db<'_>, structure: i64) -> Result<bool> {
        let Part { table, column, .. } = self;
        let file = if self.items { "file" } else { "NULL" };
        let [first, end] = self.rows(structure)?;
        let some = format!(
            "SELECT {column}, {file} FROM {table} WHERE {column} >= $1 AND {column} < $2 ORDER BY {column} LIMIT $3"
        );
        let rows = db.query(&some, &[first, end, STEP.into()], |row| {
            Ok((row.int(0)?, row.opt_int(1)?))
        })?;
        let Some(&(last, _)) = rows.last() else {
            return Ok(false);
        };
        for (_, file) in &rows {
            db.store().forget_value(db, *file)?;
        }
        let gone = format!("DELETE FROM {table} WHERE {column} >= $1 AND {column} <= $2");
        db.run(&gone, &[first, last.into()])?;
        Ok(rows.len() as i64 == STEP)
    }
}
