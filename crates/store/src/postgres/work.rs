//! One operation or transaction on a connection.
//!
//! What begins it goes out with its first statement, and what ends it, where there is only one, too: so that a call takes one
//! round trip.

use std::cell::{Cell, RefCell};
use std::iter;
use std::time::Duration;

use diskette_ipc::OwnerId;
use tokio_postgres::Row;

use crate::error::{Error, Result};
use crate::postgres::connection::{Around, Connection, Request};
use crate::postgres::dialect;
use crate::postgres::failure::from_postgres;
use crate::postgres::ringing::Rope;
use crate::row::Value;

const READ: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
const BEGIN: &str = "BEGIN";
const LIMIT_LOCKS: &str = "SELECT set_config('lock_timeout', $1, false)";
const ENTER: &str = "SELECT pg_advisory_xact_lock($1, $2)";
const ENTER_STRUCTURE: &str = "SELECT enter($1, $2)";
const ENTER_SLOTS: &str = "SELECT enter_slots($1)";
const COMMIT: &str = "COMMIT";
const THERE: &str = "SELECT id FROM structures WHERE id IN ($1, $2, $3, $4, $5, $6, $7, $8)";

/// So many structures can be looked for as a transaction begins.
const LOOKED_FOR: usize = 8;

/// So many statements are sent together.
const MOST: usize = 100;

pub(crate) struct Work<'c> {
    connection: &'c Connection,
    manner: Manner<'c>,
    /// Whose turn it needs, of the store's structures; none: that of all.
    structures: RefCell<Vec<i64>>,
    /// Those that were seen in the turn of all: they stay until its end.
    seen: RefCell<Vec<i64>>,
    /// Lines of the doorbell to be rung with the commit.
    lines: RefCell<Vec<usize>>,
    /// How many of them were.
    rung: Cell<usize>,
    /// What goes out with the next statement.
    pending: RefCell<Vec<Request>>,
    state: Cell<State>,
    /// Whether something was changed, or may have been.
    wrote: Cell<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner<'c> {
    /// One reading statement, by itself.
    Look,
    /// Reading ones that see one state.
    Read,
    /// One writing statement, by itself, in its turn.
    WriteOne(Turn<'c>),
    /// Any, in their turn.
    Write(Turn<'c>),
}

/// A turn to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Turn<'c> {
    pub(crate) store: i64,
    pub(crate) rope: &'c Rope,
    /// Who needn't be told by it.
    pub(crate) me: OwnerId,
    pub(crate) to: To,
    pub(crate) timeout: Duration,
}

/// What it is to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum To {
    /// The structures that the work is for, or all.
    Structures,
    /// What is held of a structure.
    Slots(i64),
    /// Who waits for whom.
    Circles,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    NotBegun,
    Begun,
    Ended,
}

impl<'c> Work<'c> {
    pub(crate) fn new(connection: &'c Connection, manner: Manner<'c>) -> Self {
        Work {
            connection,
            manner,
            structures: RefCell::default(),
            seen: RefCell::default(),
            lines: RefCell::default(),
            rung: Cell::new(0),
            pending: RefCell::default(),
            state: Cell::new(State::NotBegun),
            wrote: Cell::new(false),
        }
    }

    /// Is for this structure, among others: its turn is taken with the first statement.
    pub(crate) fn is_for(&self, structure: i64) {
        if self.state.get() == State::NotBegun {
            let mut structures = self.structures.borrow_mut();
            if let Err(at) = structures.binary_search(&structure) {
                structures.insert(at, structure);
            }
        }
    }

    /// Whether its turn fails if the structure is not there, or it was seen in it.
    pub(crate) fn sees_to(&self, structure: i64) -> bool {
        self.structures.borrow().binary_search(&structure).is_ok()
            || self.seen.borrow().contains(&structure)
    }

