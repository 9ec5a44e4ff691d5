//! The one writing connection of a process, and the gate that the writers of all processes pass.

use std::cell::Cell;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use diskette_ipc::clock::{self, Deadline};
use diskette_ipc::{ArcMutexGuard, Baton, Hold, Mutex, MutexGuard, Queue, Relay};
use rusqlite::Connection;

use crate::error::{Error, Result, removed, timed_out};
use crate::options::{AtomicDurability, Durability};
use crate::sqlite::Sqlite;
use crate::sqlite::connection::{self, Role};
use crate::sqlite::fork;
use crate::sqlite::gate::{Gate, TURN};
use crate::sqlite::group::{Group, Habits};
use crate::sqlite::reading;
use crate::sqlite::turns;
use crate::transaction::within_another;

/// Each thread of this process that waits has had a turn by then.
const ROUND: Duration = Duration::from_millis(24);

/// The state of the writer: the threads of this process have the `relay` in turns, the one that has it queues at `gate` for its
/// process, and the one inside is alone with the database, by the `connection` of its process.
pub(crate) struct Writer {
    relay: Relay,
    /// What comes with the relay when a thread hands on a transaction.
    handed_on: Mutex<Option<(Group, Hold)>>,
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
        Writer {
            relay: Relay::new(TURN, ROUND),
            handed_on: Mutex::default(),
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
        self.enter_and(store, false)
    }

    /// The same for a single statement that may share its commit with those of other threads: then the turn comes with a
    /// [group](Turn::take_group).
    pub(crate) fn enter_to_join<'s>(&'s self, store: &Sqlite) -> Result<Turn<'s>> {
        self.enter_and(store, true)
    }

    fn enter_and<'s>(&'s self, store: &Sqlite, joins: bool) -> Result<Turn<'s>> {
        store.must_be_writable()?;
        if self.is_mine() {
            return Err(within_another());
        }
        fork::must_be_whole()?;
        let Some(baton) = self.relay.try_take() else {
            let timeout = store.timeout();
            let deadline = Deadline::after(timeout);
            let baton = self.relay.take(joins, deadline);
            let baton = baton.ok_or_else(|| timed_out("the turn to write", timeout))?;
            return match self.handed_on.lock().take() {
                Some((group, inside)) => Ok(self.join(baton, group, inside)),
                None => self.begin(store, baton, Some(deadline), joins),
            };
        };
        self.begin(store, baton, None, joins)
    }

    fn begin<'s>(
        &'s self,
        store: &Sqlite,
        baton: Baton<'s>,
        deadline: Option<Deadline>,
        joins: bool,
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
        let shares =
            joins && wanted == Durability::Power && self.habits.share(self.relay.is_waited_for());
        Ok(Turn {
            mine: Mine::of(self),
            slot,
            group: shares.then(Group::begin),
            inside,
            baton,
        })
    }

    /// Goes on with what another thread has begun. It isn't to wait for a fork: that waits for it.
    fn join<'s>(&'s self, baton: Baton<'s>, group: Group, inside: Hold) -> Turn<'s> {
        Turn {
            slot: self.connection.lock(),
            mine: Mine::of(self),
            group: Some(group.joined()),
            inside,
            baton,
        }
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
        let timeout = store.timeout();
        let inside = gate.enter(deadline.unwrap_or_else(|| Deadline::after(timeout)));
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
            let Some(mut slot) = self.connection.try_lock_arc_for(fork::LOOK) else {
                continue;
            };
            if slot.as_ref().is_some_and(|it| !it.is_autocommit()) {
                // It is being handed on, and soon committed.
                drop(slot);
                clock::sleep(fork::LOOK);
                continue;
            }
            if let Some(connection) = slot.take() {
                connection::close_for_fork(connection);
            }
            return Some(slot);
        }
        None
    }

    /// Keeps threads from coming and going over a fork.
    pub(crate) fn keep_still(&self) -> ArcMutexGuard<Queue> {
        self.relay.keep_still()
    }

    /// In the child, where the others are not.
    pub(crate) fn forget_others(&self, queue: &mut Queue) {
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
    group: Option<Group>,
    inside: Hold,
    baton: Baton<'s>,
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

    /// Whether the commit is to be shared with other threads.
    pub(crate) fn is_shared(&self) -> bool {
        self.group.is_some()
    }

    /// Whether the transaction of the group was begun before.
    pub(crate) fn has_joined(&self) -> bool {
        self.group.as_ref().is_some_and(|group| group.size() > 1)
    }

    /// Begins to measure how long a commit takes, if others may come to share one.
    pub(crate) fn watch(&self) -> Option<Instant> {
        let Writer {
            relay,
            durability,
            habits,
            ..
        } = self.mine.0;
        let worth = durability.get() == Durability::Power
            && (relay.is_waited_for() || habits.has_company());
        worth.then(clock::now)
    }

    pub(crate) fn stop(&self, watch: Option<Instant>) {
        let Writer { relay, habits, .. } = self.mine.0;
        if let Some(begun) = watch {
            habits.took(clock::now() - begun, 1);
        }
        habits.had_company(1 + u32::from(relay.is_waited_for()));
    }

    /// What makes garbage of value files begins an era with the commit.
    pub(crate) fn will_begin_era(&mut self, era: Option<u64>) {
        if let Some(group) = &mut self.group {
            group.next_era = group.next_era.max(era);
        }
    }

    /// Hands the transaction on to another thread that waits and joins in; otherwise commits it, or takes it back if it isn't
    /// `whole`. Returns once it is committed, or has failed, by whichever thread.
    pub(crate) fn commit_together(mut self, store: &Sqlite, whole: Result<()>) -> Result<()> {
        let Some(group) = self.group.take() else {
            return whole;
        };
        let writer = self.mine.0;
        let ending = group.ending();
        if whole.is_ok() && group.may_grow() {
            writer.wait_for_company(group.size());
            match self.baton.hand_on() {
                Ok(handing) => {
                    drop((self.mine, self.slot));
                    *writer.handed_on.lock() = Some((group, self.inside));
                    drop(handing);
                    return ending.wait();
                }
                Err(baton) => self.baton = baton,
            }
        }
        let begun = clock::now();
        let committed = self.connection().and_then(|it| turns::end(it, whole));
        if committed.is_ok() {
            writer.habits.took(clock::now() - begun, group.size());
            writer.habits.had_company(group.size());
            if let Some(era) = group.next_era {
                store.begin_era(era);
            }
        }
        drop(self);
        group.end(committed);
        ending.wait()
    }
}

impl Writer {
    fn wait_for_company(&self, size: u32) {
        if let Some(patience) = self.habits.patience(size) {
            while !self.relay.is_waited_for() && !patience.is_past() {
                thread::yield_now();
            }
        }
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

/// A number of this thread, never 0.
fn thread_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    thread_local! {
        static NUMBER: Cell<u64> = Cell::new(NEXT.fetch_add(1, Ordering::Relaxed));
    }
    NUMBER.with(Cell::get)
}
