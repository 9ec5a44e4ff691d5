//! The row of a claimed item, for who holds it.

use std::sync::Arc;

use diskette_ipc::{OwnerId, fork};
use diskette_store::{Db, Error, ErrorKind, Result, Store};

use crate::order::Inner;
use crate::positions::End;
use crate::sql;

pub(crate) struct Held {
    pub(crate) inner: Arc<Inner>,
    pub(crate) store: Store,
    pub(crate) owner: OwnerId,
    /// Tells the claims of an owner apart.
    pub(crate) token: i64,
    /// Where the row was; it may have been renumbered since.
    pub(crate) pos: i64,
    /// The process that made it.
    pub(crate) generation: u64,
}

impl Held {
    pub(crate) fn must_be_ours(&self) -> Result<()> {
        match self.is_ours() {
            true => self.store.must_be_here(),
            false => Err(not_held(
                "belongs to the process that this one was forked from",
            )),
        }
    }

    pub(crate) fn complete(&self, db: &Db<'_>) -> Result<()> {
        let (pos, file) = self.find(db)?.ok_or_else(gone)?;
        db.run(sql::CLOSE_GAP, &[pos.into()])?;
        db.store().forget_value(db, file)?;
        self.inner.vacate(db, pos)?;
        self.inner.stay_in_the_middle(db, pos)?;
        db.ring(self.inner.structure.departures());
        Ok(())
    }

    /// Gives the item back to its place, or to an end; was it still held?
    pub(crate) fn release(&self, store: &Store, to: Option<End>) -> Result<bool> {
        if !self.is_ours() {
            return Ok(false);
        }
        let inner = &*self.inner;
        inner.structure.inside(store).write(|db| {
            // Without a row the item is back in its place already.
            let Some((pos, _)) = self.find(db)? else {
                return Ok(false);
            };
            inner.give_back(db, pos, to)?;
            Ok(true)
        })
    }

    /// Releases as soon as this thread is in no transaction. If that fails, the item is back when this
    /// process ends.
    pub(crate) fn give_back(self) {
        if self.is_ours() {
            let store = self.store.clone();
            store.when_free(move |store| {
                let _ = self.release(store, None);
            });
        }
    }

    fn find(&self, db: &Db<'_>) -> Result<Option<(i64, Option<i64>)>> {
        let (pos, owner, token) = (
            self.pos.into(),
            self.owner.as_i64().into(),
            self.token.into(),
        );
        let found = db.query_one(sql::HELD_AT, &[pos, owner, token], |row| {
            Ok((row.int(0)?, row.opt_int(1)?))
        })?;
        if found.is_some() {
            return Ok(found);
        }
        self.inner.find_claim(db, self.owner, self.token)
    }

    fn is_ours(&self) -> bool {
        self.generation == fork::generation()
    }
}

impl Inner {
    /// The position of a claim, and its file.
    pub(crate) fn find_claim(
        &self,
        db: &Db<'_>,
        owner: OwnerId,
        token: i64,
    ) -> Result<Option<(i64, Option<i64>)>> {
        let [first, end] = self.rows();
        let params = [first, end, owner.as_i64().into(), token.into()];
        db.query_one(sql::HELD, &params, |row| Ok((row.int(0)?, row.opt_int(1)?)))
    }

    /// Gives a claimed item back to its place, or to an end.
    pub(crate) fn give_back(&self, db: &Db<'_>, pos: i64, to: Option<End>) -> Result<()> {
        let to = match to {
            Some(end) => end.after(self.edge(db, end)?),
            None => pos,
        };
        db.run(sql::GIVE_BACK, &[to.into(), pos.into()])?;
        db.run(sql::CLOSE_GAP, &[pos.into()])?;
        if to != pos {
            self.vacate(db, pos)?;
            self.stay_in_the_middle(db, to)?;
        }
        db.ring(self.structure.arrivals());
        Ok(())
    }
}

pub(crate) fn gone() -> Error {
    not_held(
        "was made in a transaction that was rolled back, is completed already, or was taken away",
    )
}

fn not_held(why: &str) -> Error {
    Error::new(
        ErrorKind::Misuse,
        format!("this claim {why}; nothing was changed: claim the item anew"),
    )
}
