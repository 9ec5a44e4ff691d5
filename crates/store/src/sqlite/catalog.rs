//! What a database must be to be a store, and the tables that every store has.

use std::collections::BTreeMap;

use rusqlite::Connection;

use crate::error::{Error, ErrorKind, Result, from_sqlite};

/// "dskt", in the header of the database.
const APPLICATION: i32 = 0x6473_6b74;

/// The format of the tables below; each kind of structures has its own beside it.
const FORMAT: i32 = STEPS.len() as i32;

/// The format that the header of a store has which has moved, or was about to: the directory says which. No diskette of before opens it.
const MOVED: i32 = i32::MAX;

/// What each format adds to the one before.
const STEPS: [&str; 6] = [STRUCTURES, BOARDS, GARBAGE, KINDS, TIMELINES, LOG_LOCKS];

const STRUCTURES: &str = "
    CREATE TABLE structures (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        kind TEXT NOT NULL,
        format INTEGER NOT NULL,
        codec TEXT NOT NULL
    );
    -- The value files that a row names, whichever structure's it is.
    CREATE TABLE value_files (
        id INTEGER PRIMARY KEY,
        bytes INTEGER NOT NULL
    );
";

const BOARDS: &str = "
    -- The board: one row.
    CREATE TABLE boards (
        id INTEGER PRIMARY KEY,
        era INTEGER NOT NULL,
        boot INTEGER NOT NULL
    );
    -- The greatest tokens that were shown.
    CREATE TABLE fences (
        structure INTEGER NOT NULL,
        slot INTEGER NOT NULL,
        token INTEGER NOT NULL,
        PRIMARY KEY (structure, slot)
    );
";

const GARBAGE: &str = "
    -- The value files that no row names any more, until they are unlinked: once the eras before are over.
    CREATE TABLE garbage (id INTEGER PRIMARY KEY, era INTEGER);
    ALTER TABLE boards DROP COLUMN boot;
";

const KINDS: &str = "
    -- The kinds of structures of which there are tables, and their formats.
    CREATE TABLE kinds (name TEXT PRIMARY KEY, format INTEGER NOT NULL);
    -- What all structures of a kind have together: a row is that of a structure by this column.
    CREATE TABLE tables (
        name TEXT PRIMARY KEY,
        kind TEXT NOT NULL,
        whose TEXT NOT NULL,
        items INTEGER NOT NULL
    );
    -- Structures that were removed, until all their rows are.
    CREATE TABLE removed (id INTEGER PRIMARY KEY, kind TEXT NOT NULL);
    INSERT INTO kinds (name, format) SELECT kind, max(format) FROM structures GROUP BY kind;
    CREATE TABLE new_structures (
        -- Never used again.
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL UNIQUE,
        kind TEXT NOT NULL,
        codec TEXT NOT NULL
    );
    INSERT INTO new_structures (id, name, kind, codec) SELECT id, name, kind, codec FROM structures;
    DROP TABLE structures;
    ALTER TABLE new_structures RENAME TO structures;
    -- A file becomes garbage with the era after which it can go.
    UPDATE garbage SET era = 1 WHERE era IS NULL;
";

const TIMELINES: &str = "
    -- The time that all who use the store go by: one row, what it was at a reading of the clock.
    CREATE TABLE timelines (
        id INTEGER PRIMARY KEY,
        boot INTEGER NOT NULL,
        uptime INTEGER NOT NULL,
        wall INTEGER NOT NULL,
        time INTEGER NOT NULL
    );
";

/// No other table: who knows of no locks in `locks/log` could read beside those who do, and not write.
const LOG_LOCKS: &str = "";

/// Makes an empty database a store, and one of an earlier format, unless `others_live` with it, one of this; refuses what is no
/// store. Called by one process at a time.
pub(crate) fn prepare(
    connection: &Connection,
    others_live: impl FnOnce() -> Result<bool>,
) -> Result<()> {
    match format(connection)? {
        FORMAT => Ok(()),
        // It was about to move, or somebody would have been led to where it is.
        MOVED => set_format(connection, FORMAT),
        earlier if earlier > 0 && others_live()? => Err(Error::new(
            ErrorKind::Unsupported,
            format!(
                "the store has format {earlier}, and processes of an earlier diskette have it open, which can't use it in format \
                 {FORMAT}: end them, then open it again"
            ),
        )),
        earlier => make(connection, earlier),
    }
}

