use crate::db::Db;
use crate::error::Result;
use crate::sqlite::memory::Memory;
use crate::store::Store;

/// How a structure reaches the database: through a [`Store`], where each operation is a transaction by
/// itself, or through an open [`Transaction`](crate::Transaction) or [`Snapshot`](crate::Snapshot), of
/// which it then is a part. One implementation of a structure serves all three, and nothing else implements it.
pub trait Access {
    /// The store that is reached.
    fn store(&self) -> &Store;

    /// Several statements that see one consistent state. Like that of [`read_one`](Self::read_one), the closure may run twice: a
    /// large value's file that was replaced between the row and the file is read again.
    ///
    /// # Errors
    ///
    /// Those of `operation`, and of the database.
    #[doc(hidden)]
    fn read<R>(&self, operation: impl Fn(&Db<'_>) -> Result<R>) -> Result<R>;

    /// One reading statement.
    ///
    /// # Errors
    ///
    /// Those of `operation`, and of the database.
    #[doc(hidden)]
    fn read_one<R>(&self, operation: impl Fn(&Db<'_>) -> Result<R>) -> Result<R>;

    /// Several statements, all of them or nothing.
    ///
    /// # Errors
    ///
    /// Those of `operation`, and of the database. Within a transaction, an error after the first
    /// write dooms that transaction: it can only be rolled back.
    #[doc(hidden)]
    fn write<R>(&self, operation: impl FnOnce(&Db<'_>) -> Result<R>) -> Result<R>;

    /// At most one writing statement: spares the transaction around it. It may depend on what was read before it only where statements
    /// don't [travel](Db::travels): there nobody else has the turn. Another thread, which has the turn, may do it for this one.
    ///
    /// # Errors
    ///
    /// Those of `operation`, and of the database.
    #[doc(hidden)]
    fn write_one<R: Send>(&self, operation: impl FnOnce(&Db<'_>) -> Result<R> + Send) -> Result<R>;

    /// A [`write_one`](Self::write_one) whose statement depends on what was read before it: where statements travel it is a
    /// [`write`](Self::write).
    ///
    /// # Errors
    ///
    /// Those of `operation`, and of the database.
    #[doc(hidden)]
    fn read_and_write_one<R: Send>(
        &self,
        operation: impl FnOnce(&Db<'_>) -> Result<R> + Send,
    ) -> Result<R> {
        self.write(operation)
    }

    /// What is kept in memory of what is read by itself; nothing of what is part of a transaction or snapshot.
    #[doc(hidden)]
    fn memory(&self) -> Option<Memory<'_>> {
        None
    }
}

impl<A: Access> Access for &A {
    fn store(&self) -> &Store {
        (**self).store()
    }

    fn read<R>(&self, operation: impl Fn(&Db<'_>) -> Result<R>) -> Result<R> {
        (**self).read(operation)
    }

    fn read_one<R>(&self, operation: impl Fn(&Db<'_>) -> Result<R>) -> Result<R> {
        (**self).read_one(operation)
    }

    fn write<R>(&self, operation: impl FnOnce(&Db<'_>) -> Result<R>) -> Result<R> {
        (**self).write(operation)
    }

    fn write_one<R: Send>(&self, operation: impl FnOnce(&Db<'_>) -> Result<R> + Send) -> Result<R> {
        (**self).write_one(operation)
    }

    fn read_and_write_one<R: Send>(
        &self,
        operation: impl FnOnce(&Db<'_>) -> Result<R> + Send,
    ) -> Result<R> {
        (**self).read_and_write_one(operation)
    }

    fn memory(&self) -> Option<Memory<'_>> {
        (**self).memory()
    }
}
