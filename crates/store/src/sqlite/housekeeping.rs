//! What is done in the background, by one thread of each process: checkpoints, garbage, the estates of the dead.

use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::thread::{self, Thread};
use std::time::Duration;
use std::{io, mem};

use diskette_ipc::{ArcMutexGuard, FileLock, Mode, Mutex, background, fork};
use rusqlite::Connection;

use crate::error::{Error, Result, from_sqlite};
use crate::sqlite::Sqlite;
use crate::sqlite::commons::Commons;
use crate::sqlite::directory::Directory;
use crate::sqlite::fork::is_torn;
use crate::sqlite::garbage;
use crate::sqlite::values::Values;
use crate::store::{PutOff, Store};

/// A checkpoint is due when the log has grown by this many pages.
const DUE: usize = 1_000;

/// How long the log is, a process asks after its first commit and whenever it has written about this many pages.
const LOOK: usize = DUE / 4;

/// A log longer than this, in pages, after a checkpoint beside the writers, is finished inside the gate, so that the next
/// writer begins it anew. And the file of a log that was begun anew is cut to a quarter more.
pub(crate) const CAP: usize = 4_000;

/// So few pages of it are left by then, unless so many passes beside the writers don't come so far.
const FEW: usize = 200;
const PASSES: usize = 4;

/// A log longer than this, in pages, is copied by whoever writes: the threads of those who wrote it haven't lived for long
/// enough.
const OVERDUE: usize = 2 * CAP;

/// What fails is tried again after the first of these, then ever more rarely, up to the last. Garbage gathers for the first.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LAST_PAUSE: Duration = Duration::from_secs(10);

/// What can be to do.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Job {
    /// Copy the log into the database.
    Checkpoint = 1,
    /// Unlink the value files that no row names.
    Sweep = 2,
    /// Settle the estates of the dead.
    Settle = 4,
    /// Remove the rows of structures that were removed.
    Clear = 8,
    /// Run the errands of structures.
    Errands = 16,
}

const JOBS: [Job; 5] = [
    Job::Settle,
    Job::Checkpoint,
    Job::Errands,
    Job::Clear,
    Job::Sweep,
];

/// What there is to do in one database.
pub(crate) struct Housekeeper {
    due: AtomicU8,
    errands: Mutex<Vec<PutOff>>,
    /// How many bytes of garbage this process has made since it last took some out.
    pub(crate) garbage: AtomicU64,
    /// About how many pages this process has written since it last looked how long the log is.
    written: AtomicUsize,
    /// How long the log was, in pages, when a checkpoint was last due.
    asked: AtomicUsize,
}

/// The thread that does it, started when first needed.
#[derive(Default)]
pub(crate) struct Keeper(Arc<Mutex<Running>>);

/// The thread and the generation of forks in which it was started.
pub(crate) type Running = Option<(u64, Thread)>;

impl Keeper {
    /// Keeps the thread from being started over a fork.
    pub(crate) fn retire(&self) -> ArcMutexGuard<Running> {
        self.0.lock_arc()
    }

    pub(crate) fn stop(&self) {
        if let Some((_, thread)) = self.0.lock().take() {
            thread.unpark();
        }
    }
}

impl Default for Housekeeper {
    fn default() -> Self {
        Housekeeper {
            due: AtomicU8::new(0),
            errands: Mutex::default(),
            garbage: AtomicU64::new(0),
            written: AtomicUsize::new(LOOK),
            asked: AtomicUsize::new(0),
        }
    }
}

impl Housekeeper {
    /// When the store is closed: what would never be done if each process lived as shortly.
    pub(crate) fn finish(&self, connection: &Connection, values: &Values, directory: &Directory) {
        if self.due.load(Ordering::Acquire) & Job::Sweep as u8 != 0 {
            let _ = garbage::sweep_before_closing(connection, values, directory);
        }
        if log_length(connection).is_ok_and(|length| length >= DUE)
            && let Ok(Some(_alone)) = alone(directory)
        {
            let _ = checkpoint(connection);
        }
    }
}

impl Sqlite {
    /// Has a job done soon, by the thread. If none can be had, the next to wake it tries again.
    pub(crate) fn wake(&self, job: Job) {
        if is_torn() || self.reading().is_some() {
            return;
        }
        let housekeeper = self.housekeeper();
        let due = housekeeper.due.fetch_or(job as u8, Ordering::Release);
        let mut running = self.commons().keeper.0.lock();
        match &*running {
            Some((generation, thread)) if *generation == fork::generation() => {
                let gathers = matches!(job, Job::Sweep) && due & job as u8 != 0;
                if !gathers {
                    thread.unpark();
                }
            }
            _ => {
                let commons = Arc::downgrade(self.commons());
                let keep_house = move || keep_house(&commons);
                if let Ok(thread) = background::spawn("diskette-keeper", keep_house) {
                    *running = Some((fork::generation(), thread));
                }
            }
        }
    }

    /// See [`Store::in_background`].
    pub(crate) fn in_background(&self, errand: impl FnOnce(&Store) + Send + 'static) {
        self.housekeeper().errands.lock().push(Box::new(errand));
        self.wake(Job::Errands);
    }

