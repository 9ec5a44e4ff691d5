use std::collections::VecDeque;
use std::fmt;
use std::iter::FusedIterator;

use diskette_store::{Access, Codec, Error, MessagePack, Result, Store};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::deque::Deque;
use crate::positions::End;
use crate::sql;

/// Rows that are read at once.
pub(crate) const PAGE: i64 = 64;

/// The items of a deque, from both ends; made by [`Deque::iter`].
pub struct Iter<T, C = MessagePack, A = Store> {
    deque: Deque<T, C, A>,
    /// What is still to be read lies between these positions.
    after: i64,
    before: i64,
    /// What is read and was not yet given out, in order, near both ends.
    front: VecDeque<Item<T>>,
    back: VecDeque<Item<T>>,
    failed: Option<Error>,
}

/// An item that is read; large ones only when their turn comes.
enum Item<T> {
    Read(Result<T>),
    InFile { pos: i64 },
}

impl<T, C, A> Deque<T, C, A>
where
    T: Serialize + DeserializeOwned,
    C: Codec,
    A: Access + Clone,
{
    /// All items, front to back; from the back with `rev`. After an error it ends.
    ///
    /// Reads a page at a time, so that others may change the deque meanwhile: what is pushed later
    /// doesn't appear, what is popped may; who renumbers (rotates, reverses, inserts) may make it skip
    /// items or repeat them. For one consistent state, iterate within a
    /// [snapshot](diskette_store::Store::snapshot), or take [`to_vec`](Self::to_vec).
    ///
    /// # Cost
    ///
    /// One statement for 64 items, which are held in memory; large values one at a time.
    pub fn iter(&self) -> Iter<T, C, A> {
        let items = self.inside().look(|db| self.inner.items(db));
        let (items, failed) = match self.doing("iter", items) {
            Ok(items) => (items, None),
            Err(error) => (None, Some(error)),
        };
        Iter {
            deque: self.clone(),
            after: items.map_or(0, |items| items.first - 1),
            before: items.map_or(0, |items| items.last + 1),
            front: VecDeque::new(),
            back: VecDeque::new(),
            failed,
        }
    }
}

impl<T, C, A> IntoIterator for &Deque<T, C, A>
where
    T: Serialize + DeserializeOwned,
    C: Codec,
    A: Access + Clone,
{
    type Item = Result<T>;
    type IntoIter = Iter<T, C, A>;

    fn into_iter(self) -> Iter<T, C, A> {
        self.iter()
    }
}

impl<T, C, A> Iterator for Iter<T, C, A>
where
    T: Serialize + DeserializeOwned,
    C: Codec,
    A: Access + Clone,
{
    type Item = Result<T>;

    fn next(&mut self) -> Option<Result<T>> {
        self.advance(End::Front)
    }
}

impl<T, C, A> DoubleEndedIterator for Iter<T, C, A>
where
    T: Serialize + DeserializeOwned,
    C: Codec,
    A: Access + Clone,
{
    fn next_back(&mut self) -> Option<Result<T>> {
        self.advance(End::Back)
    }
}

impl<T, C, A> FusedIterator for Iter<T, C, A>
where
    T: Serialize + DeserializeOwned,
    C: Codec,
    A: Access + Clone,
{
}

impl<T, C, A> Iter<T, C, A>
where
    T: Serialize + DeserializeOwned,
    C: Codec,
    A: Access + Clone,
{
    fn advance(&mut self, end: End) -> Option<Result<T>> {
        if let Some(error) = self.failed.take() {
            return Some(self.fail(error));
        }
        loop {
            let item = match self.take(end)? {
                Item::Read(item) => item,
                Item::InFile { pos } => match self.read_file(pos).transpose() {
                    Some(item) => item,
                    None => continue,
                },
            };
            return Some(item.or_else(|error| self.fail(error)));
        }
    }

    fn take(&mut self, end: End) -> Option<Item<T>> {
        let near = match end {
            End::Front => self.front.pop_front(),
            End::Back => self.back.pop_back(),
        };
        if near.is_some() {
            return near;
        }
        if self.after + 1 < self.before {
            let read = self.read_page(end);
            if let Err(error) = self.deque.doing("iter", read) {
                return Some(Item::Read(Err(error)));
            }
        }
        match end {
            End::Front => self.front.pop_front().or_else(|| self.back.pop_front()),
            End::Back => self.back.pop_back().or_else(|| self.front.pop_back()),
        }
    }

    fn read_page(&mut self, end: End) -> Result<()> {
        let (deque, sql) = (&self.deque, sql::page(end));
        let bounds = [self.after.into(), self.before.into(), PAGE.into()];
        let page = deque.inside().read_one(|db| {
            db.query(sql, &bounds, |row| {
                let pos = row.int(0)?;
                let item = match row.opt_int(1)? {
                    Some(_) => Item::InFile { pos },
                    None => Item::Read(deque.doing("iter", deque.decode(row))),
                };
                Ok((pos, item))
            })
        })?;
        let more = i64::try_from(page.len()) == Ok(PAGE);
        for (pos, item) in page {
            match end {
                End::Front => {
                    self.after = pos;
                    self.front.push_back(item);
                }
                End::Back => {
                    self.before = pos;
                    self.back.push_front(item);
                }
            }
        }
        if !more {
            self.after = self.before;
        }
        Ok(())
    }

    /// The large item at a position, if it still is there.
    fn read_file(&self, pos: i64) -> Result<Option<T>> {
        let deque = &self.deque;
        let found = deque
            .inside()
            .read_one(|db| db.query_one(sql::AT, &[pos.into()], |row| deque.decode(row)));
        deque.doing("iter", found)
    }

    fn fail(&mut self, error: Error) -> Result<T> {
        self.front.clear();
        self.back.clear();
        self.after = self.before;
        Err(error)
    }
}

impl<T, C, A: Access> fmt::Debug for Iter<T, C, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Iter").field(&self.deque).finish()
    }
}
