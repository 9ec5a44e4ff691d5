//! Locks that the kernel takes back from the dead.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use fs2::FileExt;
use nix::libc::{self, c_int};

use crate::clock::Deadline;
use crate::fork::{self, Hook, Kept};
use crate::{back_off, plain_file};

/// How a [`FileLock`] is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Together with others that share it.
    Shared,
    /// Alone.
    Exclusive,
}

/// A lock between processes: an open file with `flock`. The file stays empty and is never deleted by this type.
///
/// # Process safety
///
/// One `FileLock` is one holder, however many threads use it: a second [`lock`](Self::lock) through the same value
/// succeeds. Two values, in one process or in two, exclude each other. In a child made by `fork` each
/// inherited value is a holder of its own, that holds nothing yet.
///
/// # Crashes
///
/// The kernel releases the lock the moment its holder dies, however it dies.
///
/// # Fairness
///
/// None: whoever waits asks again, ever more rarely, up to every 10 milliseconds. It is for what is held shortly; for more
/// take a [`Board`](crate::Board). Changing the mode of a lock that is held gives it up in between.
///
/// # Cost
///
/// Lock and unlock: one system call each, 0.3 microseconds together.
///
/// # Example
///
/// ```
/// use diskette_ipc::{Deadline, FileLock, Mode};
/// use std::time::Duration;
///
/// # let dir = tempfile::tempdir()?;
/// let path = dir.path().join("gate");
/// let one = FileLock::open(&path)?;
/// let other = FileLock::open(&path)?;
///
/// assert!(one.try_lock(Mode::Exclusive)?);
/// assert!(!other.lock(Mode::Shared, Deadline::after(Duration::from_millis(5)))?); // time is up
/// one.unlock()?;
/// assert!(other.try_lock(Mode::Shared)?);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct FileLock {
    file: File,
    identity: (u64, u64),
}

impl FileLock {
    /// Opens the lock file at `path`, creating it (for this user only) if it isn't there.
    ///
    /// # Errors
    ///
    /// What opening a file can fail with.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        fork::install();
        let path = path.as_ref();
        let mut open = OPEN.lock(); // no fork between opening the file and knowing of it
        let file = plain_file::write_or_create(path)?;
        let identity = identity(&file.metadata()?);
        open.insert(&file, path, libc::O_RDWR)?;
        Ok(Self { file, identity })
    }

    /// Opens a lock file that is there, for who may only read it.
    ///
    /// # Errors
    ///
    /// What opening a file can fail with.
    pub fn open_to_read(path: &Path) -> io::Result<Self> {
        fork::install();
        let mut open = OPEN.lock();
        let file = plain_file::read(path)?;
        let identity = identity(&file.metadata()?);
        open.insert(&file, path, libc::O_RDONLY)?;
        Ok(Self { file, identity })
    }

    /// Opens the lock file at `path` and takes the lock, for something short. A holder of its own each time, so that threads
    /// exclude each other too.
    pub(crate) fn guard(path: &Path, mode: Mode) -> io::Result<Self> {
        /// Long enough for anything short, on any machine.
        const PATIENCE: Duration = Duration::from_secs(10);
        let guard = Self::open(path)?;
        if guard.lock(mode, Deadline::after(PATIENCE))? {
            return Ok(guard);
        }
        Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!(
                "{} has been held for {PATIENCE:?}; see which process is stopped while holding it",
                path.display()
            ),
        ))
    }

    /// Takes the lock if it is free; `false` if it isn't.
    ///
    /// # Errors
    ///
    /// What `flock` can fail with, such as a file system without locks; in a forked child, that it couldn't open
    /// the file again.
    pub fn try_lock(&self, mode: Mode) -> io::Result<bool> {
        let answer = match mode {
            Mode::Shared => FileExt::try_lock_shared(&self.file),
            Mode::Exclusive => FileExt::try_lock_exclusive(&self.file),
        };
        match answer {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) if error.raw_os_error() == Some(libc::EBADF) => Err(io::Error::other(
                "the lock file could not be opened again in this forked child: open the lock anew",
            )),
            Err(error) => Err(error),
        }
    }

    /// Takes the lock, waiting for it until `deadline`; `false` when the time is up.
    ///
    /// # Errors
    ///
    /// As for [`try_lock`](Self::try_lock).
    pub fn lock(&self, mode: Mode, deadline: Deadline) -> io::Result<bool> {
        let attempt = || Ok(self.try_lock(mode)?.then_some(()));
        Ok(back_off::repeat(deadline, attempt)?.is_some())
    }

    /// Releases the lock; nothing happens if it isn't held.
    ///
    /// # Errors
    ///
    /// None in practice.
    pub fn unlock(&self) -> io::Result<()> {
        FileExt::unlock(&self.file)
    }

    /// Whether the file that is locked here is still there for others to lock: `false` once it, or its
    /// directory, was deleted under us. Then this lock excludes nobody.
    ///
    /// # Errors
    ///
    /// None in practice.
    pub fn is_linked(&self) -> io::Result<bool> {
        let metadata = self.file.metadata()?;
        Ok(metadata.nlink() > 0 && identity(&metadata) == self.identity)
    }
}

