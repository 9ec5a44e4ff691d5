//! A database of this engine that is copied to another engine, or from one: see [`moving`](crate::moving).

use std::collections::BTreeSet;
use std::io::{Read, Write};

use diskette_ipc::plain_file;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, OptionalExtension, Statement};

use crate::error::{Error, ErrorKind, Result, from_sqlite};
use crate::moving::{Copy, Original, Reached, Stream, Table};
use crate::options::Durability;
use crate::row::Value;
use crate::sqlite::catalog;
use crate::sqlite::connection::{self, Role};
use crate::sqlite::directory::Directory;

const COLUMNS: &str = "SELECT name FROM pragma_table_info(?1) ORDER BY cid";
const MADE_BY: &str = "SELECT sql FROM sqlite_master WHERE tbl_name = ?1 AND sql IS NOT NULL ORDER BY type DESC, rowid";
const ALL: &str =
    "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite~_%' ESCAPE '~'";
const LAST: &str = "SELECT seq FROM sqlite_sequence WHERE name = 'structures'";
const ERA: &str = "SELECT max(era) FROM boards";
const SHOWN: &str = "SELECT max(token) FROM fences";
const ADD_KIND: &str = "INSERT INTO kinds (name, format) VALUES (?1, ?2)";
const ADD_FILE: &str = "INSERT INTO value_files (id, bytes) VALUES (?1, ?2)";
const SET_ERA: &str = "INSERT INTO boards (id, era) VALUES (1, ?1)";
const FORGET_LAST: &str = "DELETE FROM sqlite_sequence WHERE name = 'structures'";
const SET_LAST: &str = "INSERT INTO sqlite_sequence (name, seq) VALUES ('structures', ?1)";

/// Tokens of one era of the board have all bits but these in common.
const TOKENS: u32 = 40;

/// What is read at a time of a large value.
const CHUNK: usize = 1024 * 1024;

/// So many rows are committed at a time, of a copy that nobody can open yet.
const ROWS: usize = 1000;

/// A database and its value files.
pub(crate) struct Files<'c> {
    pub(crate) connection: &'c Connection,
    pub(crate) directory: &'c Directory,
}

/// A copy that is being made, which is no store until it is finished.
pub(crate) struct NewFiles {
    connection: Connection,
    directory: Directory,
    rows: usize,
    /// The directories of value files.
    parents: BTreeSet<std::path::PathBuf>,
}

