//! Going through rows from both ends, a page at a time.

use std::collections::VecDeque;
use std::ops::{ControlFlow, Range};

use diskette_store::{Access, Db, Result, Row, Store, Value};

use crate::index::Index;
use crate::sql;

/// The rows of the first page, for those who want the first only, and of a later one at most.
const FIRST: i64 = 4;
pub(crate) const PAGE: i64 = 256;

/// No more rows come into a page after so many bytes.
const BYTES: usize = 1024 * 1024;

/// The end at which a walk goes on.
#[derive(Clone, Copy)]
pub(crate) enum End {
    Front,
    Back,
}

/// What rows are ordered by.
pub(crate) trait Position: Clone {
    fn of(row: &Row<'_>) -> Result<Self>;
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
pub(crate) struct Reading<T> {
    pub(crate) verb: &'static str,
    pub(crate) up: &'static str,
    pub(crate) down: &'static str,
    pub(crate) read: fn(&Store, &Row<'_>) -> Result<T>,
}

/// A row of a page.
pub(crate) enum Slot<T> {
    Read(Result<T>),
    /// The value of this key is a file: too long to be read before its turn has come.
    InFile(Vec<u8>),
}

impl<T> Slot<T> {
    /// What is read of the row; `None` if it is gone by now.
    pub(crate) fn read(
        self,
        db: &Db<'_>,
        find: &str,
        read: impl Fn(&Store, &Row<'_>) -> Result<T>,
    ) -> Result<Option<T>> {
        match self {
            Slot::Read(item) => item.map(Some),
            Slot::InFile(key) => {
                db.query_one(find, &[key.as_slice().into()], |row| read(db.store(), row))
            }
        }
    }
}

/// Rows of a page, the nearest first, and what is left after them.
pub(crate) struct Page<P, T> {
    pub(crate) slots: Vec<Slot<T>>,
    pub(crate) left: Option<Range<P>>,
}

impl<P: Position, T> Page<P, T> {
    /// At most `rows` rows from one end of `range`, by a statement that goes up from its front, or down
    /// from its back.
    pub(crate) fn fetch(
        db: &Db<'_>,
        sql: &str,
        range: &Range<P>,
        end: End,
        rows: i64,
        read: impl Fn(&Store, &Row<'_>) -> Result<T>,
    ) -> Result<Self> {
        let mut slots = Vec::new();
        let mut last = None;
        let mut bytes = 0;
        let mut full = false;
        db.query_each(
            sql,
            &[range.start.value(), range.end.value(), rows.into()],
            |row| {
                full = bytes > BYTES;
                if full {
                    return Ok(ControlFlow::Break(()));
                }
                last = Some(P::of(row)?);
                slots.push(if row.opt_int(1)?.is_some() {
                    Slot::InFile(row.blob(3)?.to_owned())
                } else {
                    bytes += row.opt_blob(2)?.map_or(0, <[u8]>::len) + row.blob(3)?.len();
                    Slot::Read(read(db.store(), row))
                });
                Ok(ControlFlow::Continue(()))
            },
        )?;
        let over = !full && slots.len() < usize::try_from(rows).unwrap_or(0);
        let left = last.filter(|_| !over).map(|last| match end {
            End::Front => last.after()..range.end.clone(),
            End::Back => range.start.clone()..last,
        });
        Ok(Page { slots, left })
    }
}

/// Rows between two positions, taken from both ends until they meet.
pub(crate) struct Walk<K, V, C, A, P, T> {
    index: Index<K, V, C, A>,
    reading: Reading<T>,
    rows: i64,
    left: Option<Range<P>>,
    front: VecDeque<Slot<T>>,
    back: VecDeque<Slot<T>>,
}

impl<K, V, C, A: Access, P: Position, T> Walk<K, V, C, A, P, T> {
    /// A walk through `range`; an error is its only item.
    pub(crate) fn new(
        index: Index<K, V, C, A>,
        reading: Reading<T>,
        range: Result<Option<Range<P>>>,
    ) -> Self {
        let (left, front) = match range {
            Ok(left) => (left, VecDeque::new()),
            Err(error) => (None, VecDeque::from([Slot::Read(Err(error))])),
        };
        Walk {
            index,
            reading,
            rows: FIRST,
            left,
            front,
            back: VecDeque::new(),
        }
    }

    pub(crate) fn next(&mut self, end: End) -> Option<Result<T>> {
        let result = self.try_next(end);
        if result.is_err() {
            (self.left, self.front, self.back) = Default::default();
        }
        self.index.doing(self.reading.verb, || result).transpose()
    }

    fn try_next(&mut self, end: End) -> Result<Option<T>> {
        while let Some(slot) = self.slot(end)? {
            match slot {
                Slot::Read(item) => return item.map(Some),
                Slot::InFile(key) => {
                    // It may be gone by now.
                    if let Some(item) = self.read(&key)? {
                        return Ok(Some(item));
                    }
                }
            }
        }
        Ok(None)
    }

    fn slot(&mut self, end: End) -> Result<Option<Slot<T>>> {
        let (near, far, page) = match end {
            End::Front => (&mut self.front, &mut self.back, self.reading.up),
            End::Back => (&mut self.back, &mut self.front, self.reading.down),
        };
        if near.is_empty()
            && let Some(range) = self.left.take()
        {
            let fetched = self
                .index
                .inside()
                .read_one(|db| Page::fetch(db, page, &range, end, self.rows, self.reading.read))?;
            near.extend(fetched.slots);
            self.left = fetched.left;
            self.rows = PAGE.min(self.rows * 4);
        }
        Ok(near.pop_front().or_else(|| far.pop_back()))
    }

    fn read(&self, key: &[u8]) -> Result<Option<T>> {
        let read = |row: &Row<'_>| (self.reading.read)(self.index.store(), row);
        self.index
            .inside()
            .read_one(|db| db.query_one(sql::FIND_ENTRY, &[key.into()], read))
    }
}