    /// After `pages` were committed, outside the gate: whoever finds that the log has grown has it copied, whoever wrote it.
    pub(crate) fn after_commit(&self, pages: usize) {
        let housekeeper = self.housekeeper();
        if pages == 0 || housekeeper.written.fetch_add(pages, Ordering::Relaxed) + pages < LOOK {
            return;
        }
        housekeeper.written.store(0, Ordering::Relaxed);
        let reader = self.readers().lend(self);
        let Ok(length) = reader.and_then(|reader| log_length(reader.connection()?)) else {
            return;
        };
        let asked = housekeeper.asked.load(Ordering::Relaxed);
        let since = if length < asked { 0 } else { asked };
        if length - since < DUE {
            return;
        }
        housekeeper.asked.store(length, Ordering::Relaxed);
        if length > OVERDUE {
            let _ = self.checkpoint();
        } else {
            self.wake(Job::Checkpoint);
        }
    }

    /// Copies the log into the database while nobody writes, so that who writes next begins it anew.
    pub(crate) fn copy_log(&self) -> Result<()> {
        checkpoint(self.writer().enter(self)?.connection()?).map(drop)
    }

    /// Copies what is in the log into the database, unless another process is at it.
    fn checkpoint(&self) -> Result<()> {
        let failed = |error| Error::io("can't lock the log", error);
        let Some(_alone) = alone(self.directory()).map_err(failed)? else {
            return Ok(());
        };
        let copy = || {
            if self.copy_beside_writers()? > CAP {
                let turn = self.writer().enter(self)?;
                checkpoint(turn.connection()?)?;
            }
            Ok(())
        };
        let copied = copy();
        self.keep_reserve();
        copied
    }

    /// Copies the log while others write; says how long it is. If it is to be finished inside the gate, little is left to copy, and
    /// to sync: each pass is shorter than the one before, so that less is added meanwhile.
    fn copy_beside_writers(&self) -> Result<usize> {
        let reader = self.readers().lend(self)?;
        let connection = reader.connection()?;
        let mut length = checkpoint(connection)?;
        for _ in 1..PASSES {
            if length <= CAP || log(connection)?.left() <= FEW {
                break;
            }
            length = checkpoint(connection)?;
        }
        Ok(length)
    }

    fn attempt(&self, job: Job) -> Result<()> {
        match job {
            Job::Checkpoint => self.checkpoint(),
            Job::Sweep => self.sweep(),
            Job::Settle => self.settle_the_mourned(),
            Job::Clear => self.store().clear_removed(),
            Job::Errands => {
                let errands = mem::take(&mut *self.housekeeper().errands.lock());
                let store = self.clone().into();
                errands.into_iter().for_each(|errand| errand(&store));
                Ok(())
            }
        }
    }
}

/// Until the store is closed; or for a store that was removed or has moved, of which nothing is left to keep.
fn keep_house(commons: &Weak<Commons>) {
    let mut pause = FIRST_PAUSE;
    let mut gathered = false;
    loop {
        let Some(commons) = commons.upgrade() else {
            return;
        };
        let mut all_left = 0;
        for store in commons.members() {
            let due = store.housekeeper().due.swap(0, Ordering::Acquire);
            let mut left = 0;
            for job in JOBS.into_iter().filter(|&job| due & job as u8 != 0) {
                // The log is synced once for all the garbage there is by then.
                let gathers = matches!(job, Job::Sweep) && !gathered;
                let may_succeed = |error: Error| store.is_intact() && !error.is_moved();
                if gathers || store.attempt(job).is_err_and(may_succeed) {
                    left |= job as u8;
                }
            }
            store.housekeeper().due.fetch_or(left, Ordering::Relaxed);
            all_left |= left;
        }
        drop(commons);
        gathered = true;
        if all_left == 0 {
            pause = FIRST_PAUSE;
            gathered = false;
            thread::park();
        } else {
            thread::park_timeout(pause);
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }
}

/// What keeps a second process from making a checkpoint at the same time, if nobody has it.
fn alone(directory: &Directory) -> io::Result<Option<FileLock>> {
    let lock = FileLock::open(directory.lock("checkpoint"))?;
    Ok(lock.try_lock(Mode::Exclusive)?.then_some(lock))
}

/// The log, in pages.
#[derive(Clone, Copy)]
struct Log {
    length: usize,
    copied: usize,
}

impl Log {
    fn left(self) -> usize {
        self.length.saturating_sub(self.copied)
    }
}

/// Copies what no reader and no writer is in the way of; says how long the log is, in pages.
fn checkpoint(connection: &Connection) -> Result<usize> {
    Ok(ask(connection, "PRAGMA wal_checkpoint(PASSIVE)")?.length)
}

fn log(connection: &Connection) -> Result<Log> {
    ask(connection, "PRAGMA wal_checkpoint(NOOP)")
}

fn log_length(connection: &Connection) -> Result<usize> {
    Ok(log(connection)?.length)
}

fn ask(connection: &Connection, checkpoint: &str) -> Result<Log> {
    let mut ask = connection.prepare_cached(checkpoint).map_err(from_sqlite)?;
    ask.query_row([], |row| {
        let pages = |number: i64| usize::try_from(number).unwrap_or(0);
        Ok(Log {
            length: pages(row.get(1)?),
            copied: pages(row.get(2)?),
        })
    })
    .map_err(from_sqlite)
}
