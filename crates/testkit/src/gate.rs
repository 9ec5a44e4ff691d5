//! Starting several processes at one moment.

use std::path::Path;

use diskette_ipc::{Deadline, FileLock, Mode};

use crate::PATIENCE;

/// A gate at which children wait until the test opens it for all of them at once.
///
/// The test closes it before it spawns the children; each of them says that it is ready and then calls
/// [`pass`](Self::pass); the test hears them all and opens it.
#[derive(Debug)]
pub struct Gate(FileLock);

impl Gate {
    /// A closed gate, known to the children by its path.
    ///
    /// # Panics
    ///
    /// If the file cannot be made, or somebody is passing.
    #[must_use]
    pub fn closed(path: impl AsRef<Path>) -> Self {
        let lock = FileLock::open(path).expect("the gate's file");
        assert!(lock.try_lock(Mode::Exclusive).expect("the gate's lock"));
        Self(lock)
    }

    /// Lets all through who wait now or come later.
    ///
    /// # Panics
    ///
    /// Never, in practice.
    pub fn open(self) {
        self.0.unlock().expect("the gate's lock");
    }

    /// Waits until the gate at `path` is open.
    ///
    /// # Panics
    ///
    /// If it doesn't open in time.
    pub fn pass(path: impl AsRef<Path>) {
        let lock = FileLock::open(path).expect("the gate's file");
        let passed = lock.lock(Mode::Shared, Deadline::after(PATIENCE));
        assert!(passed.expect("the gate's lock"), "the gate stayed closed");
    }
}
