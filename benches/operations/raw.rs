//! The yardstick: SQLite as a careful user would use it, at the same durability.

use std::path::Path;

use rusqlite::{Connection, Params, params};

/// WAL, synchronous NORMAL, as many cached pages as diskette has, statements prepared once; the rest is
/// SQLite's default.
pub(crate) struct Raw(Connection);

impl Raw {
    #[allow(clippy::disallowed_methods)]
    pub(crate) fn open(path: &Path, schema: &str) -> Self {
        let connection = Connection::open(path).expect("a database");
        connection
            .execute_batch(&format!(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -16384; {schema}"
            ))
            .expect("a fresh database");
        Raw(connection)
    }

    pub(crate) fn execute(&self, sql: &str, params: impl Params) {
        self.0
            .prepare_cached(sql)
            .and_then(|mut statement| statement.execute(params))
            .expect("a write");
    }

    /// A row of a number and bytes.
    pub(crate) fn row(&self, sql: &str, params: impl Params) -> (i64, Vec<u8>) {
        self.0
            .prepare_cached(sql)
            .and_then(|mut statement| {
                statement.query_row(params, |row| Ok((row.get(0)?, row.get(1)?)))
            })
            .expect("a row")
    }

    /// Rows of a number and bytes.
    pub(crate) fn rows(&self, sql: &str, params: impl Params) -> Vec<(i64, Vec<u8>)> {
        self.0
            .prepare_cached(sql)
            .and_then(|mut statement| {
                let rows = statement.query_map(params, |row| Ok((row.get(0)?, row.get(1)?)))?;
                rows.collect()
            })
            .expect("rows")
    }

    pub(crate) fn transaction(&self, work: impl FnOnce(&Self)) {
        self.execute("BEGIN IMMEDIATE", params![]);
        work(self);
        self.execute("COMMIT", params![]);
    }
}
