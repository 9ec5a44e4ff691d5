//! The reading connections of a process, shared by its threads.

use std::sync::Arc;
use std::time::Duration;

use diskette_ipc::clock::{self, Deadline};
use diskette_ipc::{ArcMutexGuard, Mutex};
use rusqlite::Connection;

use crate::connection::{self, Role};
use crate::error::{Result, removed};
use crate::store::Store;

/// Connections that are kept open between reads; more are opened, and closed again, when more
/// threads read at once.
const KEPT: usize = 4;

/// How often a fork looks whether all are back.
const LOOK: Duration = Duration::from_millis(1);

#[derive(Default)]
pub(crate) struct Readers {
    pool: Arc<Mutex<Pool>>,
}

#[derive(Default)]
pub(crate) struct Pool {
    idle: Vec<Connection>,
    lent: usize,
}

impl Readers {
    /// Lends a connection.
    pub(crate) fn lend<'s>(&'s self, store: &'s Store) -> Result<Reader<'s>> {
        store.usable()?;
        let idle = {
            let mut pool = self.pool.lock();
            pool.lent += 1;
            pool.idle.pop()
        };
        let connection = match idle {
            Some(connection) => Ok(connection),
            None => store.connect(Role::Reader),
        };
        match connection {
            Ok(connection) => Ok(Reader {
                readers: self,
                connection: Some(connection),
            }),
            Err(error) => {
                self.give_back(None);
                Err(if !store.board().is_intact() {
                    removed()
                } else {
                    error
                })
            }
        }
    }

    /// Closes the connections before a fork. `None`: one is still lent, for longer than a fork can wait.
    pub(crate) fn retire(&self) -> Option<ArcMutexGuard<Pool>> {
        let deadline = Deadline::after(crate::fork::PATIENCE);
        let mut pool = self.pool.lock_arc();
        while pool.lent > 0 {
            drop(pool);
            if deadline.is_past() {
                return None;
            }
            clock::sleep(LOOK);
            pool = self.pool.lock_arc();
        }
        pool.idle.drain(..).for_each(connection::close_for_fork);
        Some(pool)
    }

    fn give_back(&self, connection: Option<Connection>) {
        let surplus = {
            let mut pool = self.pool.lock();
            pool.lent -= 1;
            match connection {
                Some(connection) if pool.idle.len() < KEPT => {
                    pool.idle.push(connection);
                    None
                }
                surplus => surplus,
            }
        };
        drop(surplus);
    }
}

/// A lent connection, given back when dropped.
pub(crate) struct Reader<'s> {
    readers: &'s Readers,
    connection: Option<Connection>,
}

impl Reader<'_> {
    pub(crate) fn connection(&self) -> Result<&Connection> {
        self.connection.as_ref().ok_or_else(connection::closed)
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        self.readers.give_back(self.connection.take());
    }
}
