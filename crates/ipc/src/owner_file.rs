//! The files by which owners are known: one each, locked for as long as its process lives.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl, openat};
use nix::libc;
use nix::sys::stat::{Mode as Permissions, fstat};
use nix::unistd::{UnlinkatFlags, unlinkat};

use crate::{FileLock, Mode, OwnerId};

/// A will is read no further than this, and written no further: two million entries.
pub(crate) const LONGEST_WILL: u64 = 16 << 20;

/// The directory of owner files.
#[derive(Debug)]
pub(crate) struct OwnerFiles {
    /// Names are looked up from here, so that a renamed directory doesn't look like one where everybody is dead; and
    /// while it is open, no other directory can get the same identity.
    dir: OwnedFd,
    key: Key,
    lock: PathBuf,
}

/// Device and inode of a directory.
pub(crate) type Key = (u64, u64);

/// How it stands with an owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// The file is locked.
    Alive,
    /// The file is there and nobody has it locked.
    Dead,
    /// There is no file: an orderly end, or a settled estate.
    Gone,
}

impl OwnerFiles {
    pub(crate) fn open(path: &Path, lock: PathBuf) -> io::Result<Self> {
        let dir = File::open(path)?;
        let metadata = dir.metadata()?;
        if !metadata.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(Self {
            dir: dir.into(),
            key: (metadata.dev(), metadata.ino()),
            lock: std::path::absolute(lock)?,
        })
    }

    pub(crate) fn dir(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }

    pub(crate) fn key(&self) -> Key {
        self.key
    }

    /// Keeps owner files from coming and going: between a file's creation and its lock it looks like a dead owner's.
    pub(crate) fn guard(&self, mode: Mode) -> io::Result<FileLock> {
        FileLock::guard(&self.lock, mode)
    }

    /// Creates the file of `id` and locks it for this process. The caller has the guard.
    pub(crate) fn create(&self, id: OwnerId) -> io::Result<File> {
        let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
        let mode = Permissions::S_IRUSR | Permissions::S_IWUSR;
        let file = openat(&self.dir, name(id).as_str(), flags, mode)?;
        if let Err(error) = fcntl(&file, FcntlArg::F_SETLK(&whole_file())) {
            let _ = self.remove(id);
            return Err(error.into());
        }
        Ok(file.into())
    }

    /// What the file of `id` tells. Never to be asked about a file of this process: closing it here, by whatever
    /// descriptor, would give up its lock.
    pub(crate) fn state(&self, id: OwnerId) -> io::Result<State> {
        let Some(file) = self.read_only(id)? else {
            return Ok(State::Gone);
        };
        let mut lock = whole_file();
        fcntl(&file, FcntlArg::F_GETLK(&mut lock))?;
        if lock.l_type != libc::F_UNLCK as libc::c_short {
            return Ok(State::Alive);
        }
        // Who ends in good order removes the file first, and unlocks it then.
        Ok(match file.metadata()?.nlink() {
            0 => State::Gone,
            _ => State::Dead,
        })
    }

    /// The entries of the will of `id`. The same rule as for [`state`](Self::state).
    pub(crate) fn will(&self, id: OwnerId) -> io::Result<Vec<i64>> {
        let mut bytes = Vec::new();
        if let Some(file) = self.read_only(id)? {
            file.take(LONGEST_WILL).read_to_end(&mut bytes)?;
        }
        let entries = bytes.as_chunks().0.iter();
        Ok(entries.copied().map(i64::from_le_bytes).collect())
    }

    /// All that have a file.
    pub(crate) fn list(&self) -> io::Result<Vec<OwnerId>> {
        if fstat(&self.dir)?.st_nlink == 0 {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                "the directory of owners was removed",
            ));
        }
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let mut dir = Dir::openat(&self.dir, ".", flags, Permissions::empty())?;
        let mut ids = Vec::new();
        for entry in dir.iter() {
            ids.extend(OwnerId::from_file_name(entry?.file_name().to_bytes()));
        }
        Ok(ids)
    }

    /// Removes the file of `id`, if it is there.
    pub(crate) fn remove(&self, id: OwnerId) -> io::Result<()> {
        match unlinkat(&self.dir, name(id).as_str(), UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn read_only(&self, id: OwnerId) -> io::Result<Option<File>> {
        let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
        match openat(&self.dir, name(id).as_str(), flags, Permissions::empty()) {
            Ok(file) => Ok(Some(file.into())),
            Err(Errno::ENOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

fn name(id: OwnerId) -> String {
    id.to_string()
}

/// A POSIX record lock, which belongs to the process: a forked child doesn't inherit it.
fn whole_file() -> libc::flock {
    // SAFETY: plain data, for which all zeroes is valid: from the start to the end, however far that is.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = libc::F_WRLCK as libc::c_short;
    lock.l_whence = libc::SEEK_SET as libc::c_short;
    lock
}
