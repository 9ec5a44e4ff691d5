//! One operation or transaction on a connection.
//!
//! What begins it goes out with its first statement, and what ends it, where there is only one, too: so that a call takes one
//! round trip.

use std::cell::{Cell, RefCell};
use std::fmt::Write;
use std::time::Duration;

use tokio_postgres::Row;

use crate::error::{Error, Result};
use crate::postgres::connection::{Around, Connection};
use crate::postgres::dialect;
use crate::postgres::ringing::Rope;
use crate::row::Value;

pub(crate) struct Work<'c> {
    connection: &'c Connection,
    manner: Manner<'c>,
    /// Whose turn it needs, of the store's structures; none: that of all.
    structures: RefCell<Vec<i64>>,
    /// Lines of the doorbell to be rung with the commit.
    lines: RefCell<Vec<usize>>,
    /// How many of them were.
    rung: Cell<usize>,
    state: Cell<State>,
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
            lines: RefCell::default(),
            rung: Cell::new(0),
            state: Cell::new(State::NotBegun),
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

    /// Whether its turn fails if the structure is not there.
    pub(crate) fn sees_to(&self, structure: i64) -> bool {
        self.structures.borrow().binary_search(&structure).is_ok()
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
        match self.opening("") {
            Some(begin) => self.connection.batch(&begin),
            None => Ok(()),
        }
    }

    pub(crate) fn execute(&self, sql: &str, params: &[Value<'_>]) -> Result<usize> {
        let changed = self.around(sql, |around| self.connection.execute(sql, params, around))?;
        Ok(usize::try_from(changed).unwrap_or(usize::MAX))
    }

    pub(crate) fn query(&self, sql: &str, params: &[Value<'_>]) -> Result<Vec<Row>> {
        self.around(sql, |around| self.connection.query(sql, params, around))
    }

    /// A statement without parameters, for parts of a transaction.
    pub(crate) fn batch(&self, sql: &str) -> Result<()> {
        self.connection.batch(sql)
    }

    pub(crate) fn commit(&self) -> Result<()> {
        match self.state.replace(State::Ended) {
            State::Begun => self.connection.batch(&self.ending()),
            State::NotBegun | State::Ended => Ok(()),
        }
    }

    fn around<R>(&self, sql: &str, run: impl FnOnce(Around<'_>) -> Result<R>) -> Result<R> {
        let before = self.opening(sql);
        let alone = matches!(self.manner, Manner::WriteOne(_)) && before.is_some();
        let after = alone.then(|| self.ending());
        let result = run(Around {
            before: before.as_deref(),
            after: after.as_deref(),
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

    /// What has to come before the first statement.
    fn opening(&self, sql: &str) -> Option<String> {
        if self.state.get() != State::NotBegun {
            return None;
        }
        let begin = match self.manner {
            Manner::Look => return None,
            Manner::WriteOne(_) if !dialect::writes(sql) => return None,
            Manner::Read => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY".to_owned(),
            Manner::WriteOne(turn) | Manner::Write(turn) => {
                self.connection.allow(turn.timeout);
                let mut begin = format!(
                    "BEGIN; SET LOCAL lock_timeout = {}",
                    turn.timeout.as_millis().clamp(1, i32::MAX as u128)
                );
                let structures = self.structures.borrow();
                let store = turn.store;
                let _ = match turn.to {
                    To::Structures if structures.is_empty() => {
                        write!(begin, "; SELECT pg_advisory_xact_lock({store}, 0)")
                    }
                    To::Structures => structures
                        .iter()
                        .try_for_each(|it| write!(begin, "; SELECT enter({store}, {it})")),
                    To::Slots(structure) => write!(begin, "; SELECT enter_slots({structure})"),
                    To::Circles => {
                        write!(
                            begin,
                            "; SELECT pg_advisory_xact_lock({store}, {})",
                            i32::MIN
                        )
                    }
                };
                begin
            }
        };
        self.state.set(State::Begun);
        Some(begin)
    }

    /// The commit, and what follows it.
    fn ending(&self) -> String {
        let lines = self.lines.borrow();
        self.rung.set(lines.len());
        match self.manner {
            Manner::WriteOne(turn) | Manner::Write(turn) if !lines.is_empty() => {
                format!("COMMIT; {}", turn.rope.pull(&lines))
            }
            _ => "COMMIT".to_owned(),
        }
    }
}

impl Drop for Work<'_> {
    fn drop(&mut self) {
        if self.state.get() == State::Begun && self.connection.is_open() {
            let _: Result<(), Error> = self.connection.batch("ROLLBACK");
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
            let _ = self.work.batch(self.undo);
        }
    }
}
