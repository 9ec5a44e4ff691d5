//! A database of this engine that is copied to another engine, or from one: see [`moving`](crate::moving).

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};

use diskette_ipc::plain_file;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, OptionalExtension, Statement, params_from_iter};

use crate::error::{Error, ErrorKind, Result, from_sqlite};
use crate::moving::{ALL, Copy, Original, ROW, Reached, Span, Stream, Table};
use crate::options::Durability;
use crate::row::Value;
use crate::sqlite::Sqlite;
use crate::sqlite::catalog;
use crate::sqlite::connection::{self, Role};
use crate::sqlite::directory::Directory;

const COLUMNS: &str = "SELECT name FROM pragma_table_info(?1) ORDER BY cid";
const MADE_BY: &str = "SELECT sql FROM sqlite_master WHERE tbl_name = ?1 AND sql IS NOT NULL ORDER BY type DESC, rowid";
const TABLES: &str =
    "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite~_%' ESCAPE '~'";
const LAST: &str = "SELECT seq FROM sqlite_sequence WHERE name = 'structures'";
const ERA: &str = "SELECT max(era) FROM boards";
const SHOWN: &str = "SELECT max(token) FROM fences";
const ADD_KIND: &str = "INSERT INTO kinds (name, format) VALUES (?1, ?2)";
const ADD_FILE: &str = "INSERT INTO value_files (id, bytes) VALUES (?1, ?2)";
const REMOVE_FILE: &str = "DELETE FROM value_files WHERE id = ?1";
const SET_ERA: &str = "INSERT INTO boards (id, era) VALUES (1, ?1)";
const FORGET_LAST: &str = "DELETE FROM sqlite_sequence WHERE name = 'structures'";
const SET_LAST: &str = "INSERT INTO sqlite_sequence (name, seq) VALUES ('structures', ?1)";

/// Tokens of one era of the board have all bits but these in common.
const TOKENS: u32 = 40;

/// What is read at a time of a large value.
const CHUNK: usize = 1024 * 1024;

/// So many rows are committed at a time, of a copy that nobody can open yet.
const ROWS: usize = 1000;

/// So many bytes are read at a time while others write, about: as long as something is read, the log can't be begun anew.
const AT_ONCE: usize = 4 * 1024 * 1024;

/// A database and its value files.
pub(crate) struct Files<'c> {
    pub(crate) connection: Reach<'c>,
    pub(crate) directory: &'c Directory,
}

#[derive(Clone, Copy)]
pub(crate) enum Reach<'c> {
    /// By one connection, and nobody writes meanwhile.
    Kept(&'c Connection),
    /// By one that is lent anew for everything that is read.
    Lent(&'c Sqlite),
}

impl Reach<'_> {
    fn read<R>(self, read: impl FnOnce(&Connection) -> Result<R>) -> Result<R> {
        match self {
            Reach::Kept(connection) => read(connection),
            Reach::Lent(store) => read(store.readers().lend(store)?.connection()?),
        }
    }

    fn at_once(self) -> usize {
        match self {
            Reach::Kept(_) => usize::MAX,
            Reach::Lent(_) => AT_ONCE,
        }
    }
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
        let size = |connection: &Connection| connection.query_row(&table.select_size(), [], both);
        self.connection
            .read(|connection| size(connection).map_err(from_sqlite))
    }

    fn each_row(
        &self,
        table: &Table,
        spans: &[Span],
        visit: &mut dyn FnMut(&[Value<'_>]) -> Result<()>,
    ) -> Result<()> {
        let at_once = self.connection.at_once();
        for span in spans {
            let mut rest = Some(span.clone());
            while let Some(span) = rest {
                let some = |it: &Connection| each_of(it, table, span, at_once, visit);
                rest = self.connection.read(some)?;
            }
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
            self.connection.read(|connection| {
                let found = connection.query_row(sql, [], |row| row.get(0));
                let found: Option<Option<i64>> = found.optional().map_err(from_sqlite)?;
                Ok(found.flatten().unwrap_or(0))
            })
        };
        let of_the_board = ((number(ERA)? + 1) << TOKENS) - 1;
        Ok(Reached {
            structure: number(LAST)?,
            token: of_the_board.max(number(SHOWN)?),
        })
    }

    fn must_be_known(&self, tables: &BTreeSet<String>) -> Result<()> {
        let ours = catalog::tables_of_a_new_store()?;
        for table in self.names(TABLES, &[])? {
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
        self.connection.read(|connection| {
            let mut names = connection.prepare(sql).map_err(from_sqlite)?;
            let names = names
                .query_map(params, |row| row.get(0))
                .and_then(Iterator::collect);
            names.map_err(from_sqlite)
        })
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
            connection: Reach::Kept(&self.connection),
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
        spans: &[Span],
        visit: &mut dyn FnMut(&[Value<'_>]) -> Result<()>,
    ) -> Result<()> {
        self.as_read().each_row(table, spans, visit)
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

    fn end_rows(&mut self, _: &Table) -> Result<()> {
        Ok(())
    }

    fn remove_rows(&mut self, table: &Table, spans: &[Span]) -> Result<()> {
        let (name, key) = (&table.name, table.key());
        let remove = format!("DELETE FROM {name} WHERE {key} BETWEEN ?1 AND ?2");
        let mut remove = self.connection.prepare(&remove).map_err(from_sqlite)?;
        spans.iter().try_for_each(|span| {
            let removed = remove.execute([span.start(), span.end()]);
            removed.map(drop).map_err(from_sqlite)
        })
    }

    /// They came with their tables.
    fn make_indexes(&mut self) -> Result<()> {
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

    fn remove_value(&mut self, id: i64) -> Result<()> {
        let removed = self.connection.execute(REMOVE_FILE, [id]);
        removed.map_err(from_sqlite)?;
        let failed = |error| Error::io("can't remove a value's file", error);
        fs::remove_file(self.directory.value(id)).map_err(failed)
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

/// Rows in a span, of so many bytes, and all that have the last one's key; the span in which there may be more.
fn each_of(
    connection: &Connection,
    table: &Table,
    span: Span,
    at_once: usize,
    visit: &mut dyn FnMut(&[Value<'_>]) -> Result<()>,
) -> Result<Option<Span>> {
    let (select, key) = (table.select(), table.key());
    let (select, bounds) = match span == ALL {
        true => (format!("{select} ORDER BY {key}"), None),
        false => {
            let bounds = [*span.start(), *span.end()];
            let within = format!("{select} WHERE {key} BETWEEN ?1 AND ?2 ORDER BY {key}");
            (within, Some(bounds))
        }
    };
    let mut select = connection.prepare_cached(&select).map_err(from_sqlite)?;
    let bounds = bounds.iter().flatten();
    let mut rows = select
        .query(params_from_iter(bounds))
        .map_err(from_sqlite)?;
    let (mut read, mut last) = (0, None);
    while let Some(row) = rows.next().map_err(from_sqlite)? {
        let value = |column| value_of(row.get_ref(column).map_err(from_sqlite)?, table);
        let values = (0..table.columns.len()).map(value);
        let values = values.collect::<Result<Vec<_>>>()?;
        if let Some(&Value::Int(key)) = values.first() {
            if read >= at_once && last != Some(key) {
                return Ok(Some(key..=*span.end()));
            }
            last = Some(key);
        }
        visit(&values)?;
        read += ROW + values.iter().map(Value::len).sum::<usize>();
    }
    Ok(None)
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
