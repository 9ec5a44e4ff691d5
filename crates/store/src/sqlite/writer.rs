//! The one writing connection of a process, and the gate that the writers of all processes pass.

use std::cell::Cell;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use diskette_ipc::clock::{self, Deadline};
use diskette_ipc::{
    ArcMutexGuard, Baton, Doing, Errand, Hold, Mutex, MutexGuard, Queue, Relay, Served,
};
use rusqlite::Connection;

use crate::error::{Error, Result, removed, timed_out};
use crate::options::{AtomicDurability, Durability};
use crate::sqlite::Sqlite;
use crate::sqlite::connection::{self, Role};
use crate::sqlite::fork;
use crate::sqlite::gate::{Gate, TURN};
use crate::sqlite::group::{self, Committed, Habits, Parts};
use crate::sqlite::reading;
use crate::transaction::within_another;

/// The turns of this process's threads, and when each of those that wait has had one. A test may run on a slow machine.
const TURNS: [Duration; 2] = match cfg!(test) {
    true => [Duration::from_secs(60), Duration::from_secs(60 * 60)],
    false => [TURN, Duration::from_millis(24)],
};

/// The state of the writer: the threads of this process have the `relay` in turns, the one that has it queues at `gate` for its
/// process, and the one inside is alone with the database, by the `connection` of its process.
pub(crate) struct Writer {
    relay: Relay<Parts>,
    pub(crate) habits: Habits,
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
        let [turn, round] = TURNS;
        Writer {
            relay: Relay::new(turn, round),
            habits: Habits::default(),
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
        self.may_enter(store)?;
        let Some(baton) = self.relay.try_take() else {
            let deadline = Deadline::after(store.timeout());
            let baton = self.relay.take(deadline);
            return self.begin(store, baton.ok_or_else(|| late(store))?, Some(deadline));
        };
        self.begin(store, baton, None)
    }

    /// The same for a [part](crate::sqlite::group), unless another thread has done it meanwhile.
    pub(crate) fn enter_or_leave<'s>(
        &'s self,
        store: &Sqlite,
        part: &mut Errand<'_, Parts>,
    ) -> Result<Entered<'s>> {
        self.may_enter(store)?;
        let Some(baton) = self.relay.try_take() else {
            let deadline = Deadline::after(store.timeout());
            let served = self.relay.take_or_leave(part, deadline);
            return Ok(match served.ok_or_else(|| late(store))? {
                Served::Baton(baton) => Entered::Turn(self.begin(store, baton, Some(deadline))?),
                Served::Done(end) => Entered::Done(end.unwrap_or_else(|| Err(group::deserted()))),
            });
        };
        self.begin(store, baton, None).map(Entered::Turn)
    }

    fn may_enter(&self, store: &Sqlite) -> Result<()> {
        store.must_be_writable()?;
        if self.is_mine() {
            return Err(within_another());
        }
        fork::must_be_whole()
    }

    fn begin<'s>(
        &'s self,
        store: &Sqlite,
        baton: Baton<'s, Parts>,
        deadline: Option<Deadline>,
    ) -> Result<Turn<'s>> {
        let inside = self.pass(store, deadline)?;
        store.must_be_here()?;
        store.door().pass();
        // Nobody else wants it, unless a fork is under way.
        let mut slot = self.connection.lock();
        let wanted = store.durability();
        if slot.is_none() {
            *slot = Some(store.connect(Role::Writer)?);
        }
        if let Some(connection) = &*slot {
            if let Some(locks) = &store.shared.log_locks {
                locks.mend(connection);
            }
            if self.durability.get() != wanted {
                connection::set_durability(connection, wanted)?;
                self.durability.raise_to(wanted);
            }
        }
        Ok(Turn {
            mine: Mine::of(self),
            slot,
            _inside: inside,
            baton,
        })
    }

    fn pass(&self, store: &Sqlite, deadline: Option<Deadline>) -> Result<Hold> {
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
        let deadline = deadline.unwrap_or_else(|| Deadline::after(store.timeout()));
        let inside = gate.enter(deadline).map_err(failed)?;
        inside.ok_or_else(|| late(store))
    }

    /// Takes the connection away before a fork, so that the child finds none of SQLite's state. `None`: a transaction is
    /// open, of this thread, or of the program's in another.
    pub(crate) fn retire(&self) -> Option<ArcMutexGuard<Option<Connection>>> {
        if self.is_mine() {
            return None;
        }
        let patience = fork::Patience::begin();
        while patience.goes_on(self.lent.load(Ordering::Relaxed)) {
            let Some(mut slot) = self.connection.try_lock_arc_for(fork::LOOK) else {
                continue;
            };
            if let Some(connection) = slot.take() {
                connection::close_for_fork(connection);
            }
            return Some(slot);
        }
        None
    }

    /// Keeps threads from coming and going over a fork.
    pub(crate) fn keep_still(&self) -> ArcMutexGuard<Queue<Parts>> {
        self.relay.keep_still()
    }

    /// In the child, where the others are not.
    pub(crate) fn forget_others(&self, queue: &mut Queue<Parts>) {
        self.relay.forget_all(queue);
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
    mine: Mine<'s>,
    /// Given back first, so that who passes the gate finds it free.
    slot: MutexGuard<'s, Option<Connection>>,
    _inside: Hold,
    baton: Baton<'s, Parts>,
}

