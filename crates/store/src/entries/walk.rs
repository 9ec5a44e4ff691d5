//! Going through rows from both ends, a page at a time.

use std::collections::VecDeque;
use std::fmt;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use crate::access::Access;
use crate::db::Db;
use crate::entries::{Directions, Entries};
use crate::error::{Error, Result};
use crate::row::{Row, Value};
use crate::store::Store;
use crate::structure::Structure;

/// The rows of the first page, for those who want the first only.
const FIRST: i64 = 4;

/// The rows of a later page, at most.
pub const PAGE: i64 = 256;

/// No more rows come into a page after so many bytes.
const BYTES: usize = 1024 * 1024;

/// The end at which a walk goes on.
#[derive(Clone, Copy, Debug)]
pub enum End {
    /// The least is next.
    Front,
    /// The greatest is next.
    Back,
}

/// What rows are ordered by.
pub trait Position: Clone {
    /// Where a row is.
    fn of(row: &Row<'_>) -> Result<Self>;
    /// As statements want it.
    fn value(&self) -> Value<'_>;
    /// The next one there could be.
    fn after(self) -> Self;
}

/// Insertion order.
impl Position for i64 {
    fn of(row: &Row<'_>) -> Result<Self> {
        row.int(0)
    }

    fn value(&self) -> Value<'_> {
        (*self).into()
    }

    fn after(self) -> Self {
        self + 1
    }
}

/// Key order.
impl Position for Vec<u8> {
    fn of(row: &Row<'_>) -> Result<Self> {
        Ok(row.blob(3)?.to_owned())
    }

    fn value(&self) -> Value<'_> {
        self.as_slice().into()
    }

    fn after(mut self) -> Self {
        self.push(0);
        self
    }
}

/// What a walk reads of each row, and by which statements.
pub struct Reading<T> {
    /// What is being done, for errors.
    pub verb: &'static str,
    /// The pages. Their parameters are the ends of the range, `with` if it is said, and how many rows they take.
    pub pages: Directions,
    /// What they are read with.
    pub with: Option<String>,
    /// Reads a row; `None` passes it over.
    pub read: Read<T>,
}

