//! Transactions over some structures of a store.

use crate::engine::Engine;
use crate::error::{Error, ErrorKind, Result};
use crate::store::Store;
use crate::structure::Structure;
use crate::transaction::Transaction;

/// What a transaction can be [over](Store::transaction_over): structures, and references to them, tuples, arrays, slices and vectors
/// of them. In `&[&dyn Structures]` they may be of different kinds.
///
/// Those are deques, indexes, caches, queues and throttles. Locks, semaphores and barriers are no part of a transaction, and need no naming; nor
/// can a `ShardedCache` be part of one, whose shards are databases of their own.
pub trait Structures {
    /// Calls `visit` for each that there is, until it fails.
    ///
    /// # Errors
    ///
    /// Those of `visit`.
    #[doc(hidden)]
    fn each(&self, visit: &mut dyn FnMut(&Structure) -> Result<()>) -> Result<()>;
}

impl Store {
    /// Runs `work` in a write transaction, as [`transaction`](Self::transaction) does, that is over these structures only: on
    /// PostgreSQL it takes their turns and no others, so that transactions over different structures run side by side, as single calls
    /// do. In a directory there is one turn for all, and it is the same as `transaction`.
    ///
    /// Turns are taken in one order by all, so that nobody waits for each other.
    ///
    /// # Errors
    ///
    /// Those of [`transaction`](Self::transaction). Within it, what is done to a structure that isn't named is an error that names it
    /// ([`is_misuse`](Error::is_misuse)), on either engine, even to read it; to make a structure is one, too.
    /// [`is_removed`](Error::is_removed), before `work` is called, if one of them is no longer there.
    ///
    /// # Cost
    ///
    /// That of `transaction`. On PostgreSQL the turns are taken in the round trip that begins it; each is a lock of the server, which has
    /// some thousands for all: for hundreds of structures take `transaction`.
    ///
    /// # Example
    ///
    /// ```
    /// use diskette::{Deque, Index, Store};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # std::env::set_current_dir(&dir)?;
    /// let store = Store::open("store")?;
    /// let todo = Deque::<String>::new(&store, "todo")?;
    /// let pages = Index::<String, u64>::new(&store, "pages")?;
    /// let log = Deque::<String>::new(&store, "log")?;
    ///
    /// store.transaction_over((&todo, &pages), |tx| {
    ///     todo.within(tx).push_back("/about")?;
    ///     pages.within(tx).insert("/", &200)?;
    ///     let error = log.within(tx).push_back("/").unwrap_err();
    ///     assert!(error.is_misuse() && error.to_string().contains("log"));
    ///     diskette::Ok(())
    /// })?;
    /// assert_eq!((todo.len()?, pages.len()?, log.len()?), (1, 1, 0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn transaction_over<R, E: From<Error>>(
        &self,
        structures: impl Structures,
        work: impl FnOnce(&Transaction<'_>) -> Result<R, E>,
    ) -> Result<R, E> {
        let over = Over::of(self, &structures)?;
        let work = |tx: &Transaction<'_>| {
            tx.db.keep_to(&over.numbers);
            over.must_be_there(|structure| structure.must_be_there(&tx.db))?;
            work(tx)
        };
        self.once(work, |store, work| match store.engine() {
            Engine::Sqlite(sqlite) => sqlite.transaction(store, |tx| work.begin()?(tx)),
            #[cfg(feature = "postgres")]
            Engine::Postgres(postgres) => {
                postgres.transaction_over(store, &over, |tx| work.begin()?(tx))
            }
        })
    }
}

/// What one transaction is over.
pub(crate) struct Over<'s> {
    structures: &'s dyn Structures,
    /// In order, each once.
    pub(crate) numbers: Vec<i64>,
}

impl<'s> Over<'s> {
    fn of(store: &Store, structures: &'s dyn Structures) -> Result<Self> {
        let mut numbers = Vec::new();
        structures.each(&mut |structure| {
            structure.doing("a transaction", structure.must_be_in(store))?;
            numbers.push(structure.id());
            Ok(())
        })?;
        numbers.sort_unstable();
        numbers.dedup();
        Ok(Over {
            structures,
            numbers,
        })
    }

    /// Names the one that isn't there, if `look` says so.
    pub(crate) fn must_be_there(&self, look: impl Fn(&Structure) -> Result<()>) -> Result<()> {
        self.structures
            .each(&mut |structure| structure.doing("a transaction", look(structure)))
    }
}

/// Of a structure that a transaction isn't over.
pub(crate) fn not_over() -> Error {
    Error::new(
        ErrorKind::Misuse,
        "the transaction is over other structures: name this one in `transaction_over` as well, or use `Store::transaction`",
    )
}

/// Of one that would have to be made in it.
pub(crate) fn not_made_yet() -> Error {
    Error::new(
        ErrorKind::Misuse,
        "there is none of this name, and none can be made in a `transaction_over` others: make it before, or in \
         `Store::transaction`",
    )
}

impl<S: Structures + ?Sized> Structures for &S {
    fn each(&self, visit: &mut dyn FnMut(&Structure) -> Result<()>) -> Result<()> {
        (**self).each(visit)
    }
}

impl<S: Structures> Structures for [S] {
    fn each(&self, visit: &mut dyn FnMut(&Structure) -> Result<()>) -> Result<()> {
        self.iter().try_for_each(|structure| structure.each(visit))
    }
}

impl<S: Structures, const N: usize> Structures for [S; N] {
    fn each(&self, visit: &mut dyn FnMut(&Structure) -> Result<()>) -> Result<()> {
        self.as_slice().each(visit)
    }
}

impl<S: Structures> Structures for Vec<S> {
    fn each(&self, visit: &mut dyn FnMut(&Structure) -> Result<()>) -> Result<()> {
        self.as_slice().each(visit)
    }
}

macro_rules! tuples {
    ($(($($name:ident)+))+) => {
        $(
            impl<$($name: Structures),+> Structures for ($($name,)+) {
                fn each(&self, visit: &mut dyn FnMut(&Structure) -> Result<()>) -> Result<()> {
                    #[allow(non_snake_case, reason = "each is named as its type is")]
                    let ($($name,)+) = self;
                    $($name.each(visit)?;)+
                    Ok(())
                }
            }
        )+
    };
}

tuples! { (A) (A B) (A B C) (A B C D) (A B C D E) (A B C D E F) (A B C D E F G) (A B C D E F G H) }
