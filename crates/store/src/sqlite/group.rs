//! Calls of several threads that share one commit.
//!
//! A thread that finds the writer taken leaves what it has to do. Whoever has the writer does all that was left, each *part* in a
//! savepoint, and commits it. Until then nobody else sees what a part did, and no call returns: neither with a result, nor with
//! an error that is about what others did.
//!
//! Only single statements of the toolkit's own share one, since nobody waits for what a program does in its transactions.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::Duration;

use diskette_ipc::{Deadline, Errands};
use rusqlite::Connection;

use crate::db::{Db, Link, Outcome};
use crate::error::{Error, ErrorKind, Result};
use crate::following::Once;
use crate::sqlite::turns::run;
use crate::store::Store;
use crate::transaction::half_done;

/// So many parts, and then they are committed.
pub(crate) const LARGEST: u32 = 64;

/// What is left at the writer's [relay](diskette_ipc::Relay). A part says which era of value files begins with the commit; or why
/// there will be none.
pub(crate) enum Parts {}

impl Errands for Parts {
    type Tool = Connection;
    type Done = Result<Option<u64>, Arc<Error>>;
    type End = Committed;
}

/// How the commit of several parts has ended, for each of them.
pub(crate) type Committed = Result<(), Arc<Error>>;

/// An operation that another thread may do.
pub(crate) struct Part<'s, O, R> {
    store: &'s Store,
    pub(crate) operation: Once<O>,
    done: Option<Done<R>>,
}

struct Done<R> {
    result: thread::Result<Result<R>>,
    after_commit: Outcome,
    after_rollback: Outcome,
}

impl<'s, O: FnOnce(&Db<'_>) -> Result<R>, R> Part<'s, O, R> {
    pub(crate) fn new(store: &'s Store, operation: O) -> Self {
        Part {
            store,
            operation: Once::new(operation),
            done: None,
        }
    }

    /// Does it in a transaction with others, which the first of them begins.
    ///
    /// # Errors
    ///
    /// After some failures (a full disk) SQLite has rolled back all parts by itself.
    pub(crate) fn run(&mut self, connection: &Connection) -> Result<Option<u64>, Arc<Error>> {
        let db = Db::writing(self.store, Link::Sqlite(connection));
        let result = catch_unwind(AssertUnwindSafe(|| {
            let operation = self.operation.begin()?;
            if connection.is_autocommit() {
                run(connection, "BEGIN IMMEDIATE")?;
            }
            run(connection, "SAVEPOINT part")?;
            let result = operation(&db)?;
            run(connection, "RELEASE part")?;
            Ok(result)
        }));
        let done = matches!(result, Ok(Ok(_)));
        let undone = || {
            run(connection, "ROLLBACK TO part")?;
            run(connection, "RELEASE part")
        };
        let whole = match &result {
            _ if done || !connection.is_autocommit() && undone().is_ok() => Ok(()),
            Ok(Err(error)) => Err(rolled_back(error)),
            _ => Err(half_done()),
        };
        let [after_commit, after_rollback] = db.into_outcomes();
        let next_era = after_commit.next_era.filter(|_| done);
        self.done = Some(Done {
            result,
            after_commit,
            after_rollback,
        });
        whole.map(|()| next_era).map_err(Arc::new)
    }

    /// Its result, once all parts were committed or rolled back, and what is to follow.
    pub(crate) fn end(self, committed: Committed) -> (Outcome, impl FnOnce() -> Result<R>) {
        let committed = committed.map_err(|error| shared(&error));
        let (outcome, result) = match self.done {
            Some(done) if committed.is_ok() && matches!(done.result, Ok(Ok(_))) => {
                (done.after_commit, done.result)
            }
            Some(done) => (done.after_rollback, done.result),
            None => (Outcome::default(), Ok(Err(half_done()))),
        };
        let result = || match result {
            Ok(Ok(result)) => committed.map(|()| result),
            Ok(Err(error)) => Err(error),
            Err(panic) => resume_unwind(panic),
        };
        (outcome, result)
    }
}

/// Who was to commit has panicked.
pub(crate) fn deserted() -> Arc<Error> {
    let message = "the thread that was to commit has panicked";
    Arc::new(Error::new(ErrorKind::Io, message))
}

/// SQLite has rolled back what all have done, because of what one has.
fn rolled_back(error: &Error) -> Error {
    let message =
        format!("another thread's part failed, and SQLite rolled back the whole: {error}");
    Error::new(error.kind(), message)
}

fn shared(error: &Arc<Error>) -> Error {
    let message = format!("the commit that several threads had together failed: {error}");
    Error::new(error.kind(), message).caused_by(Arc::clone(error))
}

/// Whether it is worth it.
#[derive(Default)]
pub(crate) struct Habits {
    /// About how long a commit takes, in microseconds, beside the writing of its pages.
    cost: AtomicU32,
    /// How many threads had the last commit together, or came to wait meanwhile.
    company: AtomicU32,
}

impl Habits {
    /// A commit that takes less than this is made sooner than a sleeping thread is woken: nobody waits for company.
    const WORTH: u32 = 40;

    /// What each part adds to it.
    const PART: u32 = 2;

    /// How long to wait, at most, for those who had the last commit together with this thread.
    const PATIENCE: Duration = Duration::from_micros(100);

    /// Whether a commit is to be shared with whoever comes, while nobody waits.
    pub(crate) fn expect_company(&self) -> bool {
        self.is_worth_it() && self.has_company()
    }

    /// A commit of so many parts took so long. What is slow by chance is hardly counted, since the next one is faster.
    pub(crate) fn took(&self, time: Duration, parts: u32) {
        let cost = u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
        let cost = cost.saturating_sub(parts.saturating_mul(Self::PART));
        let before = self.cost.load(Relaxed);
        let at_most = before.saturating_add(before / 8 + 1);
        self.cost.store(cost.min(at_most), Relaxed);
    }

    pub(crate) fn has_company(&self) -> bool {
        self.company.load(Relaxed) > 1
    }

    pub(crate) fn had_company(&self, size: u32) {
        self.company.store(size, Relaxed);
    }

    fn is_worth_it(&self) -> bool {
        self.cost.load(Relaxed) >= Self::WORTH
    }

    /// Until when a group of this size waits for another thread to come. All who have just had a commit together come back at
    /// about the same time.
    pub(crate) fn patience(&self, size: u32) -> Option<Deadline> {
        if !self.is_worth_it() || size >= self.company.load(Relaxed) {
            return None;
        }
        let half = Duration::from_micros((self.cost.load(Relaxed) / 2).into());
        Some(Deadline::after(half.min(Self::PATIENCE)))
    }
}

#[cfg(test)]
mod tests;