/// What has come of waiting for a turn to do a part.
pub(crate) enum Entered<'s> {
    /// The part is still to be done.
    Turn(Turn<'s>),
    /// It was done by another thread.
    Done(Committed),
}

impl Turn<'_> {
    /// Runs work of the program's, which a fork doesn't wait for.
    pub(crate) fn lend<R>(&self, work: impl FnOnce() -> R) -> R {
        let lent = &self.mine.0.lent;
        lent.store(true, Ordering::Relaxed);
        let result = work();
        lent.store(false, Ordering::Relaxed);
        result
    }

    pub(crate) fn connection(&self) -> Result<&Connection> {
        self.slot.as_ref().ok_or_else(connection::closed)
    }

    /// Whether the commit is to be shared with those who wait, or are likely to come.
    pub(crate) fn is_shared(&self) -> bool {
        self.is_waited_for() || self.commits_to_disk() && self.mine.0.habits.expect_company()
    }

    /// Whether other threads wait.
    pub(crate) fn is_waited_for(&self) -> bool {
        self.mine.0.relay.is_waited_for()
    }

    /// The parts of others.
    pub(crate) fn parts(&self) -> Doing<'_, Parts> {
        self.baton.errands()
    }

    /// Waits for another thread to share a commit with this many, if that is worth it; says whether one has come.
    pub(crate) fn wait_for_company(&self, size: u32) -> bool {
        let Writer { relay, habits, .. } = self.mine.0;
        if let Some(patience) = habits.patience(size) {
            while !relay.is_waited_for() && !patience.is_past() {
                thread::yield_now();
            }
        }
        relay.is_waited_for()
    }

    /// Begins to measure how long a commit takes, if others may come to share one.
    pub(crate) fn watch(&self) -> Option<Instant> {
        let Writer { relay, habits, .. } = self.mine.0;
        let worth = self.commits_to_disk() && (relay.is_waited_for() || habits.has_company());
        worth.then(clock::now)
    }

    pub(crate) fn stop(&self, watch: Option<Instant>, size: u32) {
        let Writer { relay, habits, .. } = self.mine.0;
        if let Some(begun) = watch {
            habits.took(clock::now() - begun, size);
        }
        let waiting = u32::try_from(relay.waiting()).unwrap_or(u32::MAX);
        habits.had_company(size.saturating_add(waiting));
    }

    fn commits_to_disk(&self) -> bool {
        self.mine.0.durability.get() == Durability::Power
    }
}

/// This thread is the one that has the writer.
struct Mine<'s>(&'s Writer);

impl<'s> Mine<'s> {
    fn of(writer: &'s Writer) -> Self {
        writer.holder.store(thread_number(), Ordering::Relaxed);
        Mine(writer)
    }
}

impl Drop for Mine<'_> {
    fn drop(&mut self) {
        self.0.holder.store(0, Ordering::Relaxed);
        self.0.lent.store(false, Ordering::Relaxed);
    }
}

fn late(store: &Sqlite) -> Error {
    timed_out("the turn to write", store.timeout())
}

/// A number of this thread, never 0.
fn thread_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    thread_local! {
        static NUMBER: Cell<u64> = Cell::new(NEXT.fetch_add(1, Ordering::Relaxed));
    }
    NUMBER.with(Cell::get)
}