impl FileLock {
    pub(crate) fn file(&self) -> &File {
        &self.file
    }
}

/// For the roster.
#[cfg(target_os = "linux")]
impl FileLock {
    pub(crate) fn inode(&self) -> u64 {
        self.identity.1
    }

    /// Whether these are the metadata of the file that is locked here.
    pub(crate) fn is_of(&self, metadata: &Metadata) -> bool {
        identity(metadata) == self.identity
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        // First, and not only by closing: a child that is being forked may have got the descriptor as well.
        let _ = self.unlock();
        OPEN.lock().files.remove(&self.file.as_raw_fd());
    }
}

/// A forked child inherits the open file, and with it the lock of its parent, which would then outlive the parent.
/// So the child opens each file anew, under the same descriptor.
pub(crate) const HOOK: Hook = Hook {
    before: || OPEN.hold(),
    parent: || drop(OPEN.release()),
    child: || OPEN.release().reopen(),
};

static OPEN: Kept<Open> = Kept::new(Open {
    files: BTreeMap::new(),
    nowhere: None,
});

/// The lock files that this process has open.
struct Open {
    /// By descriptor, the names to open each one by, and how. The first leads to the very same file even when it has moved.
    files: BTreeMap<RawFd, ([CString; 2], c_int)>,
    /// Takes the place of a lock file that cannot be opened again; on Linux it refuses every lock.
    nowhere: Option<File>,
}

impl Open {
    fn insert(&mut self, file: &File, path: &Path, access: c_int) -> io::Result<()> {
        if self.nowhere.is_none() {
            let nowhere = OpenOptions::new()
                .read(true)
                .custom_flags(O_PATH)
                .open("/dev/null")?;
            self.nowhere = Some(nowhere);
        }
        let fd = file.as_raw_fd();
        let path = std::path::absolute(path)?.into_os_string().into_vec();
        let names = [
            CString::new(format!("/proc/self/fd/{fd}"))?,
            CString::new(path)?,
        ];
        self.files.insert(fd, (names, access));
        Ok(())
    }

    /// Runs in a forked child: without memory allocation, and whatever fails, the parent's lock is let go.
    fn reopen(&self) {
        let nowhere = self.nowhere.as_ref().map_or(-1, File::as_raw_fd);
        for (&fd, ([moved, named], access)) in &self.files {
            // SAFETY: the names are C strings; `fd` is an open file of a FileLock, so nobody else's.
            unsafe {
                let flags = access | libc::O_CLOEXEC;
                let again = [(moved, flags), (named, flags | libc::O_NOFOLLOW)]
                    .iter()
                    .map(|(name, flags)| libc::open(name.as_ptr(), *flags))
                    .find(|&again| again >= 0);
                libc::dup2(again.unwrap_or(nowhere), fd);
                libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC);
                if let Some(again) = again {
                    libc::close(again);
                }
            }
        }
    }
}

#[cfg(target_os = "linux")]
const O_PATH: c_int = libc::O_PATH;
#[cfg(not(target_os = "linux"))]
const O_PATH: c_int = 0;

/// Device and inode.
fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}
