//! Many jobs are completed at once.

use std::collections::BTreeSet;
use std::iter;
use std::mem;
use std::sync::Arc;

use diskette_ipc::Mutex;
use diskette_store::{Access, Db, Error, ErrorKind, Result, Value};

use crate::claim::{Claim, Hold};
use crate::held::Held;
use crate::job::JobId;
use crate::queue::Queue;
use crate::sql;

/// So many jobs are named in an error.
const NAMED: usize = 10;

impl<J, C, A: Access> Queue<J, C, A> {
    /// The jobs of all these claims are done: all of them, or none. Within a transaction as part of that: what the work has written goes
    /// into the same one.
    ///
    /// # Errors
    ///
    /// Those of [`Claim::complete_now`]. If only one of the jobs isn't its claim's any more, that is [`is_overtaken`](Error::is_overtaken),
    /// and it says which; [`is_misuse`](Error::is_misuse) for a claim of another queue. After an error all are given back, and a transaction in
    /// which some were overtaken can't be committed.
    ///
    /// # Cost
    ///
    /// Two statements for up to 100 jobs that were [claimed together](Queue::claim_many), and one for each that has a group.
    ///
    /// # Example
    ///
    /// ```
    /// use diskette::{Index, Queue, Store};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # std::env::set_current_dir(&dir)?;
    /// let store = Store::open("store")?;
    /// let words = Queue::<String>::new(&store, "words")?;
    /// let lengths = Index::<String, usize>::new(&store, "lengths")?;
    /// words.push_all(["deque", "index", "cache"])?;
    ///
    /// let claims = words.claim_many(100)?;
    /// store.transaction(|tx| {
    ///     lengths.within(tx).extend(claims.iter().map(|word| (word.to_string(), word.len())))?;
    ///     words.within(tx).complete_all(claims)
    /// })?;
    /// assert!(words.is_idle()?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn complete_all(&self, claims: impl IntoIterator<Item = Claim<J, C>>) -> Result<()> {
        let mut batch: Vec<_> = claims.into_iter().map(|claim| claim.hold).collect();
        batch.sort_by_key(|hold| hold.0.as_ref().map(|held| (held.token, held.row)));
        let complete = || {
            for held in held(&batch) {
                held.must_be_ours()?;
                self.must_be_of_this(held)?;
            }
            if batch.is_empty() {
                return Ok(());
            }
            let batch = Arc::new(Mutex::new(batch));
            self.inside().free(|db| {
                self.complete_batch(db, &batch.lock())?;
                let (ended, undone) = (Arc::clone(&batch), Arc::clone(&batch));
                db.on_commit(move |_| {
                    mem::take(&mut *ended.lock())
                        .iter_mut()
                        .for_each(|hold| hold.0 = None)
                });
                db.on_rollback(move |_| drop(mem::take(&mut *undone.lock())));
                Ok(())
            })
        };
        self.doing("complete_all", complete())
    }

    fn complete_batch(&self, db: &Db<'_>, batch: &[Hold]) -> Result<()> {
        let now = self.inner.timeline.now();
        let batch: Vec<_> = held(batch).collect();
        let mut overtaken = Vec::new();
        for together in batch.chunk_by(|a, b| a.token == b.token) {
            for some in together.chunks(sql::SEVERAL[2]) {
                overtaken.extend(self.complete_some(db, some, now)?);
            }
        }
        if !overtaken.is_empty() {
            return Err(some_overtaken(&overtaken, batch.len()));
        }
        for held in &batch {
            self.inner.promote(db, held.group.as_deref(), now)?;
        }
        self.inner.finished(db, batch.iter().map(|held| held.row))
    }

    /// Completes jobs with the same token, as many as one statement takes; those of them that are held. Returns the others.
    fn complete_some(&self, db: &Db<'_>, some: &[&Held], now: i64) -> Result<Vec<JobId>> {
        let Some(&first) = some.first() else {
            return Ok(Vec::new());
        };
        let size = sql::SEVERAL.iter().position(|&size| size >= some.len());
        let size = size.unwrap_or(sql::SEVERAL.len() - 1);
        // What is left of the list is filled up with the first.
        let rows = some.iter().chain(iter::repeat(&first));
        let rows = rows.take(sql::SEVERAL[size]);
        let rows: Vec<Value<'_>> = rows.map(|held| held.row.into()).collect();
        let by: [Value<'_>; 2] = [first.owner.as_i64().into(), first.token.into()];

        let (of, all) = (&sql::HELD_OF[size], [&by, rows.as_slice()].concat());
        let held = db.query(of, &all, |row| row.int(0))?;
        let mut left = held.len();
        if self.inner.config(db)?.keep_done.last == Some(0) {
            let bounds = self.inner.rows();
            let bounds = [bounds.start.into(), bounds.end.into()];
            let all = [by.as_slice(), &bounds, &rows].concat();
            left -= db.execute(&sql::COMPLETE_AND_DROP_ALL[size], &all)?;
        }
        // Also if none is: an error after a write is one that the transaction can't pass over.
        if left > 0 || held.is_empty() {
            let all = [&[now.into()], by.as_slice(), &rows].concat();
            db.run(&sql::COMPLETE_ALL[size], &all)?;
        }
        if held.len() == some.len() {
            return Ok(Vec::new());
        }
        let held: BTreeSet<_> = held.into_iter().collect();
        let others = some.iter().filter(|it| !held.contains(&it.row));
        Ok(others.map(|it| self.inner.job(it.row)).collect())
    }

    fn must_be_of_this(&self, held: &Held) -> Result<()> {
        let (own, other) = (&self.inner.structure, &held.inner.structure);
        if Arc::ptr_eq(own, other) {
            return Ok(());
        }
        other.must_be_in(self.store())?;
        if own.id() == other.id() {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Misuse,
            format!(
                "the claim of job {} is of the queue {:?}: complete it there; nothing was changed",
                held.inner.job(held.row),
                other.name()
            ),
        ))
    }
}

fn held(batch: &[Hold]) -> impl Iterator<Item = &Held> {
    batch.iter().filter_map(|hold| hold.0.as_ref())
}

fn some_overtaken(overtaken: &[JobId], all: usize) -> Error {
    let named = overtaken.iter().take(NAMED).map(JobId::to_string);
    let named: Vec<_> = named.collect();
    let more = match overtaken.len() - named.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    Error::new(
        ErrorKind::Overtaken,
        format!(
            "of {all} claims {} are not held any more, those of the jobs {}{more}: their time limit passed, or they were taken away or \
             discarded, ended already, or made in a transaction that was rolled back; none was completed, and those that were held are given back",
            overtaken.len(),
            named.join(", ")
        ),
    )
}
