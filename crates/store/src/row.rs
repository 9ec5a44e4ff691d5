//! What goes into statements and comes out of them.

use rusqlite::types::ValueRef;

use crate::error::{Error, ErrorKind, Result, from_sqlite};
use crate::sqlite::value_file::StreamReader;
use crate::store::Store;

/// A parameter of a statement.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// SQL's NULL.
    Null,
    /// A 64-bit integer.
    Int(i64),
    /// UTF-8 text.
    Text(&'a str),
    /// Bytes.
    Blob(&'a [u8]),
}

impl Value<'_> {
    pub(crate) fn len(&self) -> usize {
        match self {
            Value::Null | Value::Int(_) => 0,
            Value::Text(text) => text.len(),
            Value::Blob(bytes) => bytes.len(),
        }
    }
}

impl From<i64> for Value<'_> {
    fn from(value: i64) -> Self {
        Value::Int(value)
    }
}

impl From<Option<i64>> for Value<'_> {
    fn from(value: Option<i64>) -> Self {
        value.map_or(Value::Null, Value::Int)
    }
}

impl From<bool> for Value<'_> {
    fn from(value: bool) -> Self {
        Value::Int(value.into())
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(value: &'a str) -> Self {
        Value::Text(value)
    }
}

impl<'a> From<Option<&'a str>> for Value<'a> {
    fn from(value: Option<&'a str>) -> Self {
        value.map_or(Value::Null, Value::Text)
    }
}

impl<'a> From<&'a [u8]> for Value<'a> {
    fn from(value: &'a [u8]) -> Self {
        Value::Blob(value)
    }
}

/// One row of a result; columns count from 0.
pub struct Row<'r>(pub(crate) Source<'r>);

/// Whose row it is.
pub(crate) enum Source<'r> {
    Sqlite(&'r rusqlite::Row<'r>),
    #[cfg(feature = "postgres")]
    Postgres(&'r tokio_postgres::Row, &'r crate::postgres::Work<'r>),
}

/// What is in a column.
pub(crate) enum Field<'r> {
    Null,
    Int(i64),
    Text(&'r [u8]),
    Blob(&'r [u8]),
    Other,
}

impl std::fmt::Debug for Row<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Source::Sqlite(row) => row.fmt(f),
            #[cfg(feature = "postgres")]
            Source::Postgres(row, _) => row.fmt(f),
        }
    }
}

impl Row<'_> {
    /// The integer in a column.
    pub fn int(&self, column: usize) -> Result<i64> {
        self.opt_int(column)?
            .ok_or_else(|| unexpected(column, "an integer"))
    }

    /// The integer in a column, or `None` for NULL.
    pub fn opt_int(&self, column: usize) -> Result<Option<i64>> {
        match self.field(column)? {
            Field::Null => Ok(None),
            Field::Int(value) => Ok(Some(value)),
            _ => Err(unexpected(column, "an integer")),
        }
    }

    /// The text in a column.
    pub fn text(&self, column: usize) -> Result<&str> {
        match self.field(column)? {
            Field::Text(text) => std::str::from_utf8(text).map_err(|_| unexpected(column, "UTF-8")),
            _ => Err(unexpected(column, "text")),
        }
    }

    /// The text in a column, or `None` for NULL.
    pub fn opt_text(&self, column: usize) -> Result<Option<&str>> {
        match self.field(column)? {
            Field::Null => Ok(None),
            _ => self.text(column).map(Some),
        }
    }

    /// The bytes in a column.
    pub fn blob(&self, column: usize) -> Result<&[u8]> {
        self.opt_blob(column)?
            .ok_or_else(|| unexpected(column, "bytes"))
    }

    /// The bytes in a column, or `None` for NULL.
    pub fn opt_blob(&self, column: usize) -> Result<Option<&[u8]>> {
        match self.field(column)? {
            Field::Null => Ok(None),
            Field::Blob(bytes) => Ok(Some(bytes)),
            _ => Err(unexpected(column, "bytes")),
        }
    }

    /// Opens the large value in a column of files.
    pub(crate) fn open(&self, store: &Store, column: usize) -> Result<StreamReader> {
        let id = self.int(column)?;
        match self.0 {
            Source::Sqlite(_) => store.open_file_here(id),
            // What a transaction has written nobody else sees.
            #[cfg(feature = "postgres")]
            Source::Postgres(_, work) => crate::postgres::open_value(work, id),
        }
    }

    fn field(&self, column: usize) -> Result<Field<'_>> {
        match self.0 {
            Source::Sqlite(row) => Ok(match row.get_ref(column).map_err(from_sqlite)? {
                ValueRef::Null => Field::Null,
                ValueRef::Integer(value) => Field::Int(value),
                ValueRef::Text(text) => Field::Text(text),
                ValueRef::Blob(bytes) => Field::Blob(bytes),
                ValueRef::Real(_) => Field::Other,
            }),
            #[cfg(feature = "postgres")]
            Source::Postgres(row, _) => match row.try_get::<_, crate::postgres::Column<'_>>(column)
            {
                Ok(column) => Ok(column.0),
                Err(error) => Err(crate::postgres::from_postgres(error)),
            },
        }
    }
}

fn unexpected(column: usize, wanted: &str) -> Error {
    Error::new(
        ErrorKind::Corrupt,
        format!(
            "column {column} of a row does not hold {wanted}: Store::check says what is damaged"
        ),
    )
}
