//! Knowing when nobody needs any more what was thrown away.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::FileExt;
use std::path::Path;

use nix::fcntl::fcntl;

use crate::back_off;
use crate::fork::{self, Hook, Kept};
use crate::record::{GET_LOCK, Kind, SET_LOCK, is_there, record};
use crate::{Deadline, FileLock};

/// Eras, by which those who look and those who tidy up stay out of each other's way, and neither ever waits.
///
/// Whoever looks at something shared [stays](Self::enter) in the era that it is then. Whoever tidies up takes down what
/// nobody new can find, begins [another era](Self::begin), and throws away what it took down once the eras before are
/// [over](Self::is_over): all who stay in this one came too late to find it. (Fraser, *Practical lock-freedom*, 2004, calls
/// this epoch-based reclamation.)
///
/// # Process safety
///
/// Any number of processes and threads may stay; one at a time may begin another. A child made by `fork` stays nowhere.
///
/// # Crashes
///
/// Who dies stays no longer, from that moment on.
///
/// # Cost
///
/// Entering: a read of eight bytes and a lock, two system calls; leaving: one. The file takes eight bytes.
///
/// # Example
///
/// ```
/// use diskette_ipc::Eras;
///
/// # let dir = tempfile::tempdir()?;
/// let eras = Eras::open(&dir.path().join("eras"))?;
/// let reader = eras.enter()?;
/// // …what is old is taken down, so that nobody finds it any more…
/// let now = eras.now()? + 1;
/// eras.begin(now)?;
/// let newer = eras.enter()?;
/// assert!(!eras.is_over(now)?);
/// drop(reader);
/// assert!(eras.is_over(now)?); // and can be thrown away
/// # drop(newer);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Eras(FileLock);

/// Somebody stays in an era, until this is dropped.
#[derive(Debug)]
#[must_use = "who drops it has left"]
pub struct Stay<'e> {
    eras: &'e Eras,
    era: u64,
    generation: u64,
}

impl Eras {
    /// Opens the file of eras at `path`, creating it (for this user only) if it isn't there.
    ///
    /// # Errors
    ///
    /// Those of [`FileLock::open`].
    pub fn open(path: &Path) -> io::Result<Self> {
        FileLock::open(path).map(Self)
    }

    /// Opens the file of eras at `path`, which is there, for who may only read it: to stay, and not to begin one.
    ///
    /// # Errors
    ///
    /// What opening a file can fail with.
    pub fn open_to_read(path: &Path) -> io::Result<Self> {
        FileLock::open_to_read(path).map(Self)
    }

    /// Stays in the era that it is.
    ///
    /// # Errors
    ///
    /// What reading and locking a file can fail with.
    pub fn enter(&self) -> io::Result<Stay<'_>> {
        // The file's own locks are this process's as a whole: so its threads are counted.
        let mut here = HERE.lock();
        let era = self.now()?;
        let stay = here.entry((self.fd(), era)).or_insert(0);
        if *stay == 0 {
            self.set(era, Kind::Shared)?;
        }
        *stay += 1;
        Ok(Stay {
            eras: self,
            era,
            generation: fork::generation(),
        })
    }

    /// Which era it is; a file that nobody has written yet says 1.
    ///
    /// # Errors
    ///
    /// What reading a file can fail with.
    pub fn now(&self) -> io::Result<u64> {
        let mut bytes = [0; 8];
        let read = self.0.file().read_at(&mut bytes, 0)?;
        let written = (read == bytes.len()).then(|| u64::from_le_bytes(bytes));
        // It never ends up where a lock can't be.
        Ok(written.unwrap_or(0).clamp(1, LAST))
    }

    /// Begins this era, if it isn't that or a later one. The caller keeps others from doing so meanwhile.
    ///
    /// # Errors
    ///
    /// What reading and writing a file can fail with.
    pub fn begin(&self, era: u64) -> io::Result<()> {
        let era = era.min(LAST);
        if self.now()? < era {
            self.0.file().write_all_at(&era.to_le_bytes(), 0)?;
        }
        Ok(())
    }

    /// Whether nobody stays in an era before this one.
    ///
    /// # Errors
    ///
    /// None in practice.
    pub fn is_over(&self, era: u64) -> io::Result<bool> {
        let here = HERE.lock();
        let earlier = (self.fd(), 0)..(self.fd(), era);
        if here.range(earlier).any(|(_, &stay)| stay > 0) {
            return Ok(false);
        }
        let mut found = record(Kind::Exclusive, 0, era);
        fcntl(self.0.file(), GET_LOCK(&mut found))?;
        Ok(!is_there(&found))
    }

    /// Waits until nobody stays in an era before this one; `false` when the time is up. It asks again, ever more rarely.
    ///
    /// # Errors
    ///
    /// Those of [`is_over`](Self::is_over).
    pub fn wait_for_end(&self, era: u64, deadline: Deadline) -> io::Result<bool> {
        let over = || Ok(self.is_over(era)?.then_some(()));
        Ok(back_off::repeat(deadline, over)?.is_some())
    }

    fn set(&self, era: u64, kind: Kind) -> io::Result<()> {
        fcntl(self.0.file(), SET_LOCK(&record(kind, era, 1)))?;
        Ok(())
    }

    fn fd(&self) -> RawFd {
        self.0.file().as_raw_fd()
    }
}

impl Drop for Stay<'_> {
    fn drop(&mut self) {
        if self.generation != fork::generation() {
            return;
        }
        let mut here = HERE.lock();
        let key = (self.eras.fd(), self.era);
        if let Some(stay) = here.get_mut(&key) {
            *stay -= 1;
            if *stay == 0 {
                here.remove(&key);
                // Giving up a lock on an open file doesn't fail.
                let _ = self.eras.set(self.era, Kind::None);
            }
        }
    }
}

/// How many of this process's threads stay where, by the descriptor of the file and the era.
static HERE: Kept<BTreeMap<(RawFd, u64), usize>> = Kept::new(BTreeMap::new());

/// The child's file is one that it has opened anew, without locks.
pub(crate) const HOOK: Hook = Hook {
    before: || HERE.hold(),
    parent: || drop(HERE.release()),
    child: || HERE.release().clear(),
};

const LAST: u64 = i64::MAX as u64 - 1;
