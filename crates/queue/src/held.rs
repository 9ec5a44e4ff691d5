//! The row of a claimed job, for who holds it, and the ways in which a claim ends.

use std::sync::Arc;
use std::time::Duration;

use diskette_ipc::{OwnerId, fork};
use diskette_store::{Access, Db, Error, ErrorKind, Result, Store, Stored, Value};

use crate::backoff::Backoff;
use crate::home::Home;
use crate::inner::{Inner, micros};
use crate::job::Why;
use crate::sql;

#[derive(Clone)]
pub(crate) struct Held {
    pub(crate) inner: Arc<Inner>,
    pub(crate) store: Store,
    pub(crate) owner: OwnerId,
    /// Tells the claims of an owner apart.
    pub(crate) token: i64,
    pub(crate) row: i64,
    pub(crate) attempt: u32,
    pub(crate) max_attempts: u32,
    pub(crate) backoff: Option<Backoff>,
    pub(crate) group: Option<String>,
    pub(crate) time_limit: Option<Duration>,
    /// The process that made it.
    pub(crate) generation: u64,
    /// Where it goes if it is dropped, rather than to be given back.
    pub(crate) home: Option<Arc<Home>>,
}

/// What becomes of a claimed job.
#[derive(Clone, Copy)]
pub(crate) enum Ending<'e> {
    Complete,
    Fail(&'e str),
    RetryIn(Duration),
    Release { counts: bool },
    Die(Why, &'e str),
}

impl Held {
    /// Ends the claim. If that fails, it is still held, or was not any more.
    pub(crate) fn end(&self, access: &impl Access, ending: Ending<'_>) -> Result<()> {
        self.must_be_ours()?;
        let inside = self.inner.structure.inside(access);
        match self.group {
            Some(_) => inside.free(|db| self.end_within(db, ending)),
            // One statement.
            None => inside.free_one(|db| self.end_within(db, ending)),
        }
    }

    /// Ends the claim, with a result.
    pub(crate) fn complete_with(&self, access: &impl Access, result: Stored) -> Result<()> {
        self.must_be_ours()?;
        self.inner.structure.inside(access).write(|db| {
            let now = self.inner.timeline.now();
            self.change(db, sql::COMPLETE, &[now.into()])?;
            self.finished(db, now)?;
            let row = [self.row.into(), result.file(), result.value()];
            db.run(sql::PUT_RESULT, &row)?;
            result.link(db)
        })
    }

    fn end_within(&self, db: &Db<'_>, ending: Ending<'_>) -> Result<()> {
        let now = self.inner.timeline.now();
        let is_last = self.attempt >= self.max_attempts;
        match ending {
            Ending::Complete => {
                if !self.complete_and_drop(db)? {
                    self.change(db, sql::COMPLETE, &[now.into()])?;
                }
                self.finished(db, now)
            }
            Ending::Fail(error) if is_last => self.die(db, now, Why::Failed, error),
            Ending::Fail(error) => {
                let backoff = match self.backoff {
                    Some(backoff) => backoff,
                    None => self.inner.config(db)?.backoff,
                };
                self.retry(db, now, backoff.after(self.attempt), Some(error))
            }
            Ending::RetryIn(_) if is_last => {
                let error = "it was to be tried again after the last of its attempts";
                self.die(db, now, Why::Failed, error)
            }
            Ending::RetryIn(pause) => self.retry(db, now, pause, None),
            Ending::Release { counts: true } if is_last => {
                let error = "its worker dropped it in the last of its attempts";
                self.die(db, now, Why::Failed, error)
            }
            Ending::Release { counts } => {
                self.change(db, sql::RELEASE, &[i64::from(!counts).into()])?;
                db.ring(self.inner.structure.arrivals());
                Ok(())
            }
            Ending::Die(why, error) => self.die(db, now, why, error),
        }
    }

    /// Where nothing is kept that is done, mostly that can go at once.
    fn complete_and_drop(&self, db: &Db<'_>) -> Result<bool> {
        // What was kept by mistake is dropped with the next that are.
        let config = match db.travels() {
            true => self.inner.last_config(),
            false => self.inner.config(db)?,
        };
        if config.keep_done.last != Some(0) {
            return Ok(false);
        }
        let (owner, token) = (self.owner.as_i64().into(), self.token.into());
        let rows = self.inner.rows();
        let mut params = vec![self.row.into(), owner, token];
        params.extend([rows.start, rows.end].map(Value::from));
        let sql = match db.travels() {
            true => {
                params.push(self.inner.id());
                sql::COMPLETE_AND_DROP_IF_NONE_IS_KEPT
            }
            false => sql::COMPLETE_AND_DROP,
        };
        Ok(db.execute(sql, &params)? == 1)
    }

    /// Releases as soon as this thread is in no transaction; the attempt counts. If that fails, the job is ready when this process
    /// ends.
    pub(crate) fn give_back(mut self) {
        if !self.is_ours() {
            return;
        }
        if let Some(home) = self.home.take() {
            home.receive(self);
        } else {
            let store = self.store.clone();
            store.when_free(move |store| {
                let _ = self.end(store, Ending::Release { counts: true });
            });
        }
    }

    pub(crate) fn must_be_ours(&self) -> Result<()> {
        match self.is_ours() {
            true => self.store.must_be_here(),
            false => Err(Error::new(
                ErrorKind::Misuse,
                "this claim belongs to the process that this one was forked from; nothing was changed: claim a job of its own",
            )),
        }
    }

    /// Runs a statement whose last parameters say which claim it is about.
    pub(crate) fn change(&self, db: &Db<'_>, sql: &str, params: &[Value<'_>]) -> Result<()> {
        let (owner, token) = (self.owner.as_i64().into(), self.token.into());
        let params = [params, &[self.row.into(), owner, token]].concat();
        match db.execute(sql, &params)? {
            0 => Err(overtaken()),
            _ => Ok(()),
        }
    }

    fn retry(&self, db: &Db<'_>, now: i64, pause: Duration, error: Option<&str>) -> Result<()> {
        let at = now.saturating_add(micros(pause));
        let error = error.map(cut);
        self.change(db, sql::RETRY, &[at.into(), error.as_deref().into()])?;
        db.ring(self.inner.structure.arrivals());
        Ok(())
    }

    fn die(&self, db: &Db<'_>, now: i64, why: Why, error: &str) -> Result<()> {
        let error = cut(error);
        let params = [now.into(), why.name().into(), error.as_str().into()];
        self.change(db, sql::BURY_HELD, &params)?;
        self.finished(db, now)
    }

    fn finished(&self, db: &Db<'_>, now: i64) -> Result<()> {
        self.inner.promote(db, self.group.as_deref(), now)?;
        self.inner.finished(db, [self.row])
    }

    fn is_ours(&self) -> bool {
        self.generation == fork::generation()
    }
}

/// What somebody says, as it is recorded: a page of it.
pub(crate) fn cut(text: &str) -> String {
    const MOST: usize = 8 * 1024;
    let mut end = text.len().min(MOST);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].replace('\0', "\u{fffd}")
}

fn overtaken() -> Error {
    Error::new(
        ErrorKind::Overtaken,
        "this claim is not held any more: its time limit passed, it was taken away or discarded, ended already, or made in a \
         transaction that was rolled back; nothing was changed: claim another job",
    )
}
