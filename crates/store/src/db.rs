use std::cell::{Cell, OnceCell, RefCell};
use std::ops::ControlFlow;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection};
use smallvec::SmallVec;

use crate::error::{Error, ErrorKind, Result, from_sqlite};
use crate::over;
use crate::row::{Row, Source, Value};
use crate::sqlite::fork;
use crate::sqlite::value_file::StreamReader;
use crate::store::Store;

/// What runs after the end of a transaction.
pub(crate) type Afterwards = Box<dyn FnOnce(&Store) + Send>;

/// A connection within one operation or transaction: runs statements, and takes down what is to
/// happen after the commit or the rollback.
pub struct Db<'c> {
    store: &'c Store,
    link: Link<'c>,
    writes: bool,
    /// The structures that it is over, in the order of their numbers, unless it is over all.
    over: OnceCell<Box<[i64]>>,
    wrote: Cell<bool>,
    doomed: Cell<bool>,
    pages: Cell<usize>,
    next_era: Cell<Option<u64>>,
    rings: RefCell<SmallVec<[usize; 4]>>,
    after_commit: RefCell<Vec<Afterwards>>,
    after_rollback: RefCell<Vec<Afterwards>>,
}

/// Where statements go.
#[derive(Clone, Copy)]
pub(crate) enum Link<'c> {
    Sqlite(&'c Connection),
    #[cfg(feature = "postgres")]
    Postgres(&'c crate::postgres::Work<'c>),
}

/// Where a savepoint began in the lists of what is to happen afterwards.
pub(crate) struct Mark {
    wrote: bool,
    rings: usize,
    after_commit: usize,
    after_rollback: usize,
}

impl<'c> Db<'c> {
    /// For who only reads.
    pub(crate) fn reading(store: &'c Store, link: Link<'c>) -> Self {
        Self::new(store, link, false)
    }

    /// For who has the turn to write.
    pub(crate) fn writing(store: &'c Store, link: Link<'c>) -> Self {
        Self::new(store, link, true)
    }

    fn new(store: &'c Store, link: Link<'c>, writes: bool) -> Self {
        Db {
            store,
            link,
            writes,
            over: OnceCell::new(),
            wrote: Cell::new(false),
            doomed: Cell::new(false),
            pages: Cell::new(0),
            next_era: Cell::new(None),
            rings: RefCell::default(),
            after_commit: RefCell::default(),
            after_rollback: RefCell::default(),
        }
    }

    /// The store that this is part of.
    pub fn store(&self) -> &Store {
        self.store
    }

    /// Whether statements travel to a server: then one is better than two, whatever it does.
    pub fn travels(&self) -> bool {
        match self.link {
            Link::Sqlite(_) => false,
            #[cfg(feature = "postgres")]
            Link::Postgres(_) => true,
        }
    }