impl<T> Reading<T> {
    /// A reading of all rows of a range.
    pub fn new(
        verb: &'static str,
        pages: Directions,
        read: impl Fn(&Store, &Row<'_>) -> Result<Option<T>> + Send + Sync + 'static,
    ) -> Self {
        Reading {
            verb,
            pages,
            with: None,
            read: Box::new(read),
        }
    }
}

type Read<T> = Box<dyn Fn(&Store, &Row<'_>) -> Result<Option<T>> + Send + Sync>;

/// A row of a page.
#[derive(Debug)]
pub enum Slot<T> {
    /// What was read of it; `None` if it is passed over.
    Read(Result<Option<T>>),
    /// The value of this key is a file: too long to be read before its turn has come.
    InFile(Vec<u8>),
}

impl<T> Slot<T> {
    /// What is read of the row; `None` if it is gone by now, or passed over.
    pub fn read(self, db: &Db<'_>, find: &str, reading: &Reading<T>) -> Result<Option<T>> {
        match self {
            Slot::Read(item) => item,
            Slot::InFile(key) => db
                .query_one(find, &[key.as_slice().into()], |row| {
                    (reading.read)(db.store(), row)
                })
                .map(Option::flatten),
        }
    }
}

/// Rows of a page, the nearest first, and what is left after them.
#[derive(Debug)]
pub struct Page<P, T> {
    /// The rows, each with where it is.
    pub slots: Vec<(P, Slot<T>)>,
    /// What is left.
    pub left: Option<Range<P>>,
}

impl<P: Position, T> Page<P, T> {
    /// At most `rows` rows from one end of `range`.
    pub fn fetch(
        db: &Db<'_>,
        reading: &Reading<T>,
        range: &Range<P>,
        end: End,
        rows: i64,
    ) -> Result<Self> {
        let mut params = vec![range.start.value(), range.end.value()];
        params.extend(reading.with.as_deref().map(Value::from));
        params.push(rows.into());
        let mut slots = Vec::new();
        let mut bytes = 0;
        let mut full = false;
        db.query_each(reading.pages.to(end), &params, |row| {
            full = bytes > BYTES;
            if full {
                return Ok(ControlFlow::Break(()));
            }
            let slot = if row.opt_int(1)?.is_some() {
                Slot::InFile(row.blob(3)?.to_owned())
            } else {
                bytes += row.opt_blob(2)?.map_or(0, <[u8]>::len) + row.blob(3)?.len();
                Slot::Read((reading.read)(db.store(), row))
            };
            slots.push((P::of(row)?, slot));
            Ok(ControlFlow::Continue(()))
        })?;
        let over = !full && slots.len() < usize::try_from(rows).unwrap_or(0);
        let last = slots.last().filter(|_| !over);
        let left = last.map(|(last, _)| last.clone()).map(|last| match end {
            End::Front => last.after()..range.end.clone(),
            End::Back => range.start.clone()..last,
        });
        Ok(Page { slots, left })
    }
}

/// Rows between two positions, taken from both ends until they meet.
pub struct Walk<A, P, T> {
    access: A,
    structure: Arc<Structure>,
    find: &'static str,
    reading: Reading<T>,
    rows: i64,
    left: Option<Range<P>>,
    /// Why there is nothing to go through.
    failed: Option<Error>,
    front: VecDeque<(P, Slot<T>)>,
    back: VecDeque<(P, Slot<T>)>,
}

impl<A: Access + Clone> Entries<'_, A> {
    /// A walk through the rows in insertion order.
    pub fn walk<T>(&self, reading: Reading<T>) -> Walk<A, i64, T> {
        let ids = self.inside().look(|db| self.ids(db));
        self.walk_through(reading, ids)
    }

    /// A walk through `range`; an error is its only item.
    pub fn walk_through<P: Position, T>(
        &self,
        reading: Reading<T>,
        range: Result<Option<Range<P>>>,
    ) -> Walk<A, P, T> {
        let (left, failed) = match range {
            Ok(left) => (left, None),
            Err(error) => (None, Some(error)),
        };
        Walk {
            access: self.access.clone(),
            structure: Arc::clone(self.structure),
            find: self.sql.find_entry,
            reading,
            rows: FIRST,
            left,
            failed,
            front: VecDeque::new(),
            back: VecDeque::new(),
        }
    }
}

impl<A: Access, P: Position, T> Walk<A, P, T> {
    /// The next row from this end.
    pub fn next(&mut self, end: End) -> Option<Result<T>> {
        let result = self.try_next(end);
        if result.is_err() {
            (self.left, self.front, self.back) = Default::default();
        }
        self.doing(result).transpose()
    }

    /// Says in an error what was done.
    pub(super) fn doing<R>(&self, result: Result<R>) -> Result<R> {
        self.structure.doing(self.reading.verb, result)
    }

    fn try_next(&mut self, end: End) -> Result<Option<T>> {
        while let Some((_, slot)) = self.slot(end)? {
            let item = self.item(slot)?;
            if item.is_some() {
                return Ok(item);
            }
        }
        Ok(None)
    }

    /// The next row from this end, and where it is.
    pub(super) fn slot(&mut self, end: End) -> Result<Option<(P, Slot<T>)>> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let (near, far) = match end {
            End::Front => (&mut self.front, &mut self.back),
            End::Back => (&mut self.back, &mut self.front),
        };
        if near.is_empty()
            && let Some(range) = self.left.take()
        {
            let fetch = |db: &Db<'_>| Page::fetch(db, &self.reading, &range, end, self.rows);
            let fetched = self.structure.inside(&self.access).read_one(fetch)?;
            near.extend(fetched.slots);
            self.left = fetched.left;
            self.rows = PAGE.min(self.rows * 4);
        }
        Ok(near.pop_front().or_else(|| far.pop_back()))
    }

    /// What is read of a row; `None` if it is passed over.
    pub(super) fn item(&self, slot: Slot<T>) -> Result<Option<T>> {
        match slot {
            Slot::Read(item) => item,
            Slot::InFile(key) => self.read(&key),
        }
    }

    /// It may be gone by now.
    fn read(&self, key: &[u8]) -> Result<Option<T>> {
        let read = |row: &Row<'_>| (self.reading.read)(self.access.store(), row);
        self.structure
            .inside(&self.access)
            .read_one(|db| db.query_one(self.find, &[key.into()], read))
            .map(Option::flatten)
    }
}

impl<T> fmt::Debug for Reading<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Reading").field(&self.verb).finish()
    }
}

impl<A, P, T> fmt::Debug for Walk<A, P, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Walk").field(&self.reading).finish()
    }
}
