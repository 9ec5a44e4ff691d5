//! Keeps value files from going while somebody may want them.

use diskette_ipc::Mutex;
use diskette_ipc::clock::Deadline;
use diskette_ipc::{FileLock, Mode};

use crate::error::{Error, ErrorKind, Result};

/// A shared lock over all processes. File locks don't tell threads apart, so they are counted here.
pub(crate) struct Hold {
    lock: FileLock,
    holders: Mutex<usize>,
}

/// How long unlinking a few files may take at the most.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

impl Hold {
    pub(crate) fn new(lock: FileLock) -> Self {
        Hold {
            lock,
            holders: Mutex::new(0),
        }
    }

    pub(crate) fn shared(&self) -> Result<Held<'_>> {
        let mut holders = self.holders.lock();
        if *holders == 0
            && !self
                .lock
                .lock(Mode::Shared, Deadline::after(PATIENCE))
                .map_err(failed)?
        {
            return Err(Error::new(
                ErrorKind::Timeout,
                "another process is removing value files for long",
            ));
        }
        *holders += 1;
        Ok(Held(self))
    }

    /// Runs `alone` unless somebody holds it; says whether it ran.
    pub(crate) fn exclusive(&self, alone: impl FnOnce()) -> Result<bool> {
        let holders = self.holders.lock();
        if *holders > 0 || !self.lock.try_lock(Mode::Exclusive).map_err(failed)? {
            return Ok(false);
        }
        alone();
        self.lock.unlock().map_err(failed)?;
        Ok(true)
    }
}

/// Held until dropped.
pub(crate) struct Held<'h>(&'h Hold);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let mut holders = self.0.holders.lock();
        *holders -= 1;
        if *holders == 0 {
            // An unlock can't fail on an open file.
            let _ = self.0.lock.unlock();
        }
    }
}

fn failed(error: std::io::Error) -> Error {
    Error::io("can't lock the value files", error)
}
