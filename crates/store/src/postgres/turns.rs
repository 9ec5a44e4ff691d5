//! Transactions on this engine.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use crate::access::Access;
use crate::db::{Db, Link, Outcome};
use crate::error::{Error, Result};
use crate::over::Over;
use crate::postgres::Postgres;
use crate::postgres::work::{Manner, To, Turn, Work};
use crate::store::{PutOff, Store};
use crate::transaction::{Snapshot, Transaction, half_done, within_another};

thread_local! {
    /// The transactions that this thread has open: of which store, and what is to be done after it.
    static OPEN: RefCell<Vec<Open>> = const { RefCell::new(Vec::new()) };
}

type Open = (Identity, Vec<PutOff>);
type Identity = (u64, u64);

/// `store` is what the program calls, and what it has in hand within.
impl Postgres {
    pub(crate) fn transaction<R, E: From<Error>>(
        &self,
        store: &Store,
        work: impl FnOnce(&Transaction<'_>) -> Result<R, E>,
    ) -> Result<R, E> {
        self.in_turn(store, Beginning::AtOnce, work)
    }

    pub(crate) fn transaction_over<R, E: From<Error>>(
        &self,
        store: &Store,
        over: &Over<'_>,
        work: impl FnOnce(&Transaction<'_>) -> Result<R, E>,
    ) -> Result<R, E> {
        self.in_turn(store, Beginning::Over(over), work)
    }

    pub(crate) fn snapshot<R, E: From<Error>>(
        &self,
        store: &Store,
        look: impl FnOnce(&Snapshot<'_>) -> Result<R, E>,
    ) -> Result<R, E> {
        let connection = self.lend()?;
        let work = Work::new(&connection, Manner::Read);
        work.begin()?;
        let db = Db::reading(store, Link::Postgres(&work));
        look(&Snapshot { db, reader: None })
    }

    pub(crate) fn write<R>(
        &self,
        store: &Store,
        operation: impl FnOnce(&Db<'_>) -> Result<R>,
    ) -> Result<R> {
        self.in_turn(store, Beginning::WithTheFirst(To::Structures), |tx| {
            operation(&tx.db)
        })
    }

    pub(crate) fn one_by_one<R>(
        &self,
        store: &Store,
        operation: impl FnOnce(&Db<'_>) -> Result<R>,
    ) -> Result<R> {
        self.in_turn(store, Beginning::WithTheFirst(To::Circles), |tx| {
            operation(&tx.db)
        })
    }

    pub(crate) fn write_one<R>(
        &self,
        store: &Store,
        operation: impl FnOnce(&Db<'_>) -> Result<R>,
    ) -> Result<R> {
        self.must_be_writable()?;
        self.must_not_be_within()?;
        let connection = self.lend()?;
        let work = Work::new(&connection, Manner::WriteOne(self.turn(To::Structures)));
        let db = Db::writing(store, Link::Postgres(&work));
        let result = operation(&db);
        let outcome = db.into_outcome(result.is_ok());
        let late = work.late_rings();
        drop(work);
        drop(connection);
        self.after(store, outcome, &late);
        result
    }

    pub(crate) fn read<R>(
        &self,
        store: &Store,
        operation: impl Fn(&Db<'_>) -> Result<R>,
    ) -> Result<R> {
        self.read_in(store, Manner::Read, operation)
    }

    pub(crate) fn read_one<R>(
        &self,
        store: &Store,
        operation: impl Fn(&Db<'_>) -> Result<R>,
    ) -> Result<R> {
        match self.read_in(store, Manner::Look, &operation) {
            // Perhaps a large value was replaced between the row and the value: of one state they are both.
            Err(error) if error.is_corrupt() => self.read_in(store, Manner::Read, &operation),
            result => result,
        }
    }

    /// Whether a transaction of this thread is open.
    pub(crate) fn is_within(&self) -> bool {
        OPEN.with_borrow(|open| open.iter().any(|(of, _)| *of == self.identity()))
    }

    /// Keeps `then` until the transaction of this thread has ended; gives it back if there is none.
    pub(crate) fn put_off<F: FnOnce(&Store) + Send + 'static>(&self, then: F) -> Option<F> {
        OPEN.with_borrow_mut(
            |open| match open.iter_mut().find(|(of, _)| *of == self.identity()) {
                Some((_, put_off)) => {
                    put_off.push(Box::new(then));
                    None
                }
                None => Some(then),
            },
        )
    }

    fn in_turn<R, E: From<Error>>(
        &self,
        store: &Store,
        beginning: Beginning<'_>,
        work: impl FnOnce(&Transaction<'_>) -> Result<R, E>,
    ) -> Result<R, E> {
        self.must_be_writable()?;
        self.must_not_be_within()?;
        let connection = self.lend()?;
        let to = match beginning {
            Beginning::WithTheFirst(to) => to,
            Beginning::AtOnce | Beginning::Over(_) => To::Structures,
        };
        let turn = Work::new(&connection, Manner::Write(self.turn(to)));
        match beginning {
            Beginning::AtOnce => {
                let lately = self.shared.lately.lock().clone();
                turn.begin_and_look(&lately)?;
            }
            Beginning::Over(over) => {
                over.numbers.iter().for_each(|&it| turn.is_for(it));
                if let Err(error) = turn.begin() {
                    over.must_be_there(|it| store.read_one(|db| it.look(db)))?;
                    return Err(error.into());
                }
            }
            Beginning::WithTheFirst(_) => {}
        }
        let tx = Transaction {
            db: Db::writing(store, Link::Postgres(&turn)),
        };
        let within = Within::begin(self.identity());
        let result = catch_unwind(AssertUnwindSafe(|| {
            let result = work(&tx)?;
            if tx.db.doomed() {
                return Err(E::from(half_done()));
            }
            turn.commit()?;
            Ok(result)
        }));
        let outcome = tx.db.into_outcome(matches!(result, Ok(Ok(_))));
        let late = turn.late_rings();
        if let Beginning::AtOnce = beginning {
            *self.shared.lately.lock() = turn.seen();
        }
        drop(turn);
        drop(connection);
        let put_off = within.end();
        self.after(store, outcome, &late);
        for then in put_off {
            then(store);
        }
        result.unwrap_or_else(|panic| resume_unwind(panic))
    }

    fn read_in<R>(
        &self,
        store: &Store,
        manner: Manner<'_>,
        operation: impl Fn(&Db<'_>) -> Result<R>,
    ) -> Result<R> {
        self.must_not_be_within()?;
        let connection = self.lend()?;
        let work = Work::new(&connection, manner);
        operation(&Db::reading(store, Link::Postgres(&work)))
    }

    /// What is to follow, once it is committed or rolled back.
    fn after(&self, store: &Store, outcome: Outcome, late: &[usize]) {
        let late = if outcome.rings.is_empty() { &[] } else { late };
        self.ring(&outcome.rings, late);
        for then in outcome.then {
            then(store);
        }
    }

    pub(crate) fn turn(&self, to: To) -> Turn<'_> {
        Turn {
            store: self.shared.number,
            rope: &self.home().rope,
            me: self.me(),
            to,
            timeout: self.ways.timeout,
        }
    }

    fn must_not_be_within(&self) -> Result<()> {
        match self.is_within() {
            true => Err(within_another()),
            false => Ok(()),
        }
    }
}

/// When the turn to write is taken, and which.
#[derive(Clone, Copy)]
enum Beginning<'o> {
    /// That of the store.
    AtOnce,
    /// Those of some structures.
    Over(&'o Over<'o>),
    /// With the first statement, such a one; of structures, those that it is for then.
    WithTheFirst(To),
}

/// This thread is within a transaction, until it ends or this is dropped.
struct Within(Identity);

impl Within {
    fn begin(store: Identity) -> Self {
        OPEN.with_borrow_mut(|open| open.push((store, Vec::new())));
        Within(store)
    }

    fn end(self) -> Vec<PutOff> {
        self.leave()
    }

    fn leave(&self) -> Vec<PutOff> {
        OPEN.with_borrow_mut(|open| {
            let at = open.iter().position(|(of, _)| *of == self.0);
            at.map(|at| open.remove(at).1).unwrap_or_default()
        })
    }
}

impl Drop for Within {
    fn drop(&mut self) {
        self.leave();
    }
}
