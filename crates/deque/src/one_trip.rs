//! Popping where a statement is a round trip: by a single one, with which the commit goes out.
//!
//! Whether the item can be read is known only then. So who has read none before, or has met one that can't be, looks before he
//! takes; and what turns out not to be readable is put back.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::Ordering;

use diskette_store::{Access, Codec, Db, Error, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::deque::Deque;
use crate::order::Inner;
use crate::positions::End;
use crate::sql;

/// What became of the item at an end.
enum Popped {
    Taken(Item),
    /// A large one, or one with gaps before it, which takes several statements.
    Stays,
}

struct Item {
    pos: i64,
    deliveries: Option<i64>,
    bytes: Vec<u8>,
}

impl<T, C, A> Deque<T, C, A>
where
    T: Serialize + DeserializeOwned,
    C: Codec,
    A: Access,
{
    /// Whether one statement is likely to do it.
    pub(crate) fn pops_in_one_trip(&self) -> bool {
        self.access.is_round_trip() && self.inner.plain.load(Ordering::Relaxed)
    }

    /// The item at an end, if there is one; `None`: it takes more than one statement.
    pub(crate) fn pop_in_one_trip(&self, end: End) -> Result<Option<Option<T>>> {
        let popped = self.inside().free_one(|db| {
            // Before the statement, with which the commit goes out. To ring for nothing harms nobody.
            db.ring(self.inner.structure.departures());
            db.query_one(sql::pop(end), &self.inner.rows(), |row| {
                let Some(pos) = row.opt_int(1)? else {
                    return Ok(Popped::Stays);
                };
                Ok(Popped::Taken(Item {
                    pos,
                    deliveries: row.opt_int(2)?,
                    bytes: row.blob(3)?.to_owned(),
                }))
            })
        })?;
        let item = match popped {
            None => return Ok(Some(None)),
            Some(Popped::Stays) => return Ok(None),
            Some(Popped::Taken(item)) => item,
        };
        match catch_unwind(AssertUnwindSafe(|| C::decode(&item.bytes))) {
            Ok(Ok(value)) => {
                self.stay_in_the_middle(item.pos)?;
                Ok(Some(Some(value)))
            }
            Ok(Err(unreadable)) => {
                self.put_back(end, &item)?;
                Err(unreadable)
            }
            Err(panic) => {
                let _ = self.put_back(end, &item);
                resume_unwind(panic)
            }
        }
    }

    fn stay_in_the_middle(&self, pos: i64) -> Result<()> {
        match self.inner.share().has_room_around(pos) {
            true => Ok(()),
            false => self
                .inside()
                .write(|db| self.inner.stay_in_the_middle(db, pos)),
        }
    }

    fn put_back(&self, end: End, item: &Item) -> Result<()> {
        self.inner.plain.store(false, Ordering::Relaxed);
        self.inside()
            .write(|db| self.inner.put_back(db, end, item))
            .map_err(lost)
    }
}

impl Inner {
    fn put_back(&self, db: &Db<'_>, end: End, item: &Item) -> Result<()> {
        let pos = end.after(self.edge(db, end)?);
        let row = [
            pos.into(),
            item.deliveries.into(),
            item.bytes.as_slice().into(),
        ];
        db.run(sql::PUT_BACK, &row)?;
        db.ring(self.structure.arrivals());
        Ok(())
    }
}

fn lost(error: Error) -> Error {
    let message =
        format!("an item was taken that can't be read, and it can't be put back: {error}");
    Error::new(error.kind(), message).caused_by(error)
}