/// Has no diskette of before open the store; no power cut takes that.
#[cfg(feature = "postgres")]
pub(crate) fn set_moved(connection: &Connection) -> Result<()> {
    let synchronous: i64 = connection
        .pragma_query_value(None, "synchronous", |row| row.get(0))
        .map_err(from_sqlite)?;
    let set = |level| connection.pragma_update(None, "synchronous", level);
    set("FULL").map_err(from_sqlite)?;
    let done = set_format(connection, MOVED);
    connection
        .pragma_update(None, "synchronous", synchronous)
        .map_err(from_sqlite)?;
    done
}

fn set_format(connection: &Connection, format: i32) -> Result<()> {
    connection
        .pragma_update(None, "user_version", format)
        .map_err(from_sqlite)
}

/// Gives an empty database the tables of a store, which it is once it is told so.
#[cfg(feature = "postgres")]
pub(crate) fn make_tables(connection: &Connection) -> Result<()> {
    let tables = format!("BEGIN IMMEDIATE; {} COMMIT;", STEPS.concat());
    connection.execute_batch(&tables).map_err(from_sqlite)
}

/// Says that a database with these tables is a store.
#[cfg(feature = "postgres")]
pub(crate) fn make_store(connection: &Connection) -> Result<()> {
    make(connection, FORMAT)
}

/// Refuses what is no store of this format, for who may only read.
pub(crate) fn must_be_of_this_format(connection: &Connection) -> Result<()> {
    match format(connection)? {
        FORMAT | MOVED => Ok(()),
        0 => Err(empty()),
        earlier => Err(Error::new(
            ErrorKind::ReadOnly,
            format!(
                "the store has format {earlier}, and this diskette has {FORMAT}: let a user who may write open it once, which \
                 brings it over"
            ),
        )),
    }
}

pub(crate) fn empty() -> Error {
    Error::new(
        ErrorKind::NotAStore,
        "store.db is empty: whoever makes the store has not come far",
    )
}

/// The format of a store, or an earlier one; 0: the database is empty.
fn format(connection: &Connection) -> Result<i32> {
    let pragma = |name| {
        connection
            .pragma_query_value(None, name, |row| row.get::<_, i32>(0))
            .map_err(from_sqlite)
    };
    let (application, format) = (pragma("application_id")?, pragma("user_version")?);
    let tables: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get(0))
        .map_err(from_sqlite)?;
    if application == APPLICATION && format > FORMAT && format != MOVED {
        Err(Error::new(
            ErrorKind::NewerFormat,
            format!(
                "the store has format {format}, this diskette knows formats up to {FORMAT}: update diskette"
            ),
        ))
    } else if application == APPLICATION && format > 0 {
        Ok(format)
    } else if application == 0 && tables == 0 {
        Ok(0)
    } else {
        Err(Error::new(
            ErrorKind::NotAStore,
            "store.db is a database of another program; name another directory",
        ))
    }
}

/// The names of the tables that every store has, and how they are made.
pub(crate) fn tables_of_a_new_store() -> Result<BTreeMap<String, String>> {
    let afresh = Connection::open_in_memory().map_err(from_sqlite)?;
    prepare(&afresh, || Ok(false))?;
    tables(&afresh)
}

fn tables(connection: &Connection) -> Result<BTreeMap<String, String>> {
    let tables = "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL";
    connection
        .prepare(tables)
        .and_then(|mut tables| {
            let rows = tables.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect()
        })
        .map_err(from_sqlite)
}

/// Adds to a store of one format what makes it one of this.
fn make(connection: &Connection, format: i32) -> Result<()> {
    let steps = STEPS[format as usize..].concat();
    connection
        .execute_batch(&format!(
            "BEGIN IMMEDIATE; {steps}
             PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {FORMAT}; COMMIT;"
        ))
        .map_err(from_sqlite)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_of_an_earlier_format_becomes_one_of_this() -> Result<()> {
        let afresh = tables_of_a_new_store()?;
        for format in 1..FORMAT {
            let connection = Connection::open_in_memory().map_err(from_sqlite)?;
            let earlier = STEPS[..format as usize].concat();
            let earlier = format!(
                "{earlier} PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {format};"
            );
            connection.execute_batch(&earlier).map_err(from_sqlite)?;
            prepare(&connection, || Ok(false))?;
            prepare(&connection, || Ok(true))?;
            assert_eq!(tables(&connection)?, afresh);
        }
        Ok(())
    }
}
