//! What a database must be to be a store, and the tables that every store has.

use rusqlite::Connection;

use crate::error::{Error, ErrorKind, Result, from_sqlite};

/// "dskt", in the header of the database.
const APPLICATION: i32 = 0x6473_6b74;

/// The format of the tables below; each structure records its own beside it.
const FORMAT: i32 = 2;

const SCHEMA: &str = "
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

/// What format 2 adds.
const BOARDS: &str = "
    -- The board, and the run of the system in which it was made: one row.
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

/// Makes an empty database a store; refuses what is not one. Called by one process at a time.
pub(crate) fn prepare(connection: &Connection) -> Result<()> {
    let pragma = |name| {
        connection
            .pragma_query_value(None, name, |row| row.get::<_, i32>(0))
            .map_err(from_sqlite)
    };
    let (application, format) = (pragma("application_id")?, pragma("user_version")?);
    let tables: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get(0))
        .map_err(from_sqlite)?;
    if application == APPLICATION && format == FORMAT {
        Ok(())
    } else if application == APPLICATION && format > FORMAT {
        Err(Error::new(
            ErrorKind::NewerFormat,
            format!(
                "the store has format {format}, this diskette knows formats up to {FORMAT}: update diskette"
            ),
        ))
    } else if application == APPLICATION && format == 1 {
        make(connection, BOARDS)
    } else if application == 0 && tables == 0 {
        make(connection, &format!("{SCHEMA} {BOARDS}"))
    } else {
        Err(Error::new(
            ErrorKind::NotAStore,
            "store.db is a database of another program; name another directory",
        ))
    }
}

fn make(connection: &Connection, tables: &str) -> Result<()> {
    connection
        .execute_batch(&format!(
            "BEGIN IMMEDIATE; {tables}
             PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {FORMAT}; COMMIT;"
        ))
        .map_err(from_sqlite)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_of_the_first_format_becomes_one_of_this() -> Result<()> {
        let connection = Connection::open_in_memory().map_err(from_sqlite)?;
        let first =
            format!("{SCHEMA} PRAGMA application_id = {APPLICATION}; PRAGMA user_version = 1;");
        connection.execute_batch(&first).map_err(from_sqlite)?;
        prepare(&connection)?;
        prepare(&connection)?;
        let tables = connection.execute_batch("SELECT era FROM boards; SELECT token FROM fences;");
        tables.map_err(from_sqlite)
    }
}
