use diskette_ipc::OwnerId;

use crate::db::Db;
use crate::error::{Error, ErrorKind, Result};

/// A kind of structure: what the store has to know of it.
#[derive(Debug)]
pub struct Kind {
    /// Its name in the catalog.
    pub name: &'static str,
    /// The format of its tables; grows when older versions can't use them any more.
    pub format: i64,
    /// Makes the tables that its structures have together, if they aren't there: each table with its first column as `INTEGER PRIMARY KEY`, or
    /// with a key of its own, and behind it its indexes, which end with that first column as they do on SQLite by themselves.
    pub schema: &'static [&'static str],
    /// These tables.
    pub tables: &'static [Table],
    /// Brings the structure with the number `{id}`, of the format before, into these tables.
    pub bring_over: &'static [&'static str],
    /// How claims of dead processes are given back, if the kind has claims.
    pub claims: Option<Claims>,
}

/// A table that all structures of a kind have together. The store writes down in the catalog what it has to know of it, so that
/// any process can count what a structure has, and remove it.
#[derive(Debug)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// Whose a row is, says this column.
    pub column: &'static str,
    /// Whether the rows are items, numbered within the structure's [`Share`](crate::Share), with the columns `file` and `value`, of which one
    /// isn't NULL where there is a value. Else the column has the structure's own number.
    pub items: bool,
}

impl Table {
    /// One of items.
    pub const fn of_items(name: &'static str, column: &'static str) -> Self {
        Table {
            name,
            column,
            items: true,
        }
    }

    /// One that says something of each structure.
    pub const fn of_structures(name: &'static str, column: &'static str) -> Self {
        Table {
            name,
            column,
            items: false,
        }
    }
}

/// How claims of dead processes are given back.
#[derive(Debug)]
pub struct Claims {
    /// The owners of claims in the structure `$1`: one column.
    pub owners: &'static str,
    /// The numbers of the structures in which the owner `$1` has claims: one column.
    pub structures: &'static str,
    /// Gives back what an owner holds, in all structures.
    pub give_back: GiveBack,
}

/// What gives back what an owner holds.
#[derive(Debug)]
pub enum GiveBack {
    /// Statements, with the owner as `$1`.
    Statements(&'static [&'static str]),
    /// A function, where more is to be decided than statements say. It may be called twice for an owner.
    Function(fn(&Db<'_>, OwnerId) -> Result<()>),
}

impl GiveBack {
    pub(crate) fn run(&self, db: &Db<'_>, owner: OwnerId) -> Result<()> {
        match self {
            GiveBack::Statements(statements) => statements
                .iter()
                .try_for_each(|sql| db.execute(sql, &[owner.as_i64().into()]).map(drop)),
            GiveBack::Function(give_back) => give_back(db, owner),
        }
    }
}

const FORMAT: &str = "SELECT format FROM kinds WHERE name = $1";
const SET_FORMAT: &str = "INSERT INTO kinds (name, format) VALUES ($1, $2) \
    ON CONFLICT (name) DO UPDATE SET format = excluded.format";
const ADD_TABLE: &str = "INSERT INTO tables (name, kind, whose, items) VALUES ($1, $2, $3, $4) \
    ON CONFLICT (name) DO NOTHING";
const OF_KIND: &str = "SELECT id FROM structures WHERE kind = $1";

impl Kind {
    /// Are its tables those of the format before?
    pub(crate) fn is_behind(&self, db: &Db<'_>) -> Result<bool> {
        let found = db.query_one(FORMAT, &[self.name.into()], |row| row.int(0))?;
        Ok(found.is_some_and(|format| format < self.format))
    }

    /// Makes the tables of the kind, if they are missing, or of the format before.
    pub(crate) fn prepare(&self, db: &Db<'_>) -> Result<()> {
        let found = db.query_one(FORMAT, &[self.name.into()], |row| row.int(0))?;
        let before = found.filter(|&format| format < self.format);
        if found.is_some() && before.is_none() {
            return self.must_know(found.unwrap_or_default());
        }
        db.make_tables(self.schema)?;
        for table in self.tables {
            let (name, column) = (table.name.into(), table.column.into());
            let row = [name, self.name.into(), column, table.items.into()];
            db.execute(ADD_TABLE, &row)?;
        }
        if before.is_some() {
            for id in db.query(OF_KIND, &[self.name.into()], |row| row.int(0))? {
                for template in self.bring_over {
                    db.execute(&template.replace("{id}", &id.to_string()), &[])?;
                }
            }
        }
        db.execute(SET_FORMAT, &[self.name.into(), self.format.into()])?;
        db.keep_schema(self.name, self.schema)
    }

    /// Refuses a format that a newer version wrote.
    pub(crate) fn must_know(&self, format: i64) -> Result<()> {
        if format <= self.format {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::NewerFormat,
            format!(
                "it has format {format}, this diskette knows formats up to {}: update diskette",
                self.format
            ),
        ))
    }
}
