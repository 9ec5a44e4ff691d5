//! A schema that is copied to another engine, or from one: see [`moving`](crate::moving).

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio_postgres::error::SqlState;

use crate::error::{Error, ErrorKind, Result};
use crate::moving::{ALL, Copy, Datum, Original, Reached, Span, Stream, Table};
use crate::postgres::connection::Connection;
use crate::postgres::dialect;
use crate::postgres::failure::{from_postgres, is_state};
use crate::postgres::parameter::Column;
use crate::row::{Field, Value};

const COLUMNS: &str = "SELECT attname FROM pg_attribute \
    WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped ORDER BY attnum";
const NUMBERED: &str = "SELECT relname, attname FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid \
    JOIN pg_namespace ON pg_namespace.oid = relnamespace WHERE nspname = $1 AND attidentity <> ''";
const SCHEMA: &str = "SELECT schema FROM kinds WHERE name = $1";
const ADD_KIND: &str = "INSERT INTO kinds (name, format, schema) VALUES ($1, $2, $3)";
const LAST: &str = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM structures_id_seq";
const TOKEN: &str = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM tokens";
const SET_LAST: &str =
    "SELECT setval('structures_id_seq', greatest(CAST($1 AS BIGINT), 1), CAST($1 AS BIGINT) > 0)";
const SET_TOKEN: &str =
    "SELECT setval('tokens', greatest(CAST($1 AS BIGINT), 1), CAST($1 AS BIGINT) > 0)";
const OBJECT: &str = "SELECT object FROM value_files WHERE id = $1";
const GET: &str = "SELECT lo_get($1, $2, $3)";
const PUT: &str = "SELECT 1 FROM (SELECT lo_put($1, $2, $3)) AS done";
const LINK: &str = "INSERT INTO value_files (id, bytes, object) \
    VALUES ($1, $2, CAST(lo_create(0) AS BIGINT)) RETURNING object";
const FORGET: &str =
    "DELETE FROM value_files WHERE id = $1 RETURNING lo_unlink(CAST(object AS OID))";

/// What is read at a time of a large value.
const CHUNK: i64 = 1024 * 1024;

/// Rows are fetched and sent by so many bytes, about, and never more rows.
const BYTES: usize = 4 * 1024 * 1024;
const ROWS: usize = 8192;

/// How long the server may take to make an index.
const PATIENCE: Duration = Duration::from_secs(4 * 3600);

/// A schema, in a transaction of a connection of its own.
pub(crate) struct Tables<'c> {
    connection: &'c Connection,
    schema: String,
}

/// A copy that is being made in a schema, which is there with what every store has.
pub(crate) struct NewTables<'c> {
    made: Tables<'c>,
    /// Rows of one table that are yet to be sent.
    rows: Vec<Vec<Datum>>,
    bytes: usize,
    /// What makes the indexes of new tables, once the rows are there.
    indexes: Vec<String>,
}

impl<'c> Tables<'c> {
    pub(crate) fn of(connection: &'c Connection, schema: &str) -> Self {
        Tables {
            connection,
            schema: schema.to_owned(),
        }
    }