    /// The structure was found.
    pub(crate) fn has_seen(&self, structure: i64) {
        self.seen.borrow_mut().insert(0, structure);
    }

    /// Those that were found, the last first, as many as can be looked for.
    pub(crate) fn seen(&self) -> Vec<i64> {
        self.seen
            .borrow()
            .iter()
            .copied()
            .take(LOOKED_FOR)
            .collect()
    }

    /// Wakes those who wait at this line, with the commit if it is yet to come.
    pub(crate) fn ring(&self, line: usize) {
        self.lines.borrow_mut().push(line);
    }

    /// The lines that were to be rung after the commit was sent.
    pub(crate) fn late_rings(&self) -> Vec<usize> {
        self.lines.borrow()[self.rung.get()..].to_vec()
    }

    /// Takes the turn at once, for a transaction of the program's.
    pub(crate) fn begin(&self) -> Result<()> {
        self.open("")?;
        self.flush()
    }

    /// Takes the turn of all at once, and looks in the same round trip which of these structures are there.
    pub(crate) fn begin_and_look(&self, structures: &[i64]) -> Result<()> {
        if structures.is_empty() {
            return self.begin();
        }
        let all = structures.iter().copied().chain(iter::repeat(0));
        let all: Vec<_> = all.take(LOOKED_FOR).map(Value::from).collect();
        let there = self.query(THERE, &all)?;
        let there = there.iter().map(|row| row.try_get(0));
        let there: std::result::Result<Vec<_>, _> = there.collect();
        self.seen.replace(there.map_err(from_postgres)?);
        Ok(())
    }

