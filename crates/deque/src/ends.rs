//! At the ends: pushing, popping, looking.

use std::sync::atomic::Ordering;
use std::thread;

use diskette_store::{Access, Codec, Db, Like, Result, Row, Stored};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bound::{Bound, Room, WhenFull, full};
use crate::deque::Deque;
use crate::order::{Inner, as_offset};
use crate::popped::Popped;
use crate::positions::{End, Run};
use crate::sql;
use crate::unreadable::name_the_item;

impl<T, C, A> Deque<T, C, A>
where
    T: Serialize + DeserializeOwned,
    C: Codec,
    A: Access,
{
    /// Puts an item behind the last.
    ///
    /// # Errors
    ///
    /// [`is_full`](diskette_store::Error::is_full) when a bounded deque refuses;
    /// [`is_timeout`](diskette_store::Error::is_timeout) when it waited in vain
    /// ([`WhenFull`]).
    ///
    /// # Cost
    ///
    /// One statement; a bounded deque takes four to six, a large value is written to a file first.
    pub fn push_back<Q: Like<T> + ?Sized>(&self, item: &Q) -> Result<()> {
        self.doing("push_back", self.push(End::Back, item))
    }

    /// Puts an item before the first. Otherwise like [`push_back`](Self::push_back).
    ///
    /// # Errors
    ///
    /// Those of [`push_back`](Self::push_back).
    pub fn push_front<Q: Like<T> + ?Sized>(&self, item: &Q) -> Result<()> {
        self.doing("push_front", self.push(End::Front, item))
    }

    /// Puts items behind the last, all of them or, on an error, none.
    ///
    /// # Errors
    ///
    /// Those of [`push_back`](Self::push_back).
    ///
    /// # Cost
    ///
    /// One transaction. The items are encoded before it begins, and held in memory so.
    ///
    /// # Example
    ///
    /// ```
    /// use diskette::{Deque, Store};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # std::env::set_current_dir(&dir)?;
    /// let store = Store::open("store")?;
    /// let todo = Deque::<String>::new(&store, "todo")?;
    /// todo.extend(["write", "read"])?;
    /// todo.extend(&vec!["think".to_string()])?;
    /// assert_eq!(todo.to_vec()?, ["write", "read", "think"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn extend<I>(&self, items: I) -> Result<()>
    where
        I: IntoIterator,
        I::Item: Like<T>,
    {
        self.doing("extend", self.push_many(End::Back, items))
    }

    /// Puts items before the first, one after the other, so that the last of them is the first.
    /// Otherwise like [`extend`](Self::extend).
    ///
    /// # Errors
    ///
    /// Those of [`push_back`](Self::push_back).
    pub fn extend_front<I>(&self, items: I) -> Result<()>
    where
        I: IntoIterator,
        I::Item: Like<T>,
    {
        self.doing("extend_front", self.push_many(End::Front, items))
    }

    /// Takes the first item; `None` if there is none.
    ///
    /// # Errors
    ///
    /// [`is_codec`](diskette_store::Error::is_codec) when the item can't be decoded: it stays.
    ///
    /// # Crashes
    ///
    /// The item is gone with this call. If its work must be done though the process may die, take it by
    /// [`claim_front`](Self::claim_front).
    ///
    /// # Cost
    ///
    /// Two statements.
    pub fn pop_front(&self) -> Result<Option<T>> {
        self.doing("pop_front", self.pop(End::Front))
    }

    /// Takes the last item. Otherwise like [`pop_front`](Self::pop_front).
    ///
    /// # Errors
    ///
    /// Those of [`pop_front`](Self::pop_front).
    pub fn pop_back(&self) -> Result<Option<T>> {
        self.doing("pop_back", self.pop(End::Back))
    }

    /// Takes the first items, up to so many, in one transaction; in the order in which
    /// [`pop_front`](Self::pop_front) would.
    ///
    /// # Errors
    ///
    /// Those of [`pop_front`](Self::pop_front): then all stay.
    pub fn pop_front_many(&self, count: usize) -> Result<Vec<T>> {
        self.doing("pop_front_many", self.pop_many(End::Front, count))
    }

    /// Takes the last items, up to so many, in one transaction; the last one first.
    ///
    /// # Errors
    ///
    /// Those of [`pop_front`](Self::pop_front): then all stay.
    pub fn pop_back_many(&self, count: usize) -> Result<Vec<T>> {
        self.doing("pop_back_many", self.pop_many(End::Back, count))
    }

    /// The first item, which stays.
    ///
    /// # Errors
    ///
    /// [`is_codec`](diskette_store::Error::is_codec) when the item can't be decoded.
    pub fn front(&self) -> Result<Option<T>> {
        self.doing("front", self.peek(End::Front))
    }

    /// The last item, which stays.
    ///
    /// # Errors
    ///
    /// [`is_codec`](diskette_store::Error::is_codec) when the item can't be decoded.
    pub fn back(&self) -> Result<Option<T>> {
        self.doing("back", self.peek(End::Back))
    }

    pub(crate) fn pop(&self, end: End) -> Result<Option<T>> {
        let (inner, me) = (&*self.inner, thread::current().id());
        let take_plain = |db: &Db<'_>| {
            inner.take_plain(db, end, |row| Popped::<T>::read::<C>(db.store(), row, me))
        };
        let take = || {
            self.take_ahead(|db, ahead| {
                self.inner
                    .take(db, end, |row| ahead.value::<C>(db, row, 2, 1))
            })
        };
        let taken = self.inside().read_and_free_one(take_plain);
        let popped = match taken {
            Ok(Some(popped)) => popped.map(Popped::item::<C>).transpose(),
            Ok(None) => take(),
            Err(error) => Err(error),
        };
        popped.map_err(|error| name_the_item(error, end))
    }

    pub(crate) fn encode<Q: Like<T> + ?Sized>(&self, item: &Q) -> Result<Stored> {
        self.store().store_value::<C, T, _>(item)
    }

    /// The item of a row of pos, file, value.
    pub(crate) fn decode(&self, row: &Row<'_>) -> Result<T> {
        self.store().load_value::<C, T>(row, 2, 1)
    }

    /// Writes the values in `items`, and leaves none there; or finds no room, and touches nothing.
    pub(crate) fn admit(&self, end: End, items: &mut Vec<Stored>) -> Result<Option<Bound>> {
        self.inside()
            .write(|db| match self.inner.make_room(db, end, items.len())? {
                Room::Full(bound) => Ok(Some(bound)),
                Room::For { skip } => {
                    self.inner.put(db, end, items.drain(..).skip(skip))?;
                    Ok(None)
                }
            })
    }

    fn push<Q: Like<T> + ?Sized>(&self, end: End, item: &Q) -> Result<()> {
        let stored = self.encode(item)?;
        if !stored.is_file() && !self.inner.bounded.load(Ordering::Relaxed) {
            let inner = &*self.inner;
            let insert = |db: &Db<'_>| inner.insert_unless_bounded(db, end, &stored);
            if self.inside().write_one(insert)? {
                return Ok(());
            }
        }
        self.push_stored(end, vec![stored])
    }

    fn push_many<I>(&self, end: End, items: I) -> Result<()>
    where
        I: IntoIterator,
        I::Item: Like<T>,
    {
        let encode = |item: I::Item| self.encode(&item);
        let stored = items.into_iter().map(encode).collect::<Result<Vec<_>>>()?;
        if stored.is_empty() {
            return Ok(());
        }
        self.push_stored(end, stored)
    }

    fn push_stored(&self, end: End, mut stored: Vec<Stored>) -> Result<()> {
        match self.admit(end, &mut stored)? {
            None => Ok(()),
            Some(bound) if bound.when_full == WhenFull::Wait => {
                self.push_when_free(end, stored, bound)
            }
            Some(bound) => Err(full(bound)),
        }
    }

    fn pop_many(&self, end: End, count: usize) -> Result<Vec<T>> {
        let limit = as_offset(count).unwrap_or(i64::MAX);
        self.take_ahead(|db, ahead| {
            let rows = self.inner.share().rows();
            let bounds = [(rows.start - 1).into(), rows.end.into(), limit.into()];
            let mut run: Option<Run> = None;
            let mut all_read = true;
            let mut items = db.query(sql::page(end), &bounds, |row| {
                let pos = row.int(0)?;
                let known = run.get_or_insert(Run::one(pos));
                known.first = known.first.min(pos);
                known.last = known.last.max(pos);
                let item = ahead.value::<C>(db, row, 2, 1)?;
                all_read &= item.is_some();
                Ok((row.opt_int(1)?, item))
            })?;
            if !all_read {
                for (file, item) in items.drain(..) {
                    if let (Some(file), Some(item)) = (file, item) {
                        ahead.keep(file, item);
                    }
                }
                return Ok(None);
            }
            if let Some(run) = run {
                self.inner.take_run(db, run)?;
            }
            Ok(Some(
                items.into_iter().filter_map(|(_, item)| item).collect(),
            ))
        })
    }

    fn peek(&self, end: End) -> Result<Option<T>> {
        let rows = self.inner.rows();
        self.inside()
            .look(|db| db.query_one(sql::item_at(end), &rows, |row| self.decode(row)))
    }
}

impl Inner {
    fn insert_unless_bounded(&self, db: &Db<'_>, end: End, stored: &Stored) -> Result<bool> {
        let (share, [first, end_of_rows]) = (self.share(), self.rows());
        let (middle, structure) = (share.middle().into(), share.structure().into());
        let row = [first, end_of_rows, middle, stored.value(), structure];
        let changes = self.structure.changes(db.store())?;
        // Before the statement, with which the commit goes out. To ring for nothing harms nobody.
        db.ring(self.structure.arrivals());
        if self.unbounded_at.load(Ordering::Relaxed) == changes {
            return db.run(sql::push(end), &row[..4]).map(|()| true);
        }
        let inserted = db.execute(sql::push_unless_bounded(end), &row)? > 0;
        if inserted {
            self.unbounded_at.store(changes, Ordering::Relaxed);
        }
        Ok(inserted)
    }
}
