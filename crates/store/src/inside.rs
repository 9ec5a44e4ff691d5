use crate::access::Access;
use crate::db::Db;
use crate::error::Result;
use crate::sqlite::memory::{Keeping, Kept, Recalled};
use crate::structure::Structure;

/// A structure as it is reached: through the store, a transaction or a snapshot of its own store. For each method of
/// [`Access`] there is one here. Refused is what [`Structure::must_be_in`] refuses, and a transaction over others; and what
/// [`Structure::must_be_there`] does, by those that write, and by [`look`](Self::look) where nothing was found.
#[derive(Debug)]
pub struct Inside<'a, A> {
    structure: &'a Structure,
    access: &'a A,
}

impl Structure {
    /// This structure, through `access`.
    pub fn inside<'a, A: Access>(&'a self, access: &'a A) -> Inside<'a, A> {
        Inside {
            structure: self,
            access,
        }
    }
}

impl<A: Access> Inside<'_, A> {
    /// See [`Access::read`].
    pub fn read<R>(&self, operation: impl Fn(&Db<'_>) -> Result<R>) -> Result<R> {
        self.must_be_at_home()?;
        self.access.read(|db| {
            self.structure.must_be_named(db)?;
            operation(db)
        })
    }

    /// See [`Access::read_one`].
    pub fn read_one<R>(&self, operation: impl Fn(&Db<'_>) -> Result<R>) -> Result<R> {
        self.must_be_at_home()?;
        self.access.read_one(|db| {
            self.structure.must_be_named(db)?;
            operation(db)
        })
    }

    /// A [`read_one`](Self::read_one) that finds something. If nothing, the structure may have been removed.
    pub fn look<R>(&self, operation: impl Fn(&Db<'_>) -> Result<Option<R>>) -> Result<Option<R>> {
        self.read_one(|db| {
            let found = operation(db)?;
            if found.is_none() {
                self.structure.must_be_there(db)?;
            }
            Ok(found)
        })
    }

    /// A [`look`](Self::look) at the row of a key, unless what it says is kept in memory: then `known` makes the answer of that. What
    /// `read` finds it may keep, and that it found none.
    pub fn recall<R>(
        &self,
        key: &[u8],
        known: impl FnOnce(&[u8]) -> Result<Option<R>>,
        read: impl Fn(&Db<'_>, &Keeping<'_>) -> Result<Option<R>>,
    ) -> Result<Option<R>> {
        self.must_be_at_home()?;
        let keeping = match self.access.memory().map(|memory| memory.recall(key)) {
            Some(Recalled::Row(kept)) => return known(&kept),
            Some(Recalled::NoRow) => return Ok(None),
            Some(Recalled::Unknown(keeping)) => keeping,
            None => Keeping::default(),
        };
        let found = self.look(|db| read(db, &keeping))?;
        if found.is_none() {
            keeping.keep_none(key);
        }
        Ok(found)
    }

    /// The same for several keys, all at one moment. That there is none of them is not looked into.
    pub fn recall_all<'k, R>(
        &self,
        keys: impl Iterator<Item = &'k [u8]> + Clone,
        known: impl Fn(&[u8], &[u8]) -> Result<Option<R>>,
        read: impl Fn(&Db<'_>, &[u8], &Keeping<'_>) -> Result<Option<R>>,
    ) -> Result<Vec<Option<R>>> {
        self.must_be_at_home()?;
        let memory = self.access.memory();
        let recalled = memory.map(|memory| memory.recall_all(keys.clone()));
        let keeping = match recalled {
            Some(Ok(all)) => {
                let answer = |(key, kept): (&[u8], Option<Kept>)| match kept {
                    Some(kept) => known(key, &kept),
                    None => Ok(None),
                };
                return keys.zip(all).map(answer).collect();
            }
            Some(Err(keeping)) => keeping,
            None => Keeping::default(),
        };
        self.read(|db| {
            let read = |key| read(db, key, &keeping);
            keys.clone().map(read).collect()
        })
    }

    /// See [`Access::write`].
    pub fn write<R>(&self, operation: impl FnOnce(&Db<'_>) -> Result<R>) -> Result<R> {
        self.must_be_at_home()?;
        self.access.write(|db| {
            self.structure.enter(db)?;
            operation(db)
        })
    }

    /// See [`Access::write_one`].
    pub fn write_one<R: Send>(
        &self,
        operation: impl FnOnce(&Db<'_>) -> Result<R> + Send,
    ) -> Result<R> {
        self.must_be_at_home()?;
        let structure = self.structure;
        self.access.write_one(|db| {
            structure.enter(db)?;
            operation(db)
        })
    }

    /// A [`write`](Self::write) by which room is made. On a full disk it is tried once more, when the log was copied into the
    /// database: the room that it takes is there to be used again.
    pub fn free<R>(&self, mut operation: impl FnMut(&Db<'_>) -> Result<R>) -> Result<R> {
        let store = self.access.store();
        store.freeing(|| self.write(&mut operation))
    }

    /// A [`write_one`](Self::write_one) by which room is made, as [`free`](Self::free) does.
    pub fn free_one<R: Send>(
        &self,
        mut operation: impl FnMut(&Db<'_>) -> Result<R> + Send,
    ) -> Result<R> {
        let store = self.access.store();
        store.freeing(|| self.write_one(&mut operation))
    }

    /// See [`Access::read_and_write_one`]; by which room is made, as [`free`](Self::free) does.
    pub fn read_and_free_one<R: Send>(
        &self,
        mut operation: impl FnMut(&Db<'_>) -> Result<R> + Send,
    ) -> Result<R> {
        self.must_be_at_home()?;
        let (store, structure) = (self.access.store(), self.structure);
        store.freeing(|| {
            self.access.read_and_write_one(|db| {
                structure.enter(db)?;
                operation(db)
            })
        })
    }

    /// The large value with this number, which a row has named.
    pub fn raw_file(&self, id: i64) -> Result<Vec<u8>> {
        let value = self.access.read_one(|db| db.open_file(id))?;
        value.read_whole()
    }

    fn must_be_at_home(&self) -> Result<()> {
        self.structure.must_be_in(self.access.store())
    }
}
