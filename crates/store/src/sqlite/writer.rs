//! The one writing connection of a process, and the gate that the writers of all processes pass.

use std::cell::Cell;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use diskette_ipc::Hold;
use diskette_ipc::clock::Deadline;
use diskette_ipc::{ArcMutexGuard, Mutex, MutexGuard};
use rusqlite::Connection;

use crate::error::{Error, Result, removed, timed_out};
use crate::options::{AtomicDurability, Durability};
use crate::sqlite::Sqlite;
use crate::sqlite::connection::{self, Role};
use crate::sqlite::fork;
use crate::sqlite::gate::Gate;
use crate::sqlite::reading;
use crate::transaction::within_another;

/// The state of the writer: the threads of all processes queue at `gate`, and the one inside is alone with the database, by
/// the `connection` of its process.
pub(crate) struct Writer {
    connection: Arc<Mutex<Option<Connection>>>,
    /// With what durability it commits.
    durability: AtomicDurability,
    /// `None`: the store is open for reading only.
    gate: Option<Gate>,
    /// Whether the program's own work goes on inside, for however long.
    lent: AtomicBool,
    /// The thread that has the connection, or 0: to tell a second transaction within a transaction.
    holder: AtomicU64,
}

impl Writer {
    pub(crate) fn new(gate: Gate, first: Connection, durability: Durability) -> Self {
        Writer {
            connection: Arc::new(Mutex::new(Some(first))),
            gate: Some(gate),
            ..Writer::nobody(durability)
        }
    }

    /// Where nobody may write.
    pub(crate) fn nobody(durability: Durability) -> Self {
        Writer {
            connection: Arc::default(),
            durability: durability.into(),
            gate: None,
            lent: AtomicBool::new(false),
            holder: AtomicU64::new(0),
        }
    }

    /// Is this thread inside a transaction of this store?
    pub(crate) fn is_mine(&self) -> bool {
        self.holder.load(Ordering::Relaxed) == thread_number()
    }

    /// Waits for the turn of this thread.
    pub(crate) fn enter<'s>(&'s self, store: &Sqlite) -> Result<Turn<'s>> {
        store.must_be_writable()?;
        if self.is_mine() {
            return Err(within_another());
        }
        fork::must_be_whole()?;
        let inside = self.pass(store)?;
        store.door().pass();
        // Nobody else wants it, unless a fork is under way.
        let mut slot = self.connection.lock();
        let wanted = store.durability();
        if slot.is_none() {
            *slot = Some(store.connect(Role::Writer)?);
        }
        if let Some(connection) = &*slot
            && self.durability.get() != wanted
        {
            connection::set_durability(connection, wanted)?;
            self.durability.raise_to(wanted);
        }
        self.holder.store(thread_number(), Ordering::Relaxed);
        Ok(Turn {
            writer: self,
            slot,
            _inside: inside,
        })
    }

    fn pass(&self, store: &Sqlite) -> Result<Hold> {
        // A write to a database that was deleted would be lost without a word.
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::NotFound => removed().caused_by(source),
            _ => Error::io("can't pass the writers' gate", source),
        };
        let gate = self.gate.as_ref().ok_or_else(reading::refused)?;
        if let Some(inside) = gate.try_enter().map_err(failed)? {
            return Ok(inside);
        }
        store.watch_deaths()?;
        let timeout = store.timeout();
        let inside = gate.enter(Deadline::after(timeout));
        inside
            .map_err(failed)?
            .ok_or_else(|| timed_out("the turn to write", timeout))
    }

    /// Takes the connection away before a fork, so that the child finds none of SQLite's state. `None`: a transaction is
    /// open, of this thread, or of the program's in another.
    pub(crate) fn retire(&self) -> Option<ArcMutexGuard<Option<Connection>>> {
        if self.is_mine() {
            return None;
        }
        let patience = fork::Patience::begin();
        while patience.goes_on(self.lent.load(Ordering::Relaxed)) {
            if let Some(mut slot) = self.connection.try_lock_arc_for(fork::LOOK) {
                if let Some(connection) = slot.take() {
                    connection::close_for_fork(connection);
                }
                return Some(slot);
            }
        }
        None
    }

    /// When the store is closed.
    pub(crate) fn with_last(&self, work: impl FnOnce(&Connection)) {
        if let Some(gate) = &self.gate
            && let (Some(connection), Ok(Some(_inside))) =
                (&*self.connection.lock(), gate.try_enter())
        {
            work(connection);
        }
    }
}

/// The right to write, until it is dropped.
pub(crate) struct Turn<'s> {
    writer: &'s Writer,
    /// Given back first, so that who passes the gate finds it free.
    slot: MutexGuard<'s, Option<Connection>>,
    _inside: Hold,
}

impl Turn<'_> {
    /// Runs work of the program's, which a fork doesn't wait for.
    pub(crate) fn lend<R>(&self, work: impl FnOnce() -> R) -> R {
        self.writer.lent.store(true, Ordering::Relaxed);
        let result = work();
        self.writer.lent.store(false, Ordering::Relaxed);
        result
    }

    pub(crate) fn connection(&self) -> Result<&Connection> {
        self.slot.as_ref().ok_or_else(connection::closed)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.writer.holder.store(0, Ordering::Relaxed);
        self.writer.lent.store(false, Ordering::Relaxed);
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