    /// Runs a statement that returns no rows; says how many rows it changed.
    pub fn execute(&self, sql: &str, params: &[Value<'_>]) -> Result<usize> {
        match self.link {
            Link::Sqlite(connection) => {
                let mut statement = self.prepare(connection, sql, params)?;
                let changed = statement.raw_execute().map_err(from_sqlite)?;
                self.pages.set(self.pages.get() + changed / 32);
                Ok(changed)
            }
            #[cfg(feature = "postgres")]
            Link::Postgres(work) => {
                self.wrote.set(true);
                work.execute(sql, params)
            }
        }
    }

    /// Runs a statement of which only its success is of interest. Where statements travel it goes with the next one, or with the
    /// commit, so that its error may be theirs.
    pub fn run(&self, sql: &str, params: &[Value<'_>]) -> Result<()> {
        match self.link {
            Link::Sqlite(_) => self.execute(sql, params).map(drop),
            #[cfg(feature = "postgres")]
            Link::Postgres(work) => {
                self.wrote.set(true);
                work.run(sql, params)
            }
        }
    }

    /// The first row of a result, if there is one.
    pub fn query_one<R>(
        &self,
        sql: &str,
        params: &[Value<'_>],
        read: impl FnOnce(&Row<'_>) -> Result<R>,
    ) -> Result<Option<R>> {
        match self.link {
            Link::Sqlite(connection) => {
                let mut statement = self.prepare(connection, sql, params)?;
                let writes = !statement.readonly();
                let mut rows = statement.raw_query();
                let found = rows
                    .next()
                    .map_err(from_sqlite)?
                    .map(|row| read(&Row(Source::Sqlite(row))))
                    .transpose()?;
                // A writing statement is done only once it has been stepped to its end.
                if found.is_some() && writes {
                    rows.next().map_err(from_sqlite)?;
                }
                Ok(found)
            }
            #[cfg(feature = "postgres")]
            Link::Postgres(work) => {
                let rows = self.rows(work, sql, params)?;
                let row = rows.first();
                row.map(|row| read(&Row(Source::Postgres(row, work))))
                    .transpose()
            }
        }
    }

    /// Each row of a result, in order, as long as `read` goes on.
    pub fn query_each(
        &self,
        sql: &str,
        params: &[Value<'_>],
        mut read: impl FnMut(&Row<'_>) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        match self.link {
            Link::Sqlite(connection) => {
                let mut statement = self.prepare(connection, sql, params)?;
                let mut rows = statement.raw_query();
                while let Some(row) = rows.next().map_err(from_sqlite)? {
                    if read(&Row(Source::Sqlite(row)))?.is_break() {
                        break;
                    }
                }
                Ok(())
            }
            #[cfg(feature = "postgres")]
            Link::Postgres(work) => {
                for row in &self.rows(work, sql, params)? {
                    if read(&Row(Source::Postgres(row, work)))?.is_break() {
                        break;
                    }
                }
                Ok(())
            }
        }
    }

    /// All rows of a result.
    pub fn query<R>(
        &self,
        sql: &str,
        params: &[Value<'_>],
        mut read: impl FnMut(&Row<'_>) -> Result<R>,
    ) -> Result<Vec<R>> {
        let mut all = Vec::new();
        self.query_each(sql, params, |row| {
            all.push(read(row)?);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(all)
    }

    /// Wakes those who wait on a line of the doorbell, once this is committed.
    pub fn ring(&self, line: usize) {
        let mut rings = self.rings.borrow_mut();
        if !rings.contains(&line) {
            rings.push(line);
            #[cfg(feature = "postgres")]
            if let Link::Postgres(work) = self.link {
                work.ring(line);
            }
        }
    }

    /// Runs `then` once this is committed.
    pub fn on_commit(&self, then: impl FnOnce(&Store) + Send + 'static) {
        self.after_commit.borrow_mut().push(Box::new(then));
    }

    /// Runs `then` once this is rolled back.
    pub fn on_rollback(&self, then: impl FnOnce(&Store) + Send + 'static) {
        self.after_rollback.borrow_mut().push(Box::new(then));
    }

    /// From here on nothing is done to others than these, whose numbers are in order.
    pub(crate) fn keep_to(&self, structures: &[i64]) {
        let _ = self.over.set(structures.into());
    }

    /// Refuses a structure that the transaction isn't over.
    pub(crate) fn must_be_over(&self, structure: i64) -> Result<()> {
        match self.over.get() {
            Some(over) if over.binary_search(&structure).is_err() => Err(over::not_over()),
            _ => Ok(()),
        }
    }

    /// Refuses to make a structure where the transaction isn't over all.
    pub(crate) fn must_be_over_all(&self) -> Result<()> {
        match self.over.get() {
            Some(_) => Err(over::not_made_yet()),
            None => Ok(()),
        }
    }

    /// Says for which structure this is, so that its turn to write is enough.
    #[cfg_attr(
        not(feature = "postgres"),
        expect(unused_variables, reason = "there is one engine")
    )]
    pub(crate) fn is_for(&self, structure: i64) {
        match self.link {
            // There is one turn for all.
            Link::Sqlite(_) => {}
            #[cfg(feature = "postgres")]
            Link::Postgres(work) => work.is_for(structure),
        }
    }

    /// Whether it fails by itself if the structure is not there.
    #[cfg_attr(
        not(feature = "postgres"),
        expect(unused_variables, reason = "there is one engine")
    )]
    pub(crate) fn sees_to(&self, structure: i64) -> bool {
        match self.link {
            Link::Sqlite(_) => false,
            #[cfg(feature = "postgres")]
            Link::Postgres(work) => work.sees_to(structure),
        }
    }

    /// The structure was found in the catalog.
    #[cfg_attr(
        not(feature = "postgres"),
        expect(unused_variables, reason = "there is one engine")
    )]
    pub(crate) fn has_seen(&self, structure: i64) {
        match self.link {
            Link::Sqlite(_) => {}
            #[cfg(feature = "postgres")]
            Link::Postgres(work) => work.has_seen(structure),
        }
    }

    /// What was held of a structure that was removed is held no more.
    #[cfg_attr(
        not(feature = "postgres"),
        expect(unused_variables, reason = "there is one engine")
    )]
    pub(crate) fn forget_holds(&self, structure: i64) -> Result<()> {
        match self.link {
            // The board was told.
            Link::Sqlite(_) => Ok(()),
            #[cfg(feature = "postgres")]
            Link::Postgres(_) => crate::postgres::forget_holds(self, structure),
        }
    }

    /// The large value with this number, which a row of this state names.
    pub fn raw_file(&self, id: i64) -> Result<Vec<u8>> {
        self.open_file(id)?.read_whole()
    }

    pub(crate) fn open_file(&self, id: i64) -> Result<StreamReader> {
        match self.link {
            Link::Sqlite(_) => self.store.open_file_here(id),
            // What a transaction has written nobody else sees.
            #[cfg(feature = "postgres")]
            Link::Postgres(work) => crate::postgres::open_value(work, id),
        }
    }

    /// Makes the tables of a kind, and their indexes.
    pub(crate) fn make_tables(&self, schema: &[&str]) -> Result<()> {
        match self.link {
            Link::Sqlite(_) => schema
                .iter()
                .try_for_each(|sql| self.execute(sql, &[]).map(drop)),
            #[cfg(feature = "postgres")]
            Link::Postgres(_) => crate::postgres::tables(schema)
                .iter()
                .try_for_each(|sql| self.execute(sql, &[]).map(drop)),
        }
    }

    /// Writes down how the tables of a kind were made, as SQLite does by itself: for who copies the store.
    #[cfg_attr(
        not(feature = "postgres"),
        expect(unused_variables, reason = "there is one engine")
    )]
    pub(crate) fn keep_schema(&self, kind: &str, schema: &[&str]) -> Result<()> {
        match self.link {
            Link::Sqlite(_) => Ok(()),
            #[cfg(feature = "postgres")]
            Link::Postgres(_) => crate::postgres::keep_schema(self, kind, schema),
        }
    }

    pub(crate) fn link(&self) -> Link<'c> {
        self.link
    }

    /// Whether this is in a turn to write.
    pub(crate) fn writes(&self) -> bool {
        self.writes
    }

    /// The era of value files that begins with the commit, if this makes garbage of some.
    pub(crate) fn next_era(&self) -> &Cell<Option<u64>> {
        &self.next_era
    }

    pub(crate) fn doomed(&self) -> bool {
        self.doomed.get()
    }

    /// Runs one operation in an open transaction. If it fails after it has written, it may be half
    /// done, so the transaction can no longer commit (as in PostgreSQL).
    pub(crate) fn step<R>(&self, operation: impl FnOnce(&Db<'_>) -> Result<R>) -> Result<R> {
        if self.doomed() {
            return Err(Error::new(
                ErrorKind::Misuse,
                "an earlier operation of this transaction failed half way, so the whole will be rolled back; \
                 wrap what may fail in a nested `tx.transaction`",
            ));
        }
        let before = self.wrote.replace(false);
        let result = operation(self).and_then(|done| self.settle().map(|()| done));
        if result.is_err() && self.wrote.get() {
            self.doomed.set(true);
        }
        self.wrote.set(before || self.wrote.get());
        result
    }

    /// Has what was run done, so that an error is that of the operation that ran it.
    fn settle(&self) -> Result<()> {
        match self.link {
            Link::Sqlite(_) => Ok(()),
            #[cfg(feature = "postgres")]
            Link::Postgres(work) => work.flush(),
        }
    }

    pub(crate) fn mark(&self) -> Mark {
        Mark {
            wrote: self.wrote.get(),
            rings: self.rings.borrow().len(),
            after_commit: self.after_commit.borrow().len(),
            after_rollback: self.after_rollback.borrow().len(),
        }
    }

    /// Undoes what was taken down since `mark`; gives back what is to run now.
    pub(crate) fn rewind(&self, mark: &Mark) -> Vec<Afterwards> {
        self.wrote.set(mark.wrote);
        self.doomed.set(false);
        self.rings.borrow_mut().truncate(mark.rings);
        self.after_commit.borrow_mut().truncate(mark.after_commit);
        self.after_rollback
            .borrow_mut()
            .split_off(mark.after_rollback)
    }

    /// What is to happen after the end.
    pub(crate) fn into_outcome(self, committed: bool) -> Outcome {
        let [after_commit, after_rollback] = self.into_outcomes();
        if committed {
            after_commit
        } else {
            after_rollback
        }
    }

    /// What is to happen after a commit, and after a rollback.
    pub(crate) fn into_outcomes(self) -> [Outcome; 2] {
        let after_commit = Outcome {
            pages: self.pages.get(),
            next_era: self.next_era.get(),
            rings: self.rings.into_inner(),
            then: self.after_commit.into_inner(),
        };
        let after_rollback = Outcome {
            then: self.after_rollback.into_inner(),
            ..Outcome::default()
        };
        [after_commit, after_rollback]
    }

    #[cfg(feature = "postgres")]
    fn rows(
        &self,
        work: &crate::postgres::Work<'_>,
        sql: &str,
        params: &[Value<'_>],
    ) -> Result<Vec<tokio_postgres::Row>> {
        if crate::postgres::writes(sql) {
            self.wrote.set(true);
        }
        work.query(sql, params)
    }

    fn prepare(
        &self,
        connection: &'c Connection,
        sql: &str,
        params: &[Value<'_>],
    ) -> Result<CachedStatement<'c>> {
        fork::must_be_whole()?;
        let mut statement = connection.prepare_cached(sql).map_err(from_sqlite)?;
        if !statement.readonly() {
            self.wrote.set(true);
            let bytes: usize = params.iter().map(Value::len).sum();
            self.pages.set(self.pages.get() + 2 + bytes / 4096);
        }
        debug_assert!(
            statement.parameter_count() == params.len()
                && (1..=params.len())
                    .all(|n| statement.parameter_name(n) == Some(&format!("${n}"))),
            "parameters are numbered in the order in which they first appear, and there is a value for each: {sql}"
        );
        for (index, value) in params.iter().enumerate() {
            let value = match *value {
                Value::Null => ValueRef::Null,
                Value::Int(value) => ValueRef::Integer(value),
                Value::Text(text) => ValueRef::Text(text.as_bytes()),
                Value::Blob(bytes) => ValueRef::Blob(bytes),
            };
            statement
                .raw_bind_parameter(index + 1, ToSqlOutput::Borrowed(value))
                .map_err(from_sqlite)?;
        }
        Ok(statement)
    }
}

impl std::fmt::Debug for Db<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Db")
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}

/// What is to happen after a transaction has ended.
#[must_use]
#[derive(Default)]
pub(crate) struct Outcome {
    /// About how many pages were written.
    pub(crate) pages: usize,
    /// Begins while the turn to write lasts; all else comes once it is given back.
    pub(crate) next_era: Option<u64>,
    pub(crate) rings: SmallVec<[usize; 4]>,
    pub(crate) then: Vec<Afterwards>,
}
