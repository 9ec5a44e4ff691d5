//! Writing down what was read: by who evicts, since only he has to know; else in the background.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use diskette_ipc::fork;
use diskette_store::{Db, Result, Store, Value};

use crate::inner::Inner;
use crate::notes::Note;
use crate::policy::Policy;
use crate::sql;
use crate::uses::Use;

/// So many notes are written down in one turn to write, so that nobody waits for long.
const SOME: usize = 512;

impl Inner {
    /// Takes down that something was looked for, and found or not.
    pub(crate) fn count(self: &Arc<Self>, found: Option<Use>) {
        let [hits, misses] = &*self.uses.counts;
        let Some(found) = found else {
            misses.add();
            return;
        };
        let nth = hits.add();
        if self.store.is_read_only() || !self.uses.note(&found, nth, || self.timeline.now()) {
            return;
        }
        self.forget_what_was_inherited();
        if !self.uses.is_on_its_way.swap(true, Ordering::AcqRel) {
            let inner = Arc::downgrade(self);
            self.store.in_background(move |store| {
                if let Some(inner) = inner.upgrade() {
                    inner.uses.is_on_its_way.store(false, Ordering::Release);
                    let _ = inner.look(store);
                }
            });
        }
    }

    /// Writes down some of what this process has read, if others evict; and all of it, if it has to be.
    fn look(&self, store: &Store) -> Result<()> {
        if self.uses.looks(self.timeline.now()) {
            return self.settle_all(store);
        }
        let inside = self.structure.inside(store);
        let have_evicted = inside.read(|db| {
            let evicted = db.query_one(sql::COUNTS, &[self.id()], |row| row.int(2))?;
            self.see_the_oldest(db)?;
            Ok(evicted.is_some_and(|evicted| self.uses.have_evicted(evicted)))
        })?;
        match have_evicted {
            true => inside.write(|db| self.settle(db)),
            false => Ok(()),
        }
    }

    /// Writes down what this process has read, unless that is much: then who evicts asks for what matters by
    /// [`take_down`](Self::take_down).
    pub(crate) fn settle(&self, db: &Db<'_>) -> Result<()> {
        self.forget_what_was_inherited();
        let notes = match self.uses.notes.len() <= SOME {
            true => self.uses.notes.take(),
            false => Vec::new(),
        };
        self.write_down(db, &notes)
    }

    /// Writes down all that this process has read, in as many turns to write as it takes.
    pub(crate) fn settle_all(&self, store: &Store) -> Result<()> {
        self.forget_what_was_inherited();
        let notes = self.uses.take_all(self.timeline.now());
        let mut rest = notes.as_slice();
        loop {
            let (some, others) = rest.split_at(rest.len().min(SOME));
            let inside = self.structure.inside(store);
            inside.write(|db| self.write_down(db, some))?;
            rest = others;
            if rest.is_empty() {
                return Ok(());
            }
        }
    }

    /// Writes down what this process has read of an entry that was used so often and stored then; how often it was used with
    /// that, and when the last time, if that isn't known already.
    pub(crate) fn take_down(
        &self,
        db: &Db<'_>,
        policy: Policy,
        entry: i64,
        mut uses: i64,
        stored: i64,
    ) -> Result<(i64, Option<i64>)> {
        let mut last = None;
        for note in self.uses.notes.take_of(entry) {
            if let Some(more) = write(db, policy, &note, uses, stored)? {
                (uses, last) = (more, last.max(Some(note.at)));
            }
        }
        Ok((uses, last))
    }

    fn write_down(&self, db: &Db<'_>, notes: &[Note]) -> Result<()> {
        let config = self.config(db)?;
        for note in notes {
            let found = db.query_one(sql::STANDING, &[note.id.into()], |row| {
                Ok((row.int(0)?, row.int(1)?))
            })?;
            if let Some((uses, stored)) = found {
                write(db, config.policy, note, uses, stored)?;
            }
        }
        let [hits, misses] = &*self.uses.counts;
        let (some, none) = (hits.unsettled(), misses.unsettled());
        if some + none > 0 {
            let counts = [some, none].map(|count| i64::try_from(count).unwrap_or(0).into());
            let [some_more, none_more] = counts;
            db.run(sql::COUNT_READS, &[some_more, none_more, self.id()])?;
            self.uses.settle(db, [some, none]);
        }
        self.see_the_oldest(db)?;
        self.timeline.keep(db)
    }

    fn see_the_oldest(&self, db: &Db<'_>) -> Result<()> {
        let oldest = db.query_one(sql::OLDEST_RANK, &[self.id()], |row| row.int(0))?;
        self.uses.see_the_oldest(oldest);
        Ok(())
    }

    fn id(&self) -> Value<'static> {
        self.structure.id().into()
    }

    /// What a child inherits is its parent's to write down.
    pub(crate) fn forget_what_was_inherited(&self) {
        let generation = fork::generation();
        if self.generation.swap(generation, Ordering::AcqRel) != generation {
            self.uses.forget();
        }
    }
}

/// Adds to how often an entry was used, unless what was read was another, in the same place.
fn write(db: &Db<'_>, policy: Policy, note: &Note, uses: i64, stored: i64) -> Result<Option<i64>> {
    if note.at < stored {
        return Ok(None);
    }
    let uses = policy.read(uses, note.times);
    db.run(sql::USED, &[note.at.into(), uses.into(), note.id.into()])?;
    Ok(Some(uses))
}
