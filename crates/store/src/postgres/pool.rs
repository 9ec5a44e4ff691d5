//! The connections of a process to its store, shared by its threads.

use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use diskette_ipc::{Deadline, Doorbell, Mutex, fork};
use tokio_postgres::Config;
use tokio_postgres::error::SqlState;

use crate::error::Result;
use crate::postgres::address::Address;
use crate::postgres::connection::Connection;
use crate::postgres::failure::{cant_connect, is_state, no_connection};
use crate::postgres::tls::Trust;

/// Connections that are kept open between calls.
const KEPT: usize = 8;

/// More than so many are not lent at once: who comes then waits for one. A server has not many more for all.
const MOST: usize = 32;

pub(crate) struct Pool {
    config: Config,
    trust: Trust,
    timeout: Duration,
    state: Mutex<State>,
    /// Rung when one is given back, if somebody waits.
    returned: Doorbell,
    waiting: AtomicUsize,
}

/// Somebody who waits for one, until this is dropped.
struct Waiting<'w>(&'w AtomicUsize);

#[derive(Default)]
struct State {
    idle: Vec<Connection>,
    lent: usize,
    /// Of forks, in which those were lent: none of them is a child's.
    generation: u64,
}

/// A connection that is lent, given back when dropped.
pub(crate) struct Lent<'p> {
    pool: &'p Pool,
    connection: Option<Connection>,
}

impl Pool {
    pub(crate) fn new(address: &Address, timeout: Duration) -> Result<Self> {
        Ok(Pool {
            config: address.config.clone(),
            trust: address.trust.clone(),
            timeout,
            state: Mutex::default(),
            returned: Doorbell::private().map_err(cant_connect)?,
            waiting: AtomicUsize::new(0),
        })
    }

    /// Waits for one if too many are lent, or the server has no more, as long as the store's timeout allows.
    pub(crate) fn lend(&self, schema: &str) -> Result<Lent<'_>> {
        if let Some(lent) = self.try_lend(schema, MOST)? {
            return Ok(lent);
        }
        let deadline = Deadline::after(self.timeout);
        let _waiting = Waiting::begin(&self.waiting);
        loop {
            let seen = self.returned.seen(0);
            if let Some(lent) = self.try_lend(schema, MOST)? {
                return Ok(lent);
            }
            if !self.returned.wait(0, seen, deadline) {
                return Err(no_connection(self.timeout));
            }
        }
    }

    /// For who has one already, and must not wait for others of his kind.
    pub(crate) fn lend_another(&self, schema: &str) -> Result<Lent<'_>> {
        match self.try_lend(schema, usize::MAX)? {
            Some(lent) => Ok(lent),
            None => Err(no_connection(self.timeout)),
        }
    }

    /// A connection of its own, for a long time.
    pub(crate) fn open(&self, schema: &str) -> Result<Connection> {
        let connection = Connection::open(&self.config, &self.trust, self.timeout)?;
        connection.go_to(schema)?;
        Ok(connection)
    }

    /// One that was opened already.
    pub(crate) fn take_in(&self, connection: Connection) {
        self.state.lock().idle.push(connection);
    }

    fn try_lend(&self, schema: &str, most: usize) -> Result<Option<Lent<'_>>> {
        let mut state = self.state.lock();
        if state.generation != fork::generation() {
            state.idle.drain(..).for_each(Connection::abandon);
            state.lent = 0;
            state.generation = fork::generation();
        }
        if state.lent >= most {
            return Ok(None);
        }
        state.lent += 1;
        let mut lent = Lent {
            pool: self,
            connection: None,
        };
        while let Some(last) = state.idle.len().checked_sub(1) {
            let there = state.idle.iter().rposition(|it| it.is_in(schema));
            let connection = state.idle.swap_remove(there.unwrap_or(last));
            if connection.is_alive() {
                drop(state);
                lent.connection = Some(connection);
                lent.go_to(schema)?;
                return Ok(Some(lent));
            }
            connection.abandon();
        }
        drop(state);
        match self.open(schema) {
            Ok(connection) => {
                lent.connection = Some(connection);
                Ok(Some(lent))
            }
            Err(error) if is_state(&error, &SqlState::TOO_MANY_CONNECTIONS) => Ok(None),
            Err(error) => Err(error),
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
        let mut state = self.pool.state.lock();
        let mut connection = self.connection.take();
        if state.generation == fork::generation() {
            state.lent = state.lent.saturating_sub(1);
            if state.idle.len() < KEPT {
                state.idle.extend(connection.take_if(|it| it.is_open()));
            }
        }
        drop(state);
        connection.into_iter().for_each(Connection::abandon);
        if self.pool.waiting.load(SeqCst) > 0 {
            self.pool.returned.ring(0);
        }
    }
}

impl<'w> Waiting<'w> {
    fn begin(waiting: &'w AtomicUsize) -> Self {
        waiting.fetch_add(1, SeqCst);
        Waiting(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}
