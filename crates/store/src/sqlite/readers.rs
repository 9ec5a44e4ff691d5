//! The reading connections of a process, shared by its threads.

use std::sync::Arc;

use diskette_ipc::clock;
use diskette_ipc::{ArcMutexGuard, Mutex};
use rusqlite::Connection;

use crate::error::{Result, removed};
use crate::sqlite::Sqlite;
use crate::sqlite::connection::{self, Role};
use crate::sqlite::fork;
use crate::sqlite::reading::Reading;

/// Connections that are kept open between reads; more are opened, and closed again, when more
/// threads read at once.
const KEPT: usize = 4;

#[derive(Default)]
pub(crate) struct Readers {
    pool: Arc<Mutex<Pool>>,
}

#[derive(Default)]
pub(crate) struct Pool {
    idle: Vec<Connection>,
    lent: usize,
    /// Those of them with which the program's own work goes on, for however long.
    to_snapshots: usize,
    /// Whether the log came after connections without it were made.
    beside_log: bool,
}

impl Readers {
    /// Lends a connection.
    pub(crate) fn lend<'s>(&self, store: &'s Sqlite) -> Result<Reader<'s>> {
        fork::must_be_whole()?;
        store.must_be_here()?;
        store.door().pass();
        let (idle, without_log) = {
            let mut pool = self.pool.lock();
            pool.lent += 1;
            let reading = store.reading();
            let without_log = reading.is_some_and(|reading| !reading.is_beside_log());
            (pool.idle.pop(), without_log)
        };
        let connection = match idle {
            Some(connection) => Ok(connection),
            None => store.connect(Role::Reader),
        };
        match connection {
            Ok(connection) => Ok(Reader {
                store,
                connection: Some(connection),
                to_snapshot: false,
                without_log,
            }),
            Err(error) => {
                self.give_back(None, false, false);
                Err(if !store.is_intact() { removed() } else { error })
            }
        }
    }

    /// Lends a connection for a snapshot of the program's, which a fork doesn't wait for.
    pub(crate) fn lend_to_snapshot<'s>(&self, store: &'s Sqlite) -> Result<Reader<'s>> {
        let mut reader = self.lend(store)?;
        self.pool.lock().to_snapshots += 1;
        reader.to_snapshot = true;
        Ok(reader)
    }

    /// Closes the connections before a fork; `false`: one is still lent.
    pub(crate) fn retire(&self) -> (ArcMutexGuard<Pool>, bool) {
        let patience = fork::Patience::begin();
        let mut pool = self.pool.lock_arc();
        while pool.lent > 0 {
            if !patience.goes_on(pool.lent == pool.to_snapshots) {
                return (pool, false);
            }
            drop(pool);
            clock::sleep(fork::LOOK);
            pool = self.pool.lock_arc();
        }
        pool.idle.drain(..).for_each(connection::close_for_fork);
        (pool, true)
    }

    /// The log has come to a store that is open for reading only: nobody reads without it any more.
    pub(crate) fn go_beside_log(&self, reading: &Reading) {
        let mut pool = self.pool.lock();
        reading.set_beside_log();
        pool.beside_log = true;
        pool.idle.clear();
    }

    fn give_back(&self, connection: Option<Connection>, to_snapshot: bool, without_log: bool) {
        let mut surplus = None;
        {
            let mut pool = self.pool.lock();
            pool.to_snapshots -= usize::from(to_snapshot);
            match connection {
                Some(connection) if pool.idle.len() < KEPT && !(without_log && pool.beside_log) => {
                    pool.idle.push(connection);
                }
                more => surplus = more,
            }
            pool.lent -= usize::from(surplus.is_none());
        }
        if surplus.is_some() {
            // No fork may meet SQLite while it closes.
            drop(surplus);
            self.pool.lock().lent -= 1;
        }
    }
}

/// A lent connection, given back when dropped.
pub(crate) struct Reader<'s> {
    store: &'s Sqlite,
    connection: Option<Connection>,
    to_snapshot: bool,
    /// Whether it was lent by a store that is open for reading only while there was no log.
    without_log: bool,
}

impl Reader<'_> {
    /// Whether what was read by it until now was the store's state.
    pub(crate) fn is_true(&self) -> Result<bool> {
        let store = self.store;
        let Some(reading) = store.reading() else {
            return Ok(true);
        };
        if !reading.is_there() {
            return Err(removed());
        }
        store.look_for_log()?;
        Ok(!(self.without_log && reading.is_beside_log()))
    }

    pub(crate) fn connection(&self) -> Result<&Connection> {
        self.connection.as_ref().ok_or_else(connection::closed)
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        if fork::is_torn() {
            std::mem::forget(self.connection.take()); // it is the parent's
            return;
        }
        self.store
            .readers()
            .give_back(self.connection.take(), self.to_snapshot, self.without_log);
    }
}
