use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
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

/// One that only grows safer.
pub(crate) struct AtomicDurability(AtomicBool);

impl AtomicDurability {
    pub(crate) fn get(&self) -> Durability {
        match self.0.load(Ordering::Relaxed) {
            true => Durability::Power,
            false => Durability::Process,
        }
    }

    pub(crate) fn raise_to(&self, durability: Durability) {
        self.0
            .fetch_or(durability == Durability::Power, Ordering::Relaxed);
    }
}

impl From<Durability> for AtomicDurability {
    fn from(durability: Durability) -> Self {
        AtomicDurability(AtomicBool::new(durability == Durability::Power))
    }
}

/// How a store is opened; made by [`Store::options`].
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use diskette::{Durability, Store};
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
    pub(crate) strangers: bool,
    pub(crate) create: bool,
    pub(crate) group: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            durability: Durability::Process,
            timeout: Duration::from_secs(30),
            network: false,
            strangers: false,
            create: true,
            group: false,
        }
    }
}

impl Options {
    /// What a power cut may take; [`Durability::Process`] unless said. Where the store is open in this process already, all
    /// its handles get the safer of the two.
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

    /// Opens a store on a network file system, or on one by FUSE, which may be one: refused otherwise, since file locks and
    /// shared memory don't work there, so that only one machine may use it, at its own risk.
    #[must_use]
    pub fn allow_network_file_system(mut self, allow: bool) -> Self {
        self.network = allow;
        self
    }

    /// Opens a store in a directory that every user of the machine may write to, which is refused otherwise: whoever can
    /// write there can read, change and remove all that is in the store.
    #[must_use]
    pub fn allow_strangers_to_write(mut self, allow: bool) -> Self {
        self.strangers = allow;
        self
    }

    /// Whether a store is created where there is none; `true` unless said. Otherwise that is an error
    /// ([`is_not_a_store`](crate::Error::is_not_a_store)): for whoever looks at a store, and may have mistyped its path.
    #[must_use]
    pub fn create(mut self, create: bool) -> Self {
        self.create = create;
        self
    }

    /// Makes a store that all users of the directory's group may use, a service and its operators, say; `false` unless said.
    ///
    /// The directory is made group-writable, and set-group-id: what is made in it later, by whomever, is the group's too. Make
    /// it beforehand, and `chgrp` it, if the group isn't the user's own. Any store in such a directory is shared.
    #[must_use]
    pub fn share_with_group(mut self, share: bool) -> Self {
        self.group = share;
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