    /// A statement of which only its success is of interest: it goes out with the next one that is not, or with the commit.
    pub(crate) fn run(&self, sql: &str, params: &[Value<'_>]) -> Result<()> {
        self.wrote.set(true);
        match self.manner {
            Manner::WriteOne(_) => self.execute(sql, params).map(drop),
            _ => {
                self.open(sql)?;
                // What the server has yet to be asked about may be about what those make that go out before it.
                if !self.connection.knows(sql) || self.pending.borrow().len() >= MOST {
                    self.flush()?;
                }
                self.queue(sql, params)
            }
        }
    }

    pub(crate) fn execute(&self, sql: &str, params: &[Value<'_>]) -> Result<usize> {
        let execute = |around: Around<'_>| self.connection.execute_within(sql, params, around);
        let changed = self.travel(sql, execute)?;
        Ok(usize::try_from(changed).unwrap_or(usize::MAX))
    }

    pub(crate) fn query(&self, sql: &str, params: &[Value<'_>]) -> Result<Vec<Row>> {
        let query = |around: Around<'_>| self.connection.query_within(sql, params, around);
        self.travel(sql, query)
    }

    /// A statement without parameters, for parts of a transaction.
    pub(crate) fn batch(&self, sql: &str) -> Result<()> {
        self.wrote.set(true);
        self.flush()?;
        self.connection.batch(sql)
    }

    /// Sends what is pending.
    pub(crate) fn flush(&self) -> Result<()> {
        match self.pending.take() {
            none if none.is_empty() => Ok(()),
            pending => self.connection.send(&pending),
        }
    }

    pub(crate) fn commit(&self) -> Result<()> {
        match self.state.replace(State::Ended) {
            State::Begun if self.wrote.get() || !self.lines.borrow().is_empty() => {
                self.queue_ending()?;
                self.flush()
            }
            State::Begun => {
                self.flush()?;
                self.connection.leave(COMMIT);
                Ok(())
            }
            State::NotBegun | State::Ended => Ok(()),
        }
    }

    fn travel<R>(&self, sql: &str, run: impl FnOnce(Around<'_>) -> Result<R>) -> Result<R> {
        self.wrote.set(self.wrote.get() || dialect::writes(sql));
        let opened = self.open(sql)?;
        if !self.connection.knows(sql) {
            self.flush()?;
        }
        let before = self.pending.take();
        let alone = opened && matches!(self.manner, Manner::WriteOne(_));
        if alone {
            self.queue_ending()?;
        }
        let after = self.pending.take();
        let result = run(Around {
            before: &before,
            after: &after,
        });
        if alone {
            self.state.set(State::NotBegun);
            if result.is_err() {
                // What failed has been ended by the COMMIT; unless it never came there.
                let _ = self.connection.batch("ROLLBACK");
            }
        }
        result
    }

    /// Has what begins it go out before this statement, if that is the first that needs it.
    fn open(&self, sql: &str) -> Result<bool> {
        if self.state.get() != State::NotBegun {
            return Ok(false);
        }
        match self.manner {
            Manner::Look => return Ok(false),
            Manner::WriteOne(_) if !dialect::writes(sql) => return Ok(false),
            _ => self.state.set(State::Begun),
        }
        match self.manner {
            Manner::WriteOne(turn) | Manner::Write(turn) => self.queue_turn(turn)?,
            Manner::Look | Manner::Read => self.queue(READ, &[])?,
        }
        Ok(true)
    }

    fn queue_turn(&self, turn: Turn<'_>) -> Result<()> {
        self.connection.allow(turn.timeout);
        if let Some(timeout) = self.connection.limit_locks(turn.timeout) {
            self.queue(LIMIT_LOCKS, &[timeout.as_str().into()])?;
        }
        self.queue(BEGIN, &[])?;
        let store = turn.store.into();
        match turn.to {
            To::Structures => {
                let structures = self.structures.borrow();
                if structures.is_empty() {
                    return self.queue(ENTER, &[store, 0.into()]);
                }
                let mut structures = structures.iter();
                structures.try_for_each(|&it| self.queue(ENTER_STRUCTURE, &[store, it.into()]))
            }
            To::Slots(structure) => self.queue(ENTER_SLOTS, &[structure.into()]),
            To::Circles => self.queue(ENTER, &[store, i64::from(i32::MIN).into()]),
        }
    }

    /// The commit, and what follows it.
    fn queue_ending(&self) -> Result<()> {
        self.queue(COMMIT, &[])?;
        let lines = self.lines.borrow();
        self.rung.set(lines.len());
        match self.manner {
            Manner::WriteOne(turn) | Manner::Write(turn) if !lines.is_empty() => {
                let (sql, params) = turn.rope.pull(&lines, turn.me);
                self.queue(&sql, &params)
            }
            _ => Ok(()),
        }
    }

    fn queue(&self, sql: &str, params: &[Value<'_>]) -> Result<()> {
        let request = self.connection.request(sql, params)?;
        self.pending.borrow_mut().push(request);
        Ok(())
    }
}

impl Drop for Work<'_> {
    fn drop(&mut self) {
        if self.state.get() == State::Begun && self.connection.is_open() {
            match self.wrote.get() {
                false => self.connection.leave("ROLLBACK"),
                true => drop::<Result<(), Error>>(self.connection.batch("ROLLBACK")),
            }
        }
    }
}

/// A part of a transaction, undone when dropped.
pub(crate) struct Part<'c> {
    work: &'c Work<'c>,
    undo: &'static str,
    over: bool,
}

impl<'c> Part<'c> {
    pub(crate) fn begin(work: &'c Work<'c>, begin: &str, undo: &'static str) -> Result<Self> {
        work.batch(begin)?;
        Ok(Part {
            work,
            undo,
            over: false,
        })
    }

    pub(crate) fn end(mut self, end: &str) -> Result<()> {
        self.work.batch(end)?;
        self.over = true;
        Ok(())
    }
}

impl Drop for Part<'_> {
    fn drop(&mut self) {
        if !self.over && self.work.connection.is_open() {
            self.work.pending.take();
            // Those that were made in it are gone.
            self.work.seen.take();
            let _ = self.work.batch(self.undo);
        }
    }
}