impl Original for Files<'_> {
    fn columns(&self, table: &str) -> Result<Vec<String>> {
        self.names(COLUMNS, &[&table])
    }

    fn schema(&self, _: &str, tables: &[String]) -> Result<Vec<String>> {
        let mut all = Vec::new();
        for table in tables {
            let made_by = self.names(MADE_BY, &[table])?;
            all.extend(made_by.into_iter().map(|sql| sql.replace('\n', " ")));
        }
        Ok(all)
    }

    fn size(&self, table: &Table) -> Result<[i64; 2]> {
        let both = |row: &rusqlite::Row<'_>| Ok([row.get(0)?, row.get(1)?]);
        let sizes = self.connection.query_row(&table.select_size(), [], both);
        sizes.map_err(from_sqlite)
    }

    fn each_row(
        &self,
        table: &Table,
        visit: &mut dyn FnMut(&[Value<'_>]) -> Result<()>,
    ) -> Result<()> {
        let select = table.select();
        let mut select = self.connection.prepare(&select).map_err(from_sqlite)?;
        let mut rows = select.raw_query();
        while let Some(row) = rows.next().map_err(from_sqlite)? {
            let value = |column| value_of(row.get_ref(column).map_err(from_sqlite)?, table);
            let values = (0..table.columns.len()).map(value);
            visit(&values.collect::<Result<Vec<_>>>()?)?;
        }
        Ok(())
    }

    fn each_chunk(&self, value: i64, visit: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let path = self.directory.value(value);
        let failed = |error| Error::reading("can't read a value's file", error);
        let mut file = plain_file::read(&path).map_err(|error| {
            let message = format!(
                "the file of a large value, {}, can't be read: Store::check says whose it is; remove or replace the entry",
                path.display()
            );
            Error::new(ErrorKind::Corrupt, message).caused_by(error)
        })?;
        let mut chunk = Vec::with_capacity(CHUNK);
        loop {
            chunk.clear();
            let some = (&mut file).take(CHUNK as u64).read_to_end(&mut chunk);
            if some.map_err(failed)? == 0 {
                return Ok(());
            }
            visit(&chunk)?;
        }
    }

    fn reached(&self) -> Result<Reached> {
        let number = |sql| {
            let found = self.connection.query_row(sql, [], |row| row.get(0));
            let found: Option<Option<i64>> = found.optional().map_err(from_sqlite)?;
            Ok::<_, Error>(found.flatten().unwrap_or(0))
        };
        let of_the_board = ((number(ERA)? + 1) << TOKENS) - 1;
        Ok(Reached {
            structure: number(LAST)?,
            token: of_the_board.max(number(SHOWN)?),
        })
    }

    fn must_be_known(&self, tables: &BTreeSet<String>) -> Result<()> {
        let ours = catalog::tables_of_a_new_store()?;
        for table in self.names(ALL, &[])? {
            if !ours.contains_key(&table) && !tables.contains(&table) {
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    format!(
                        "the table {table} is not one of this diskette's: open a structure of its kind once, which brings those of \
                         earlier formats over, or remove it, if it is another program's"
                    ),
                ));
            }
        }
        Ok(())
    }
}

impl Files<'_> {
    fn names(&self, sql: &str, params: &[&dyn rusqlite::ToSql]) -> Result<Vec<String>> {
        let mut names = self.connection.prepare(sql).map_err(from_sqlite)?;
        let names = names
            .query_map(params, |row| row.get(0))
            .and_then(Iterator::collect);
        names.map_err(from_sqlite)
    }
}

impl NewFiles {
    /// In a directory that is prepared, where there is no database yet.
    pub(crate) fn begin(directory: Directory) -> Result<Self> {
        directory.create_database()?;
        let database = directory.database();
        let connection = connection::open(&database, None, Role::Writer, Durability::default())?;
        catalog::make_tables(&connection)?;
        connection
            .execute_batch("PRAGMA wal_autocheckpoint = 4000; BEGIN IMMEDIATE")
            .map_err(from_sqlite)?;
        Ok(NewFiles {
            parents: BTreeSet::from([directory.values()]),
            connection,
            directory,
            rows: 0,
        })
    }

    /// Says that it is a store; no power cut takes it.
    pub(crate) fn end(self) -> Result<()> {
        let failed = |error| Error::io("can't sync the copy", error);
        let mut parents = self.parents.iter();
        parents
            .try_for_each(|parent| plain_file::sync_directory(parent))
            .map_err(failed)?;
        catalog::make_store(&self.connection)?;
        // Its log is copied into it, and both are synced.
        self.run("PRAGMA wal_checkpoint(TRUNCATE)")?;
        drop(self.connection);
        plain_file::sync_directory(self.directory.path()).map_err(failed)
    }

    fn run(&self, sql: &str) -> Result<()> {
        self.connection.execute_batch(sql).map_err(from_sqlite)
    }

    fn as_read(&self) -> Files<'_> {
        Files {
            connection: &self.connection,
            directory: &self.directory,
        }
    }
}

impl Original for NewFiles {
    fn columns(&self, table: &str) -> Result<Vec<String>> {
        self.as_read().columns(table)
    }

    fn schema(&self, kind: &str, tables: &[String]) -> Result<Vec<String>> {
        self.as_read().schema(kind, tables)
    }

    fn size(&self, table: &Table) -> Result<[i64; 2]> {
        self.as_read().size(table)
    }

