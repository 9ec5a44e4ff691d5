//! The one writing connection of a process, and the gate that the writers of all processes pass.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

use diskette_ipc::clock::Deadline;
use parking_lot::{ArcMutexGuard, Mutex, MutexGuard, RawMutex};
use rusqlite::Connection;
use std::sync::Arc;

use crate::connection::{self, Role};
use crate::error::{Error, ErrorKind, Result, removed, timed_out};
use crate::gate::Gate;
use crate::store::Store;

/// The state of the writer, in this order: the threads of this process queue for `connection`, the one
/// that has it stands for the process at `gate`, and the one inside the gate is alone with the database.
pub(crate) struct Writer {
    connection: Arc<Mutex<Option<Connection>>>,
    gate: Gate,
    /// The thread that has the connection, or 0: to tell a second transaction within a transaction.
    holder: AtomicU64,
}

impl Writer {
    pub(crate) fn new(gate: Gate, first: Connection) -> Self {
        Writer {
            connection: Arc::new(Mutex::new(Some(first))),
            gate,
            holder: AtomicU64::new(0),
        }
    }

    /// Was the directory of the store removed?
    pub(crate) fn is_removed(&self) -> bool {
        self.gate.is_removed()
    }

    /// Is this thread inside a transaction of this store?
    pub(crate) fn is_mine(&self) -> bool {
        self.holder.load(Ordering::Relaxed) == thread_number()
    }

    /// Waits for the turn of this thread.
    pub(crate) fn enter<'s>(&'s self, store: &Store) -> Result<Turn<'s>> {
        if self.is_mine() {
            return Err(Error::new(
                ErrorKind::Misuse,
                "this thread has a transaction open: use the structure within it (`structure.within(tx)`), \
                 or nest by `tx.transaction`",
            ));
        }
        store.usable()?;
        let timeout = store.timeout();
        let late = || timed_out("the turn to write", timeout);
        let failed = |source| Error::io("can't pass the writers' gate", source);
        let (mut slot, deadline) = match self.connection.try_lock() {
            Some(slot) => (slot, None),
            None => {
                let deadline = Deadline::after(timeout);
                let slot = match deadline.remaining() {
                    None => self.connection.lock(),
                    Some(left) => self.connection.try_lock_for(left).ok_or_else(late)?,
                };
                (slot, Some(deadline))
            }
        };
        if slot.is_none() {
            *slot = Some(store.connect(Role::Writer)?);
        }
        let deadline = || deadline.unwrap_or_else(|| Deadline::after(timeout));
        if !self.gate.enter(deadline).map_err(failed)? {
            return Err(late());
        }
        self.holder.store(thread_number(), Ordering::Relaxed);
        let turn = Turn { writer: self, slot };
        // A write to a database that was deleted would be lost without a word.
        if self.gate.is_seen_removed() {
            return Err(removed());
        }
        Ok(turn)
    }

    /// Takes the connection away before a fork, so that the child finds none of SQLite's state. `None`:
    /// a transaction is open, of this thread or for longer than a fork can wait.
    pub(crate) fn retire(&self) -> Option<ArcMutexGuard<RawMutex, Option<Connection>>> {
        if self.is_mine() {
            return None;
        }
        let mut slot = self.connection.try_lock_arc_for(crate::fork::PATIENCE)?;
        if let Some(connection) = slot.take() {
            connection::close_for_fork(connection);
        }
        Some(slot)
    }
}

/// The right to write, until it is dropped.
pub(crate) struct Turn<'s> {
    writer: &'s Writer,
    slot: MutexGuard<'s, Option<Connection>>,
}

impl Turn<'_> {
    pub(crate) fn connection(&self) -> Result<&Connection> {
        self.slot.as_ref().ok_or_else(connection::closed)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.writer.holder.store(0, Ordering::Relaxed);
        self.writer.gate.leave();
    }
}

/// A number of this thread, never 0.
fn thread_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    thread_local! {
        static NUMBER: Cell<u64> = Cell::new(NEXT.fetch_add(1, Ordering::Relaxed));
    }
    NUMBER.with(Cell::get)
}
