//! A part of a file, locked together with others by who may only read it.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::fcntl;

use crate::record::{Kind, SET_LOCK, record};
use crate::{Deadline, back_off, plain_file};

/// Some bytes of a file, which need not exist, that nobody can lock alone while this is there.
///
/// # Process safety
///
/// It holds against other processes, and against locks of this one that were taken by other means. **Dropping it gives up every
/// POSIX lock that this process has on the file by other means**, as any `close` does.
///
/// # Crashes
///
/// The kernel releases it the moment its process dies. A child made by `fork` has a part in it until it ends or runs another program.
///
/// # Example
///
/// ```
/// use diskette_ipc::{Deadline, SharedRange};
///
/// # let dir = tempfile::tempdir()?;
/// let path = dir.path().join("file");
/// std::fs::write(&path, "content")?;
/// let held = SharedRange::lock(&path, 100..200, Deadline::at_once())?.expect("nobody has it locked");
/// assert!(held.is_at(&path)?);
/// std::fs::remove_file(&path)?;
/// assert!(!held.is_at(&path)?);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct SharedRange(File);

impl SharedRange {
    /// Locks the `bytes` of the file at `path`, waiting for it until `deadline`; `None` when the time is up.
    ///
    /// # Errors
    ///
    /// What opening and locking a file can fail with.
    pub fn lock(path: &Path, bytes: Range<u64>, deadline: Deadline) -> io::Result<Option<Self>> {
        let file = plain_file::read(path)?;
        let lock = record(Kind::Shared, bytes.start, bytes.end - bytes.start);
        let attempt = || match fcntl(&file, SET_LOCK(&lock)) {
            Ok(_) => Ok(Some(())),
            Err(Errno::EAGAIN | Errno::EACCES) => Ok(None),
            Err(error) => Err(error.into()),
        };
        let locked = back_off::repeat(deadline, attempt)?;
        Ok(locked.map(|()| Self(file)))
    }

    /// Whether `path` leads to the file that is locked here, and to no other.
    ///
    /// # Errors
    ///
    /// What looking at a file can fail with.
    pub fn is_at(&self, path: &Path) -> io::Result<bool> {
        let here = self.0.metadata()?;
        match std::fs::symlink_metadata(path) {
            Ok(there) => Ok((here.dev(), here.ino()) == (there.dev(), there.ino())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}
