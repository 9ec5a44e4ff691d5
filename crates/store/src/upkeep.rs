//! Looking after a store.

use std::path::Path;

use crate::engine::Engine;
use crate::error::Result;
use crate::report::Report;
use crate::stats::Stats;
use crate::store::Store;

impl Store {
    /// Looks for damage: the database page by page, each value file's presence and length, and files
    /// that belong to nothing. Changes nothing; reads the whole database; others go on meanwhile.
    ///
    /// # Errors
    ///
    /// Only where looking was not possible; damage is in the report.
    pub fn check(&self) -> Result<Report> {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.check(),
            #[cfg(feature = "postgres")]
            Engine::Postgres(postgres) => postgres.check(),
        }
    }

    /// Mends what can be mended without losing anything: rebuilds the database's indexes, settles
    /// what dead processes left, removes orphaned value files. Says what is still wrong.
    ///
    /// # Errors
    ///
    /// Those of the database; [`is_timeout`](crate::Error::is_timeout) when the turn to write didn't come.
    pub fn repair(&self) -> Result<Report> {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.repair(),
            #[cfg(feature = "postgres")]
            Engine::Postgres(postgres) => postgres.repair(),
        }
    }

    /// What the store holds, and how large it is.
    ///
    /// # Cost
    ///
    /// It goes through all values without reading them: some 100 ns for each.
    ///
    /// # Errors
    ///
    /// Those of the database.
    pub fn stats(&self) -> Result<Stats> {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.stats(),
            #[cfg(feature = "postgres")]
            Engine::Postgres(postgres) => postgres.stats(),
        }
    }

    /// What the directory of the store takes on the disk, in bytes, as `du` says: the database and its log, value files, those
    /// that are about to be removed among them, and the rest. [`stats`](Self::stats) says what is in it.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    ///
    /// # Cost
    ///
    /// Asks for the size of each file.
    pub fn disk_bytes(&self) -> Result<u64> {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.disk_bytes(),
            #[cfg(feature = "postgres")]
            Engine::Postgres(postgres) => postgres.disk_bytes(),
        }
    }

    /// Copies the store, as it is at one moment, into the directory `to`, while others go on writing.
    /// The copy is a store like any other. Never copy the files of a store that this very process has open: reading the
    /// database by other means takes SQLite's locks from the process.
    ///
    /// Once it returns, no power cut takes the copy, at either durability.
    ///
    /// Each of the databases of a structure that is spread over several is copied as it is at a moment of its own.
    ///
    /// Value files are hard links where the file system allows (they never change), copies elsewhere.
    ///
    /// # Errors
    ///
    /// [`is_invalid_input`](crate::Error::is_invalid_input) when there is a store at `to` already; the errors
    /// of [`Store::open`] for `to`; [`is_disk_full`](crate::Error::is_disk_full). An incomplete copy stays
    /// behind then, to be removed.
    ///
    /// # Example
    ///
    /// ```
    /// use diskette::Store;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # std::env::set_current_dir(&dir)?;
    /// let store = Store::open("store")?;
    /// store.backup("copy")?;
    /// assert!(Store::open("copy")?.check()?.is_sound());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn backup(&self, to: impl AsRef<Path>) -> Result<()> {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.backup(to.as_ref()),
            #[cfg(feature = "postgres")]
            Engine::Postgres(postgres) => postgres.backup(to.as_ref()),
        }
    }

    /// Gives the free space of the database back to the file system, and empties the write-ahead log.
    /// Writers wait meanwhile, and it takes as much free disk as the store is large.
    ///
    /// # Errors
    ///
    /// [`is_timeout`](crate::Error::is_timeout) when the turn to write didn't come or a long reader is in the
    /// way; [`is_disk_full`](crate::Error::is_disk_full).
    pub fn compact(&self) -> Result<()> {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.compact(),
            #[cfg(feature = "postgres")]
            Engine::Postgres(postgres) => postgres.compact(),
        }
    }
}