    fn each_row(
        &self,
        table: &Table,
        visit: &mut dyn FnMut(&[Value<'_>]) -> Result<()>,
    ) -> Result<()> {
        self.as_read().each_row(table, visit)
    }

    fn each_chunk(&self, value: i64, visit: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        self.as_read().each_chunk(value, visit)
    }

    fn reached(&self) -> Result<Reached> {
        self.as_read().reached()
    }

    fn must_be_known(&self, tables: &BTreeSet<String>) -> Result<()> {
        self.as_read().must_be_known(tables)
    }
}

impl Copy for NewFiles {
    fn make_kind(&mut self, kind: &str, format: i64, schema: &[String]) -> Result<()> {
        schema.iter().try_for_each(|sql| self.run(sql))?;
        let added = self.connection.execute(ADD_KIND, (kind, format));
        added.map(drop).map_err(from_sqlite)
    }

    fn put_row(&mut self, table: &Table, row: &[Value<'_>]) -> Result<()> {
        let places: Vec<_> = (1..=row.len()).map(|n| format!("?{n}")).collect();
        let (name, columns) = (&table.name, table.columns.join(", "));
        let insert = format!(
            "INSERT INTO {name} ({columns}) VALUES ({})",
            places.join(", ")
        );
        let mut insert = self
            .connection
            .prepare_cached(&insert)
            .map_err(from_sqlite)?;
        bind(&mut insert, row)?;
        insert.raw_execute().map_err(from_sqlite)?;
        self.rows += 1;
        if self.rows.is_multiple_of(ROWS) {
            drop(insert);
            self.run("COMMIT; BEGIN IMMEDIATE")?;
        }
        Ok(())
    }

    fn end_table(&mut self, _: &Table) -> Result<()> {
        Ok(())
    }

    fn put_value(&mut self, id: i64, bytes: i64, stream: &mut Stream<'_>) -> Result<()> {
        let failed = |error| Error::io("can't write a value's file", error);
        let parent = self.directory.parent_of_value(id);
        plain_file::create_directory(&parent).map_err(failed)?;
        let mut file = plain_file::create(&self.directory.value(id)).map_err(failed)?;
        stream(&mut |chunk| file.write_all(chunk).map_err(failed))?;
        file.sync_all().map_err(failed)?;
        self.parents.insert(parent);
        let added = self.connection.execute(ADD_FILE, (id, bytes));
        added.map(drop).map_err(from_sqlite)
    }

    fn finish(&mut self, reached: Reached) -> Result<()> {
        let set = || {
            self.connection
                .execute(SET_ERA, [reached.token >> TOKENS])?;
            self.connection.execute(FORGET_LAST, [])?;
            self.connection.execute(SET_LAST, [reached.structure])
        };
        set().map_err(from_sqlite)?;
        self.run("COMMIT")
    }
}

fn value_of<'r>(value: ValueRef<'r>, table: &Table) -> Result<Value<'r>> {
    let strange = || {
        Error::new(
            ErrorKind::Corrupt,
            format!(
                "the table {} holds what diskette doesn't write: Store::check says what is damaged",
                table.name
            ),
        )
    };
    Ok(match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Int(number),
        ValueRef::Text(text) => Value::Text(str::from_utf8(text).map_err(|_| strange())?),
        ValueRef::Blob(bytes) => Value::Blob(bytes),
        ValueRef::Real(_) => return Err(strange()),
    })
}

fn bind(statement: &mut Statement<'_>, row: &[Value<'_>]) -> Result<()> {
    for (index, value) in row.iter().enumerate() {
        let value = match *value {
            Value::Null => ValueRef::Null,
            Value::Int(number) => ValueRef::Integer(number),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
            Value::Blob(bytes) => ValueRef::Blob(bytes),
        };
        let bound = statement.raw_bind_parameter(index + 1, ToSqlOutput::Borrowed(value));
        bound.map_err(from_sqlite)?;
    }
    Ok(())
}
