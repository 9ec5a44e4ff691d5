use crate::error::{Error, ErrorKind, Result};
use crate::row::Value;

/// A table as it is copied.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(crate) name: String,
    pub(crate) columns: Vec<String>,
    /// Where the values are, if it has some.
    value: Option<usize>,
}

/// What is in a column, for who keeps it.
#[derive(Clone, Debug)]
pub(crate) enum Datum {
    Null,
    Int(i64),
    Text(String),
    Blob(Vec<u8>),
}

impl Table {
    pub(crate) const KINDS: &str = "kinds";
    pub(crate) const VALUE_FILES: &str = "value_files";

    /// Its name and columns become part of statements: nothing but a name may.
    pub(crate) fn new(name: String, columns: Vec<String>) -> Result<Self> {
        if !is_name(&name) || columns.is_empty() || !columns.iter().all(|it| is_name(it)) {
            return Err(damaged());
        }
        Ok(Table {
            value: columns.iter().position(|column| column == "value"),
            name,
            columns,
        })
    }

    /// What every store has, and what is true of it elsewhere too.
    pub(crate) fn of_the_catalog() -> Vec<Self> {
        vec![
            Self::of("structures", &["id", "name", "kind", "codec"]),
            Self::of(Self::KINDS, &["name", "format"]),
            Self::of("tables", &["name", "kind", "whose", "items"]),
            Self::value_files(),
            Self::of("removed", &["id", "kind"]),
            Self::of("fences", &["structure", "slot", "token"]),
            Self::of("timelines", &["id", "boot", "uptime", "wall", "time"]),
        ]
    }

    /// The kinds with their formats and tables, a table a row, as they are at one moment.
    pub(crate) fn of_kinds() -> Self {
        Self::of(
            "kinds LEFT JOIN tables ON kind = kinds.name",
            &["kinds.name", "format", "tables.name"],
        )
    }

    pub(crate) fn value_files() -> Self {
        Self::of(Self::VALUE_FILES, &["id", "bytes"])
    }

    fn of(name: &str, columns: &[&str]) -> Self {
        Table {
            name: name.into(),
            columns: columns.iter().map(|&column| column.into()).collect(),
            value: None,
        }
    }

    /// That of a row: tables are compared and copied by ranges of it, if it is a number. There is an index by it.
    pub(crate) fn key(&self) -> &str {
        &self.columns[0]
    }

    pub(crate) fn select(&self) -> String {
        format!("SELECT {} FROM {}", self.columns.join(", "), self.name)
    }

    /// Adds a row, unless one is in its way.
    pub(crate) fn insert_what_goes(&self) -> String {
        let places: Vec<_> = (1..=self.columns.len()).map(|n| format!("${n}")).collect();
        format!(
            "INSERT INTO {} ({}) VALUES ({}) ON CONFLICT DO NOTHING",
            self.name,
            self.columns.join(", "),
            places.join(", ")
        )
    }

    /// How many rows there are, and what their values take in bytes.
    pub(crate) fn select_size(&self) -> String {
        let bytes = match self.value {
            Some(_) => "CAST(coalesce(sum(length(value)), 0) AS BIGINT)",
            None => "CAST(0 AS BIGINT)",
        };
        format!("SELECT count(*), {bytes} FROM {}", self.name)
    }

    /// What the value of a row takes.
    pub(crate) fn bytes_of(&self, row: &[Value<'_>]) -> i64 {
        let value = self.value.and_then(|at| row.get(at));
        value.map_or(0, |value| i64::try_from(value.len()).unwrap_or(i64::MAX))
    }
}

impl Datum {
    pub(crate) fn value(&self) -> Value<'_> {
        match self {
            Datum::Null => Value::Null,
            Datum::Int(number) => Value::Int(*number),
            Datum::Text(text) => Value::Text(text),
            Datum::Blob(bytes) => Value::Blob(bytes),
        }
    }
}

impl From<Value<'_>> for Datum {
    fn from(value: Value<'_>) -> Self {
        match value {
            Value::Null => Datum::Null,
            Value::Int(number) => Datum::Int(number),
            Value::Text(text) => Datum::Text(text.to_owned()),
            Value::Blob(bytes) => Datum::Blob(bytes.to_owned()),
        }
    }
}

pub(crate) fn int(row: &[Value<'_>], column: usize) -> Result<i64> {
    match row.get(column) {
        Some(Value::Int(number)) => Ok(*number),
        _ => Err(damaged()),
    }
}

pub(crate) fn text(row: &[Value<'_>], column: usize) -> Result<String> {
    match row.get(column) {
        Some(Value::Text(text)) => Ok((*text).to_owned()),
        _ => Err(damaged()),
    }
}

pub(crate) fn name(row: &[Value<'_>], column: usize) -> Result<String> {
    let name = text(row, column)?;
    if is_name(&name) {
        Ok(name)
    } else {
        Err(damaged())
    }
}

fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    !name.is_empty() && name.bytes().all(plain)
}

pub(crate) fn damaged() -> Error {
    Error::new(
        ErrorKind::Corrupt,
        "the catalog doesn't say what tables there are: Store::check says what is damaged",
    )
}
