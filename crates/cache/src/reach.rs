use std::sync::Arc;

use diskette_store::{Access, Like, Result, Store, Structure};

use crate::cache::Cache;
use crate::config::Config;
use crate::inner::Inner;
use crate::part::Part;

/// How a cache reaches its entries: by whatever is an [`Access`], where all are in one place; or by [`Shards`](crate::Shards).
/// Nothing else implements it.
pub trait Reach {
    /// How each place is reached.
    #[doc(hidden)]
    type Access: Access;

    /// What all handles share that were cloned from one.
    #[doc(hidden)]
    type Inner: Clone + Send + Sync + 'static;

    /// The store that the cache has its name in.
    #[doc(hidden)]
    fn home(&self) -> &Store;

    /// What it is there.
    #[doc(hidden)]
    fn structure<'a>(&'a self, inner: &'a Self::Inner) -> &'a Arc<Structure>;

    /// Refuses if the parts aren't those of the cache any more.
    #[doc(hidden)]
    fn must_be_whole(&self) -> Result<()> {
        Ok(())
    }

    /// How many parts it has.
    #[doc(hidden)]
    fn parts(&self) -> usize;

    /// In which part a key is.
    #[doc(hidden)]
    fn number(&self, key: &[u8]) -> usize;

    /// The part with this number.
    #[doc(hidden)]
    fn part<'a>(&'a self, inner: &'a Self::Inner, number: usize) -> Part<'a, Self::Access>;

    /// Its limits and its policy.
    #[doc(hidden)]
    fn recorded(&self, inner: &Self::Inner) -> Result<Config>;

    /// Changes them, for all who use it.
    #[doc(hidden)]
    fn configure(&self, inner: &Self::Inner, change: impl Fn(Config) -> Config) -> Result<()>;
}

impl<A: Access> Reach for A {
    type Access = A;
    type Inner = Arc<Inner>;

    fn home(&self) -> &Store {
        self.store()
    }

    fn structure<'a>(&'a self, inner: &'a Arc<Inner>) -> &'a Arc<Structure> {
        &inner.structure
    }

    fn parts(&self) -> usize {
        1
    }

    fn number(&self, _key: &[u8]) -> usize {
        0
    }

    fn part<'a>(&'a self, inner: &'a Arc<Inner>, _number: usize) -> Part<'a, A> {
        Part {
            access: self,
            inner,
        }
    }

    fn recorded(&self, inner: &Arc<Inner>) -> Result<Config> {
        self.part(inner, 0).recorded()
    }

    fn configure(&self, inner: &Arc<Inner>, change: impl Fn(Config) -> Config) -> Result<()> {
        self.part(inner, 0).configure(|config| Ok(change(config)))
    }
}

impl<K, V, C, A: Reach> Cache<K, V, C, A> {
    /// Says in an error what was done, and to which cache.
    pub(crate) fn doing<R>(
        &self,
        verb: &'static str,
        operation: impl FnOnce() -> Result<R>,
    ) -> Result<R> {
        let structure = self.access.structure(&self.inner);
        let done = self.access.must_be_whole().and_then(|()| operation());
        structure.doing(verb, done)
    }

    /// The bytes of a key.
    pub(crate) fn key(&self, key: &(impl Like<K> + ?Sized)) -> Result<Vec<u8>> {
        self.nth(0).entries().key::<K>(key)
    }

    /// The part that a key is in.
    pub(crate) fn part(&self, key: &[u8]) -> Part<'_, A::Access> {
        self.nth(self.access.number(key))
    }

    pub(crate) fn parts(&self) -> impl Iterator<Item = Part<'_, A::Access>> {
        (0..self.access.parts()).map(|number| self.nth(number))
    }

    pub(crate) fn nth(&self, number: usize) -> Part<'_, A::Access> {
        self.access.part(&self.inner, number)
    }

    /// What is counted in each part, in all.
    pub(crate) fn sum(
        &self,
        count: impl Fn(Part<'_, A::Access>) -> Result<usize>,
    ) -> Result<usize> {
        self.parts().map(count).sum()
    }
}
