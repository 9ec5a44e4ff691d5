//! What follows a store that has moved, opened once for all its handles in this process.

use std::sync::{Arc, OnceLock};

use crate::error::Result;
use crate::following::Next;
use crate::sqlite::Sqlite;
use crate::sqlite::directory::Identity;
use crate::sqlite::moved::Moved;
use crate::store::Store;

/// What follows a database. Its identity is known by itself, to those who don't keep the store open.
#[derive(Default)]
pub(crate) struct Following {
    pub(crate) next: OnceLock<Next>,
    pub(crate) identity: Arc<OnceLock<Identity>>,
}

impl Sqlite {
    /// See the methods of [`Store`] with these names.
    pub(crate) fn next(&self) -> Option<&Next> {
        match self.ways.follows {
            true => self.shared.following.next.get(),
            false => None,
        }
    }

    pub(crate) fn identity_of_next(&self) -> &Arc<OnceLock<Identity>> {
        &self.shared.following.identity
    }

    pub(crate) fn onward(&self) -> Result<Option<Store>> {
        if !self.ways.follows {
            return Ok(None);
        }
        if let Some(next) = self.next() {
            return Ok(Some(next.store.going(self.ways.clone())));
        }
        if self.is_known_to_be_here() {
            return Ok(None);
        }
        match Moved::find(self.commons().directory.path())? {
            Some(moved) => self.follow(&moved),
            None => Ok(None),
        }
    }

    /// Without PostgreSQL nobody can: calls say where the store is.
    #[cfg(not(feature = "postgres"))]
    fn follow(&self, _: &Moved) -> Result<Option<Store>> {
        Ok(None)
    }
}
