use std::sync::Arc;

use crate::access::Access;
use crate::db::Db;
use crate::directory::Identity;
use crate::error::{Error, ErrorKind, Result};
use crate::statement::fill;
use crate::store::Store;

/// A kind of structure: what the store has to know of it. The statements are templates, as in
/// [`statements!`](crate::statements).
#[derive(Debug)]
pub struct Kind {
    /// Its name in the catalog, and the beginning of its tables' names.
    pub name: &'static str,
    /// The format of its tables; grows when older versions can't use them any more.
    pub format: i64,
    /// Makes the tables of a new structure.
    pub schema: &'static [&'static str],
    /// How claims of dead processes are given back, if the kind has claims.
    pub claims: Option<Claims>,
}

/// How claims of dead processes are given back.
#[derive(Debug)]
pub struct Claims {
    /// The owners of claims: one column.
    pub owners: &'static str,
    /// Gives back what the owner `$1` holds.
    pub give_back: &'static [&'static str],
}

/// A structure in the catalog of a store: a name, a number, and tables that are called after them.
///
/// # Process safety
///
/// Processes that open a new name at once get the same structure.
#[derive(Debug)]
pub struct Structure {
    id: i64,
    name: String,
    kind: &'static Kind,
    table: String,
    store: String,
    identity: Identity,
}

impl Structure {
    /// Finds the structure, or makes it as `first` wants it: `first` runs in the transaction that
    /// makes the tables.
    ///
    /// # Errors
    ///
    /// [`is_invalid_input`](Error::is_invalid_input) for a name that is empty, longer than 255 bytes
    /// or has control characters; [`is_wrong_kind`](Error::is_wrong_kind) when the name belongs to
    /// another kind of structure or another codec; [`is_newer_format`](Error::is_newer_format).
    pub fn open(
        store: &Store,
        kind: &'static Kind,
        name: &str,
        codec: &'static str,
        first: impl FnOnce(&Db<'_>, &Structure) -> Result<()>,
    ) -> Result<Arc<Self>> {
        let place = || {
            format!(
                "opening the {} {name:?} in {}",
                kind.name,
                store.path().display()
            )
        };
        let open = || {
            check_name(name)?;
            let structure = match store.read_one(|db| find(db, kind, name, codec))? {
                Some(structure) => structure,
                None => store.write(|db| match find(db, kind, name, codec)? {
                    Some(structure) => Ok(structure),
                    None => create(db, kind, name, codec, first),
                })?,
            };
            let structure = Arc::new(structure);
            if kind.claims.is_some() {
                store.undertake(&structure)?;
            }
            Ok(structure)
        };
        open().map_err(|error: Error| error.at(place))
    }

    /// Its number in the store; never changes.
    pub fn id(&self) -> i64 {
        self.id
    }

    /// Its name in the store.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name of its table, and the beginning of those of others it has.
    pub fn table(&self) -> &str {
        &self.table
    }

    /// The line of the doorbell that wakes those who wait for something to come into it.
    pub fn arrivals(&self) -> usize {
        usize::try_from(self.id).unwrap_or(0) * 2
    }

    /// The line of the doorbell that wakes those who wait for something to leave it.
    pub fn departures(&self) -> usize {
        self.arrivals() + 1
    }

    /// A template's text for this structure.
    pub fn fill(&self, template: &str) -> String {
        fill(template, &self.table, self.id)
    }

    /// Refuses a transaction of another store.
    ///
    /// # Errors
    ///
    /// [`is_misuse`](Error::is_misuse).
    pub fn must_be_in(&self, store: &Store) -> Result<()> {
        if self.identity == store.identity() {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Misuse,
            format!(
                "the transaction is one of another store, {}",
                store.path().display()
            ),
        ))
    }

    /// Says in an error what was done, and where.
    ///
    /// # Errors
    ///
    /// That of `result`.
    pub fn doing<R>(&self, verb: &str, result: Result<R>) -> Result<R> {
        result.map_err(|error| {
            error.at(|| {
                format!(
                    "{verb} on the {} {:?} in {}",
                    self.kind.name, self.name, self.store
                )
            })
        })
    }

    pub(crate) fn claims(&self) -> Option<&'static Claims> {
        self.kind.claims.as_ref()
    }
}

fn check_name(name: &str) -> Result<()> {
    let wrong = if name.is_empty() {
        "is empty"
    } else if name.len() > 255 {
        "has more than 255 bytes"
    } else if name.chars().any(char::is_control) {
        "has control characters"
    } else {
        return Ok(());
    };
    Err(Error::new(
        ErrorKind::InvalidInput,
        format!("the name {wrong}; a structure's name has 1 to 255 bytes of printable text"),
    ))
}

fn find(db: &Db<'_>, kind: &'static Kind, name: &str, codec: &str) -> Result<Option<Structure>> {
    db.query_one(
        "SELECT id, kind, format, codec FROM structures WHERE name = $1",
        &[name.into()],
        |row| {
            let (found, format, written) = (row.text(1)?, row.int(2)?, row.text(3)?);
            if found != kind.name {
                return Err(Error::new(
                    ErrorKind::WrongKind,
                    format!("this name belongs to a structure of kind {found}: open it as that, or choose another name"),
                ));
            }
            if format > kind.format {
                return Err(Error::new(
                    ErrorKind::NewerFormat,
                    format!("it has format {format}, this diskette knows formats up to {}: update diskette", kind.format),
                ));
            }
            if written != codec {
                return Err(Error::new(
                    ErrorKind::WrongKind,
                    format!("it was written with the codec {written}, and asked for with {codec}: open it with {written}"),
                ));
            }
            Ok(named(db, kind, name, row.int(0)?))
        },
    )
}

fn create(
    db: &Db<'_>,
    kind: &'static Kind,
    name: &str,
    codec: &str,
    first: impl FnOnce(&Db<'_>, &Structure) -> Result<()>,
) -> Result<Structure> {
    let id = db
        .query_one(
            "INSERT INTO structures (name, kind, format, codec) VALUES ($1, $2, $3, $4) RETURNING id",
            &[name.into(), kind.name.into(), kind.format.into(), codec.into()],
            |row| row.int(0),
        )?
        .ok_or_else(|| Error::new(ErrorKind::Corrupt, "the catalog gave no number to a new structure"))?;
    let structure = named(db, kind, name, id);
    for template in kind.schema {
        db.execute(&structure.fill(template), &[])?;
    }
    first(db, &structure)?;
    Ok(structure)
}

fn named(db: &Db<'_>, kind: &'static Kind, name: &str, id: i64) -> Structure {
    Structure {
        id,
        name: name.to_owned(),
        kind,
        table: format!("{}_{id}", kind.name),
        store: db.store().path().display().to_string(),
        identity: db.store().identity(),
    }
}