    fn here(&self) -> Result<&'c Connection> {
        self.connection.go_to(&self.schema)?;
        Ok(self.connection)
    }

    fn names(&self, sql: &str, table: &str) -> Result<Vec<String>> {
        let rows = self.here()?.query(sql, &[table.into()])?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    fn number(&self, sql: &str, params: &[Value<'_>]) -> Result<Option<i64>> {
        let rows = self.here()?.query(sql, params)?;
        rows.first()
            .map(|row| row.try_get(0).map_err(from_postgres))
            .transpose()
    }
}

impl Original for Tables<'_> {
    fn columns(&self, table: &str) -> Result<Vec<String>> {
        self.names(COLUMNS, table)
    }

    fn schema(&self, kind: &str, _: &[String]) -> Result<Vec<String>> {
        let schema = self.names(SCHEMA, kind)?;
        let lines = schema.iter().flat_map(|schema| schema.lines());
        Ok(lines.map(str::to_owned).collect())
    }

    fn size(&self, table: &Table) -> Result<[i64; 2]> {
        let rows = self.here()?.query(&table.select_size(), &[])?;
        Ok(rows.first().map_or([0, 0], |row| [row.get(0), row.get(1)]))
    }

    fn each_row(
        &self,
        table: &Table,
        spans: &[Span],
        visit: &mut dyn FnMut(&[Value<'_>]) -> Result<()>,
    ) -> Result<()> {
        // The client keeps what it knows of a cursor by its name.
        static CURSORS: AtomicU64 = AtomicU64::new(0);
        let connection = self.here()?;
        let cursor = format!("cursor_{}", CURSORS.fetch_add(1, Ordering::Relaxed));
        let select = match spans {
            [span] if *span == ALL => table.select(),
            _ => format!("{}, {}", table.select(), within(table, spans)),
        };
        connection.batch(&format!("DECLARE {cursor} NO SCROLL CURSOR FOR {select}"))?;
        let mut at_once = 16;
        loop {
            let fetch = format!("FETCH {at_once} FROM {cursor}");
            let rows = connection.query(&fetch, &[])?;
            let mut bytes = 0;
            for row in &rows {
                let value = |column| {
                    let found = row.try_get::<_, Column<'_>>(column);
                    value_of(&found.map_err(from_postgres)?.0)
                };
                let values = (0..table.columns.len()).map(value);
                let values = values.collect::<Result<Vec<_>>>()?;
                bytes += values.iter().map(Value::len).sum::<usize>();
                visit(&values)?;
            }
            if rows.len() < at_once {
                break;
            }
            at_once = match bytes {
                few if few < BYTES / 4 => (at_once * 2).min(ROWS),
                many if many > BYTES => (at_once / 2).max(1),
                _ => at_once,
            };
        }
        connection.batch(&format!("CLOSE {cursor}"))
    }

    fn each_chunk(&self, value: i64, visit: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let Some(object) = self.number(OBJECT, &[value.into()])? else {
            return Ok(());
        };
        let mut at = 0_i64;
        loop {
            let part = [object.into(), at.into(), CHUNK.into()];
            let rows = self.connection.query(GET, &part)?;
            let chunk: &[u8] = rows.first().map_or(&[], |row| row.get(0));
            if chunk.is_empty() {
                return Ok(());
            }
            visit(chunk)?;
            at += chunk.len() as i64;
        }
    }

    fn reached(&self) -> Result<Reached> {
        Ok(Reached {
            structure: self.number(LAST, &[])?.unwrap_or(0),
            token: self.number(TOKEN, &[])?.unwrap_or(0),
        })
    }

    fn must_be_known(&self, _: &BTreeSet<String>) -> Result<()> {
        Ok(())
    }
}

impl<'c> NewTables<'c> {
    pub(crate) fn in_schema(connection: &'c Connection, schema: &str) -> Self {
        NewTables {
            made: Tables::of(connection, schema),
            rows: Vec::new(),
            bytes: 0,
            indexes: Vec::new(),
        }
    }
}

impl Original for NewTables<'_> {
    fn columns(&self, table: &str) -> Result<Vec<String>> {
        self.made.columns(table)
    }

    fn schema(&self, kind: &str, tables: &[String]) -> Result<Vec<String>> {
        self.made.schema(kind, tables)
    }

    fn size(&self, table: &Table) -> Result<[i64; 2]> {
        self.made.size(table)
    }

    fn each_row(
        &self,
        table: &Table,
        spans: &[Span],
        visit: &mut dyn FnMut(&[Value<'_>]) -> Result<()>,
    ) -> Result<()> {
        self.made.each_row(table, spans, visit)
    }

    fn each_chunk(&self, value: i64, visit: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        self.made.each_chunk(value, visit)
    }

    fn reached(&self) -> Result<Reached> {
        self.made.reached()
    }

    fn must_be_known(&self, tables: &BTreeSet<String>) -> Result<()> {
        self.made.must_be_known(tables)
    }
}

impl Copy for NewTables<'_> {
    fn make_kind(&mut self, kind: &str, format: i64, schema: &[String]) -> Result<()> {
        let connection = self.made.here()?;
        let (indexes, others): (Vec<_>, Vec<_>) = dialect::tables(schema)
            .into_iter()
            .partition(|sql| sql.starts_with("CREATE INDEX "));
        for sql in &others {
            connection.execute(sql, &[])?;
        }
        self.indexes.extend(indexes);
        let lines = schema.join("\n");
        let row = [kind.into(), format.into(), lines.as_str().into()];
        connection.execute(ADD_KIND, &row)?;
        Ok(())
    }

    fn put_row(&mut self, table: &Table, row: &[Value<'_>]) -> Result<()> {
        let has_zero =
            |value: &Value<'_>| matches!(value, Value::Text(text) if text.contains('\0'));
        if row.iter().any(has_zero) {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                format!(
                    "a text in the table {} has a character 0, which PostgreSQL can't store: remove or replace that entry",
                    table.name
                ),
            ));
        }
        self.rows
            .push(row.iter().map(|&value| value.into()).collect());
        self.bytes += row.iter().map(Value::len).sum::<usize>();
        match self.rows.len() >= ROWS || self.bytes >= BYTES {
            true => self.send(table),
            false => Ok(()),
        }
    }

    fn end_rows(&mut self, table: &Table) -> Result<()> {
        self.send(table)
    }

    fn remove_rows(&mut self, table: &Table, spans: &[Span]) -> Result<()> {
        let within = within(table, spans);
        let connection = self.made.here()?;
        connection.batch(&format!("DELETE FROM {} USING {within}", table.name))
    }

    fn make_indexes(&mut self) -> Result<()> {
        let connection = self.made.here()?;
        std::mem::take(&mut self.indexes)
            .iter()
            .try_for_each(|sql| connection.execute_for(sql, PATIENCE).map(drop))
    }

    fn put_value(&mut self, id: i64, bytes: i64, stream: &mut Stream<'_>) -> Result<()> {
        let object = self.made.number(LINK, &[id.into(), bytes.into()])?;
        let object = object.unwrap_or_default();
        let connection = self.made.connection;
        let mut at = 0_i64;
        stream(&mut |chunk| {
            let part = [object.into(), at.into(), chunk.into()];
            connection.query(PUT, &part)?;
            at += chunk.len() as i64;
            Ok(())
        })
    }

    fn remove_value(&mut self, id: i64) -> Result<()> {
        self.made.here()?.query(FORGET, &[id.into()]).map(drop)
    }

    fn finish(&mut self, reached: Reached) -> Result<()> {
        let connection = self.made.here()?;
        // Where numbers are given by themselves, they go on behind those that are there.
        for numbered in connection.query(NUMBERED, &[self.made.schema.as_str().into()])? {
            let (table, column): (&str, &str) = (numbered.get(0), numbered.get(1));
            connection.batch(&format!(
                "SELECT setval(pg_get_serial_sequence('{table}', '{column}'), last) \
                 FROM (SELECT max({column}) AS last FROM {table}) AS numbers WHERE last > 0"
            ))?;
        }
        self.made.number(SET_LAST, &[reached.structure.into()])?;
        self.made.number(SET_TOKEN, &[reached.token.into()])?;
        Ok(())
    }
}

impl NewTables<'_> {
    /// All at once; if one is in the way of another, as many as go.
    fn send(&mut self, table: &Table) -> Result<()> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let connection = self.made.here()?;
        connection.batch("SAVEPOINT sending")?;
        match connection.copy_in(table, &self.rows) {
            Err(error) if is_state(&error, &SqlState::UNIQUE_VIOLATION) => {
                connection.batch("ROLLBACK TO sending")?;
                let insert = table.insert_what_goes();
                let request = |row: &Vec<Datum>| {
                    let values: Vec<_> = row.iter().map(Datum::value).collect();
                    connection.request(&insert, &values)
                };
                let requests = self.rows.iter().map(request);
                connection.send(&requests.collect::<Result<Vec<_>>>()?)?;
            }
            sent => sent?,
        }
        connection.batch("RELEASE sending")?;
        self.rows.clear();
        self.bytes = 0;
        Ok(())
    }
}

/// What else than the table there is in a statement, so that it is about the rows of some spans.
fn within(table: &Table, spans: &[Span]) -> String {
    let bounds = spans.iter().map(|span| {
        let (from, to) = (span.start(), span.end());
        format!("(CAST('{from}' AS BIGINT), CAST('{to}' AS BIGINT))")
    });
    format!(
        "(VALUES {}) AS spans (span_from, span_to) WHERE {} BETWEEN span_from AND span_to",
        bounds.collect::<Vec<_>>().join(", "),
        table.key()
    )
}

fn value_of<'r>(field: &Field<'r>) -> Result<Value<'r>> {
    let strange = || {
        Error::new(
            ErrorKind::Corrupt,
            "a table holds what diskette doesn't write",
        )
    };
    Ok(match field {
        Field::Null => Value::Null,
        Field::Int(number) => Value::Int(*number),
        Field::Text(text) => Value::Text(str::from_utf8(text).map_err(|_| strange())?),
        Field::Blob(bytes) => Value::Blob(bytes),
        Field::Other => return Err(strange()),
    })
}
