//! The connections of a process to its store, shared by its threads.

use std::ops::Deref;
use std::time::Duration;

use diskette_ipc::Mutex;
use tokio_postgres::Config;

use crate::error::Result;
use crate::postgres::address::Address;
use crate::postgres::connection::Connection;
use crate::postgres::dialect::quoted;

/// Connections that are kept open between calls; more are opened, and closed again, when more threads are at it at once.
const KEPT: usize = 8;

pub(crate) struct Pool {
    config: Config,
    /// Makes the store's schema the one that statements mean.
    enter: String,
    timeout: Duration,
    idle: Mutex<Vec<Connection>>,
}

/// A connection that is lent, given back when dropped.
pub(crate) struct Lent<'p> {
    pool: &'p Pool,
    connection: Option<Connection>,
}

impl Pool {
    pub(crate) fn new(address: &Address, timeout: Duration) -> Self {
        Pool {
            config: address.config.clone(),
            enter: format!("SET search_path TO {}", quoted(&address.schema)),
            timeout,
            idle: Mutex::default(),
        }
    }

    pub(crate) fn lend(&self) -> Result<Lent<'_>> {
        let lent = |connection| Lent {
            pool: self,
            connection: Some(connection),
        };
        loop {
            let idle = self.idle.lock().pop();
            match idle {
                Some(connection) if connection.is_open() => return Ok(lent(connection)),
                Some(connection) => connection.abandon(),
                None => break,
            }
        }
        self.open().map(lent)
    }

    /// A connection of its own, for a long time.
    pub(crate) fn open(&self) -> Result<Connection> {
        let connection = Connection::open(&self.config, self.timeout)?;
        connection.batch(&self.enter)?;
        Ok(connection)
    }

    pub(crate) fn give_back(&self, connection: Connection) {
        let mut idle = self.idle.lock();
        if connection.is_open() && idle.len() < KEPT {
            idle.push(connection);
        } else {
            drop(idle);
            connection.abandon();
        }
    }
}

impl Deref for Lent<'_> {
    type Target = Connection;

    #[expect(clippy::expect_used, reason = "it is there until this is dropped")]
    fn deref(&self) -> &Connection {
        self.connection.as_ref().expect("a lent connection")
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.pool.give_back(connection);
        }
    }
}
