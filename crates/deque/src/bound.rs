use std::sync::atomic::Ordering;

use diskette_store::{Access, Codec, Db, Error, ErrorKind, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::deque::Deque;
use crate::order::Inner;
use crate::positions::End;
use crate::sql;

/// What a push does to a deque that holds as many items as it may. Recorded in the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhenFull {
    /// The push fails with [`is_full`](Error::is_full).
    #[default]
    Refuse,
    /// Items go from the other end to make room. Claimed ones never do.
    DropOther,
    /// The push waits for room, up to the store's timeout and its [`Stop`](diskette_store::Stop); within a transaction, where nothing can
    /// wait, it fails with [`is_full`](Error::is_full).
    Wait,
}

/// The bound of a deque, as recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bound {
    pub(crate) max_len: Option<usize>,
    pub(crate) when_full: WhenFull,
}

/// What a bound says to a number of items that want to come in.
#[derive(Debug)]
pub(crate) enum Room {
    /// They may, but for so many of the first: they would be dropped again.
    For { skip: usize },
    /// There is none.
    Full(Bound),
}

impl<T, C, A> Deque<T, C, A>
where
    T: Serialize + DeserializeOwned,
    C: Codec,
    A: Access,
{
    /// The most items that it may hold; `None` if it may grow for ever.
    ///
    /// # Errors
    ///
    /// Those of the database.
    pub fn max_len(&self) -> Result<Option<usize>> {
        let bound = self.inside().read_one(|db| self.inner.bound(db));
        self.doing("max_len", bound).map(|bound| bound.max_len)
    }

    /// What happens when it is full.
    ///
    /// # Errors
    ///
    /// Those of the database.
    pub fn when_full(&self) -> Result<WhenFull> {
        let bound = self.inside().read_one(|db| self.inner.bound(db));
        self.doing("when_full", bound).map(|bound| bound.when_full)
    }

    /// Changes the bound, for all who use the deque. If it holds more, items go from the front with
    /// [`WhenFull::DropOther`]; otherwise they stay, and pushes have no room until enough have gone.
    ///
    /// # Errors
    ///
    /// [`is_invalid_input`](Error::is_invalid_input) for a bound of 0.
    pub fn set_max_len(&self, max_len: Option<usize>) -> Result<()> {
        let set = || {
            let stored = check_max_len(max_len)?;
            self.inside().write(|db| {
                let id = self.inner.structure.id().into();
                self.inner.structure.tell_changed(db)?;
                db.run(sql::SET_MAX_LEN, &[stored.into(), id])?;
                self.inner.make_room(db, End::Back, 0)?;
                db.ring(self.inner.structure.departures());
                Ok(())
            })
        };
        self.doing("set_max_len", set())
    }

    /// Changes what happens when it is full, for all who use the deque.
    ///
    /// # Errors
    ///
    /// Those of the database.
    pub fn set_when_full(&self, when_full: WhenFull) -> Result<()> {
        let structure = &*self.inner.structure;
        let set = self.inside().write_one(|db| {
            let row = [when_full.number().into(), structure.id().into()];
            db.run(sql::SET_WHEN_FULL, &row)?;
            db.ring(structure.departures());
            Ok(())
        });
        self.doing("set_when_full", set)
    }
}

impl Inner {
    pub(crate) fn bound(&self, db: &Db<'_>) -> Result<Bound> {
        let bound = db.query_one(sql::BOUND, &[self.structure.id().into()], |row| {
            let max_len = row.opt_int(0)?;
            Ok(Bound {
                max_len: max_len.map(|max_len| usize::try_from(max_len).unwrap_or(usize::MAX)),
                when_full: WhenFull::numbered(row.int(1)?)?,
            })
        })?;
        let bound = bound.ok_or_else(|| self.structure.missing(db))?;
        self.bounded
            .store(bound.max_len.is_some(), Ordering::Relaxed);
        Ok(bound)
    }

    /// By how much the deque would be too long with so many more items. A claimed item keeps its place.
    pub(crate) fn excess(&self, db: &Db<'_>, wanted: usize) -> Result<(Bound, usize)> {
        let bound = self.bound(db)?;
        let excess = match bound.max_len {
            Some(max_len) => {
                let taken = self.len(db)? + self.claimed(db)?;
                taken.saturating_add(wanted).saturating_sub(max_len)
            }
            None => 0,
        };
        Ok((bound, excess))
    }

    /// Makes room at `end` for so many new items, if the deque is one that drops others.
    pub(crate) fn make_room(&self, db: &Db<'_>, end: End, wanted: usize) -> Result<Room> {
        let (bound, mut excess) = self.excess(db, wanted)?;
        if bound.when_full != WhenFull::DropOther {
            let full = excess > 0 && wanted > 0;
            return Ok(if full {
                Room::Full(bound)
            } else {
                Room::For { skip: 0 }
            });
        }
        while excess > 0
            && self
                .take(db, end.other(), |_| Ok(Some(())))?
                .flatten()
                .is_some()
        {
            excess -= 1;
        }
        // While claims fill the deque, one more item is let in.
        let skip = excess.min(wanted.saturating_sub(1));
        Ok(Room::For { skip })
    }
}

impl WhenFull {
    /// As recorded in the database.
    pub(crate) fn number(self) -> i64 {
        match self {
            WhenFull::Refuse => 0,
            WhenFull::DropOther => 1,
            WhenFull::Wait => 2,
        }
    }

    fn numbered(number: i64) -> Result<Self> {
        match number {
            0 => Ok(WhenFull::Refuse),
            1 => Ok(WhenFull::DropOther),
            2 => Ok(WhenFull::Wait),
            _ => Err(damaged(
                "has an unknown number for what happens when it is full",
            )),
        }
    }
}

/// A bound as the database has it.
pub(crate) fn check_max_len(max_len: Option<usize>) -> Result<Option<i64>> {
    match max_len {
        Some(0) => Err(Error::new(
            ErrorKind::InvalidInput,
            "a deque with a max_len of 0 could never hold anything; choose 1 or more, or none",
        )),
        Some(max_len) => Ok(Some(i64::try_from(max_len).unwrap_or(i64::MAX))),
        None => Ok(None),
    }
}

/// No room, and no waiting for it.
pub(crate) fn full(bound: Bound) -> Error {
    let max_len = bound.max_len.unwrap_or(0);
    Error::new(
        ErrorKind::Full,
        format!(
            "it is full (max_len {max_len}); nothing was changed: \
             take items out first, or raise the bound by `set_max_len`"
        ),
    )
}

fn damaged(how: &str) -> Error {
    Error::new(
        ErrorKind::Corrupt,
        format!("it {how}: Store::check says what is damaged"),
    )
}
