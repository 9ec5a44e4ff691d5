use std::path::Path;
use std::time::Duration;

use crate::error::Result;
use crate::store::Store;

/// What a power cut may take; a killed process takes nothing in either case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// A call that returned survives the death of any process. A power cut or a crash of the
    /// operating system may undo the last moments, as a whole: never a part of a transaction
    /// (SQLite's WAL at `synchronous = NORMAL`).
    #[default]
    Process,
    /// What a call returned from is on the disk: one sync for each writing transaction
    /// (`synchronous = FULL`).
    Power,
}

/// How a store is opened; made by [`Store::options`].
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use diskette_store::{Durability, Store};
///
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("jobs");
/// let store = Store::options()
///     .durability(Durability::Power)
///     .timeout(Duration::from_secs(2))
///     .open(path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Options {
    pub(crate) durability: Durability,
    pub(crate) timeout: Duration,
    pub(crate) network: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            durability: Durability::Process,
            timeout: Duration::from_secs(30),
            network: false,
        }
    }
}

impl Options {
    /// What a power cut may take; [`Durability::Process`] unless said. A store that is open in this
    /// process keeps the durability it was first opened with.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// How long a call may wait for its turn to write; 30 s unless said. `Duration::MAX` waits for ever.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Opens a store on a network file system, which is refused otherwise: file locks and shared
    /// memory don't work there, so that only one machine may use it, at its own risk.
    #[must_use]
    pub fn allow_network_file_system(mut self, allow: bool) -> Self {
        self.network = allow;
        self
    }

    /// Opens the store in this directory; creates it if it is missing.
    ///
    /// # Errors
    ///
    /// Those of [`Store::open`].
    pub fn open(self, path: impl AsRef<Path>) -> Result<Store> {
        Store::open_with(path.as_ref(), &self)
    }
}
