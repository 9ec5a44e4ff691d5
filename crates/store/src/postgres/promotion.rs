//! The place in a database that a store moves to.

use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};
use crate::moving::{self, Meter, Original};
use crate::options::Options;
use crate::postgres::Postgres;
use crate::postgres::address::Address;
use crate::postgres::catalog;
use crate::postgres::connection::Connection;
use crate::postgres::dialect::quoted;
use crate::postgres::moving::NewTables;
use crate::postgres::shards::{LIKE, prefix, schema_of};
use crate::shards::ShardSet;
use crate::sqlite::Moved;

const ARRIVED: &str = "UPDATE stores SET arriving = FALSE WHERE identity = $1 AND arriving";

pub(crate) struct NewPlace {
    text: String,
    address: Address,
    connection: Connection,
    identity: i64,
}

impl NewPlace {
    /// Refuses one where there is something, unless it is what the same move has left that is asked for again.
    pub(crate) fn find(text: &str, identity: i64, again: bool, timeout: Duration) -> Result<Self> {
        let address = Address::parse(text)?;
        let connection = Connection::open(&address.config, &address.trust, timeout)?;
        let second = Connection::open(&address.config, &address.trust, timeout)?;
        connection.must_be_a_session(&second)?;
        let place = NewPlace {
            text: text.to_owned(),
            address,
            connection,
            identity,
        };
        let there = catalog::find(&place.connection, &place.address.schema)?;
        match there {
            None => Ok(place),
            Some(Some(known)) if again && known.identity == identity && known.arriving => Ok(place),
            Some(_) => Err(Error::new(
                ErrorKind::InvalidInput,
                format!(
                    "there is a schema {:?} in this database already: name another store",
                    place.address.schema
                ),
            )),
        }
    }

    pub(crate) fn identity(&self) -> i64 {
        self.identity
    }

    pub(crate) fn address(&self) -> &str {
        &self.text
    }

    pub(crate) fn shown(&self) -> String {
        self.address.shown.display().to_string()
    }

    /// Removes what there is of this move, if it wasn't decided.
    pub(crate) fn clear(&self) -> Result<()> {
        if !self.connection.is_open() {
            return Err(crate::postgres::failure::lost());
        }
        let schema = &self.address.schema;
        let mut schemas = Vec::new();
        if let Some(Some(known)) = catalog::find(&self.connection, schema)?
            && known.identity == self.identity
            && known.arriving
        {
            schemas.push(schema.clone());
        }
        let prefix = prefix(self.identity);
        let shards = self.connection.query(LIKE, &[prefix.as_str().into()])?;
        schemas.extend(shards.iter().map(|row| row.get::<_, String>(0)));
        for schema in schemas {
            self.remove(&schema)?;
        }
        Ok(())
    }

    pub(crate) fn copy_shard(
        &self,
        from: &dyn Original,
        set: ShardSet,
        number: u32,
        meter: &mut Meter<'_>,
    ) -> Result<()> {
        let identity = diskette_ipc::random::number()
            .map_err(|error| Error::io("can't draw a number for a shard", error))?;
        let schema = schema_of(&prefix(self.identity), set, number);
        self.copy(from, &schema, identity, false, meter)
    }

    pub(crate) fn copy_store(&self, from: &dyn Original, meter: &mut Meter<'_>) -> Result<()> {
        let schema = &self.address.schema;
        self.copy(from, schema, self.identity, true, meter)
    }

    /// The rows come in one transaction. The schema is there before, since PostgreSQL that is killed with its first process doesn't always start
    /// again if a table without a log (`waiting`) wasn't committed.
    fn copy(
        &self,
        from: &dyn Original,
        schema: &str,
        identity: i64,
        arriving: bool,
        meter: &mut Meter<'_>,
    ) -> Result<()> {
        let make = catalog::make(schema, identity, arriving);
        self.connection
            .batch(&format!("BEGIN; {make} COMMIT; BEGIN"))?;
        let mut copy = NewTables::in_schema(&self.connection, schema);
        moving::copy(from, &mut copy, meter)
            .and_then(|()| self.connection.batch("COMMIT"))
            .inspect_err(|_| drop(self.connection.batch("ROLLBACK")))
    }

    /// Large objects don't go with their schema.
    fn remove(&self, schema: &str) -> Result<()> {
        let name = quoted(schema);
        self.connection.batch(&format!(
            "BEGIN; SELECT count(lo_unlink(CAST(object AS OID))) FROM {name}.value_files; DROP SCHEMA {name} CASCADE; COMMIT"
        ))
    }
}

impl Postgres {
    /// Opens the store to which one in a directory has moved, if it can be reached within `patience`.
    pub(crate) fn open_moved(moved: &Moved, options: &Options, patience: Duration) -> Result<Self> {
        let arrive = || {
            let address = Address::parse(&moved.address)?;
            let connection = Connection::open(&address.config, &address.trust, patience)?;
            match catalog::find(&connection, &address.schema)? {
                Some(Some(known)) if known.identity == moved.identity => {
                    if known.arriving {
                        let of_this = [moved.identity.into()];
                        connection.go_to(&address.schema)?;
                        connection.execute(ARRIVED, &of_this)?;
                    }
                    Ok(())
                }
                _ => Err(Error::new(
                    ErrorKind::NotAStore,
                    "the store has moved there, and was removed since, or another has its name: name the directory or the address \
                     of the one that is meant",
                )),
            }
        };
        arrive()
            .map_err(|error: Error| error.at(|| format!("opening the store {}", moved.shown)))?;
        Postgres::open(&moved.address, &options.clone().create(false))
    }
}
