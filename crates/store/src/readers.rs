//! The reading connections of a process, shared by its threads.

use std::sync::Arc;

use diskette_ipc::clock::Deadline;
use parking_lot::{ArcMutexGuard, Condvar, Mutex, RawMutex};
use rusqlite::Connection;

use crate::connection::{self, Role};
use crate::error::{Result, removed};
use crate::store::Store;

/// Connections that are kept open between reads; more are opened, and closed again, when more
/// threads read at once.
const KEPT: usize = 4;

#[derive(Default)]
pub(crate) struct Readers {
    pool: Arc<Mutex<Pool>>,
    returned: Condvar,
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
                Err(if store.writer().is_removed() {
                    removed()
                } else {
                    error
                })
            }
        }
    }

    /// Closes the connections before a fork. `None`: one is still lent, for longer than a fork can wait.
    pub(crate) fn retire(&self) -> Option<ArcMutexGuard<RawMutex, Pool>> {
        let deadline = Deadline::after(crate::fork::PATIENCE);
        let mut pool = self.pool.lock_arc();
        while pool.lent > 0 {
            let left = deadline.remaining().unwrap_or(crate::fork::PATIENCE);
            drop(pool);
            let mut waiting = self.pool.lock();
            if waiting.lent > 0 && self.returned.wait_for(&mut waiting, left).timed_out() {
                return None;
            }
            drop(waiting);
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
        self.returned.notify_all();
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
