use std::sync::Arc;

use diskette_store::entries::Entries;
use diskette_store::{Access, Inside, Store};

use crate::inner::Inner;
use crate::sql;

/// Entries that are in one place, as they are reached: what the methods of a cache are made of works on them. Most caches have
/// one part, a sharded one has several.
#[derive(Debug)]
pub struct Part<'a, A> {
    pub(crate) access: &'a A,
    pub(crate) inner: &'a Arc<Inner>,
}

impl<A> Clone for Part<'_, A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A> Copy for Part<'_, A> {}

impl<'a, A: Access> Part<'a, A> {
    pub(crate) fn inside(&self) -> Inside<'a, A> {
        self.inner.structure.inside(self.access)
    }

    pub(crate) fn entries(&self) -> Entries<'a, A> {
        Entries::of(&self.inner.structure, self.access, &sql::ENTRIES)
    }

    pub(crate) fn store(&self) -> &'a Store {
        self.access.store()
    }
}
