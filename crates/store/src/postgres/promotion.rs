//! The place in a database that a store moves to.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};
use crate::moving::{Checksum, Meter, Original, Rounds};
use crate::options::Options;
use crate::postgres::Postgres;
use crate::postgres::address::Address;
use crate::postgres::catalog;
use crate::postgres::connection::Connection;
use crate::postgres::dialect::quoted;
use crate::postgres::moving::NewTables;
use crate::postgres::shards::{LIKE, prefix, schema_of};
use crate::sqlite::{Moved, Shard};

const ARRIVED: &str = "UPDATE stores SET arriving = FALSE WHERE identity = $1 AND arriving";

pub(crate) struct NewPlace {
    text: String,
    address: Address,
    connection: Connection,
    identity: i64,
    /// What was copied by now, by the schemas that it is in.
    copies: BTreeMap<String, Rounds>,
}

/// Rows are found by their keys, also in tables of which the server knows nothing yet; and it hears nothing while the store is read.
const SETTINGS: &str =
    "SET enable_seqscan = off; SET jit = off; SET idle_in_transaction_session_timeout = 0";

impl NewPlace {
    /// Refuses one where there is something, unless it is what the same move has left that is asked for again.
    pub(crate) fn find(text: &str, identity: i64, again: bool, timeout: Duration) -> Result<Self> {
        let address = Address::parse(text)?;
        let connection = Connection::open(&address.config, &address.trust, timeout)?;
        let second = Connection::open(&address.config, &address.trust, timeout)?;
        connection.must_be_a_session(&second)?;
        connection.batch(SETTINGS)?;
        let place = NewPlace {
            text: text.to_owned(),
            address,
            connection,
            identity,
            copies: BTreeMap::new(),
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

    /// Brings over what has changed in the store, or a shard of it, and still changes. Says how many bytes that were, about.
    pub(crate) fn go(
        &mut self,
        from: &dyn Original,
        of: Option<Shard>,
        meter: &mut Meter<'_>,
    ) -> Result<u64> {
        self.round(of, |rounds, to| rounds.go(from, to, meter))
    }

    /// Brings over what has changed and doesn't any more: then that part is there.
    pub(crate) fn finish(
        &mut self,
        from: &dyn Original,
        of: Option<Shard>,
        meter: &mut Meter<'_>,
    ) -> Result<()> {
        self.round(of, |rounds, to| rounds.finish(from, to, meter))
    }

    /// Removes what was copied of a part that is no more.
    pub(crate) fn forget(&mut self, of: Option<Shard>) -> Result<()> {
        let schema = self.schema(of);
        match self.copies.remove(&schema) {
            Some(_) => self.remove(&schema),
            None => Ok(()),
        }
    }

    /// How many rows and large values there are by now, and what they take.
    pub(crate) fn sum(&self) -> Checksum {
        let mut all = Checksum::default();
        self.copies.values().for_each(|copy| all += copy.sum());
        all
    }

    /// In one transaction. The schema is there before, since PostgreSQL that is killed with its first process doesn't always start again if a table
    /// without a log (`waiting`) wasn't committed.
    fn round<R>(
        &mut self,
        of: Option<Shard>,
        round: impl FnOnce(&mut Rounds, &mut NewTables<'_>) -> Result<R>,
    ) -> Result<R> {
        let schema = self.schema(of);
        let connection = &self.connection;
        let run = || {
            if !self.copies.contains_key(&schema) {
                let identity = match of {
                    None => self.identity,
                    Some(_) => diskette_ipc::random::number()
                        .map_err(|error| Error::io("can't draw a number for a shard", error))?,
                };
                let make = catalog::make(&schema, identity, of.is_none());
                connection.batch(&format!("BEGIN; {make} COMMIT"))?;
            }
            connection.go_to(&schema)?;
            connection.batch("BEGIN")?;
            let rounds = self.copies.entry(schema.clone()).or_default();
            let mut copy = NewTables::in_schema(connection, &schema);
            let done = round(rounds, &mut copy)?;
            connection.batch("COMMIT")?;
            Ok(done)
        };
        run().inspect_err(|_| drop(connection.batch("ROLLBACK")))
    }

    fn schema(&self, of: Option<Shard>) -> String {
        match of {
            None => self.address.schema.clone(),
            Some(shard) => schema_of(&prefix(self.identity), shard.set(), shard.number()),
        }
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
