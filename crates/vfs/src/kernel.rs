//! Where the locks stay with the kernel.

use std::ffi::CStr;
use std::io;
use std::path::Path;

use rusqlite::Connection;

/// The locks of one database's log: here those of SQLite, in the kernel.
#[derive(Clone, Debug)]
pub struct LogLocks(());

impl LogLocks {
    /// Makes no file.
    ///
    /// # Errors
    ///
    /// None.
    pub fn open(_path: &Path) -> io::Result<Self> {
        Ok(LogLocks(()))
    }

    /// `None`: there is no memory to look into.
    #[must_use]
    pub fn told(&self) -> Option<u64> {
        None
    }

    /// Tells nobody.
    pub fn tell(&self) {}

    /// Calls `open`, which is to open a connection by the default VFS.
    pub fn connect<R>(&self, open: impl FnOnce(Option<&CStr>) -> R) -> R {
        open(None)
    }

    /// To be called before each transaction that writes, by a connection of these locks that has read before:
    /// [`diskette_wal_index::mend`].
    pub fn mend(&self, connection: &Connection) {
        diskette_wal_index::mend(connection);
    }
}
