//! Checkpoints leave the writers' path: a thread copies the WAL into the database while writers go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, Thread};

use diskette_ipc::{ArcMutexGuard, Mutex};
use diskette_ipc::{FileLock, Mode, fork};
use rusqlite::Connection;

use crate::error::{Result, from_sqlite};
use crate::store::{Shared, Store};

/// A checkpoint is due after about this many pages were written by this process.
const DUE: usize = 1_000;

/// A WAL longer than this, in pages, after a checkpoint beside the writers, is finished inside the
/// gate, so that the next writer begins it anew. Little of it is left to copy by then.
const CAP: usize = 4_000;

/// Wakes the checkpointing thread, started when first needed.
pub(crate) struct Checkpointer {
    /// Held by the one process that is at it.
    lock: FileLock,
    thread: Arc<Mutex<Option<(u64, Thread)>>>,
    /// About how many pages this process has written since it last woke the thread.
    written: AtomicUsize,
}

impl Checkpointer {
    pub(crate) fn new(lock: FileLock) -> Self {
        Checkpointer {
            lock,
            thread: Arc::default(),
            written: AtomicUsize::new(0),
        }
    }

    /// Called after a commit, outside the gate: has the checkpoint made, if it is due, by somebody else.
    pub(crate) fn after_commit(&self, pages: usize, shared: &Arc<Shared>) {
        if self.written.fetch_add(pages, Ordering::Relaxed) + pages < DUE {
            return;
        }
        self.written.store(0, Ordering::Relaxed);
        let mut thread = self.thread.lock();
        match &*thread {
            Some((generation, thread)) if *generation == fork::generation() => thread.unpark(),
            _ => {
                let store = Arc::downgrade(shared);
                let spawned = thread::Builder::new()
                    .name("diskette-checkpoint".into())
                    .spawn(move || {
                        loop {
                            match store.upgrade() {
                                Some(shared) => Store::from(shared).checkpoint(),
                                None => return,
                            }
                            thread::park();
                        }
                    });
                // Where no thread can be had, the next commits try again.
                if let Ok(spawned) = spawned {
                    *thread = Some((fork::generation(), spawned.thread().clone()));
                }
            }
        }
    }

    pub(crate) fn stop(&self) {
        if let Some((_, thread)) = self.thread.lock().take() {
            thread.unpark();
        }
    }

    pub(crate) fn retire(&self) -> ArcMutexGuard<Option<(u64, Thread)>> {
        self.thread.lock_arc()
    }
}

impl Store {
    /// Copies what is in the WAL into the database. What fails is done after the next commits.
    fn checkpoint(&self) {
        let lock = &self.checkpointer().lock;
        if matches!(lock.try_lock(Mode::Exclusive), Ok(true)) {
            let beside = self
                .readers()
                .lend(self)
                .and_then(|reader| passive(reader.connection()?));
            if matches!(beside, Ok(length) if length > CAP) {
                let _ = self
                    .writer()
                    .enter(self)
                    .and_then(|turn| passive(turn.connection()?));
            }
            let _ = lock.unlock();
        }
    }
}

/// Copies what no reader and no writer is in the way of; says how long the WAL is, in pages.
fn passive(connection: &Connection) -> Result<usize> {
    connection
        .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| {
            row.get::<_, i64>(1)
        })
        .map(|length| usize::try_from(length).unwrap_or(0))
        .map_err(from_sqlite)
}
