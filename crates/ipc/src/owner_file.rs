//! The files by which owners are known: one each, locked for as long as its process lives.
//!
//! The lock belongs to the open file. A forked child inherits that, and closes it at birth.

use std::fs::{File, Permissions as Access};
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{OFlag, fcntl, openat};
use nix::sys::stat::{Mode as Permissions, fstat};
use nix::unistd::{UnlinkatFlags, unlinkat};

use crate::record::{GET_LOCK, Kind, SET_LOCK, is_there, record};
use crate::{FileLock, Mode, OwnerId, plain_file};

/// A will is read no further than this: two million entries.
pub(crate) const LONGEST_WILL: u64 = 16 << 20;

/// What stands in a will where an entry was.
pub(crate) const NOTHING: i64 = 0;

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
    /// The file is locked, or can't be read: then nobody must be taken for dead.
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
        let file = openat(&self.dir, name(id).as_str(), flags, Permissions::S_IRUSR)?;
        let file = File::from(file);
        let lock = || -> io::Result<()> {
            // Others can write nothing to it, and whoever can reach it can tell whether its process lives.
            file.set_permissions(Access::from_mode(0o444))?;
            plain_file::give_to_owner(&file, || {
                let dir = fstat(&self.dir)?;
                Ok((dir.st_uid, dir.st_gid))
            })?;
            fcntl(&file, SET_LOCK(&record(Kind::Exclusive, 0, 0)))?;
            Ok(())
        };
        if let Err(error) = lock() {
            let _ = self.remove(id);
            return Err(error);
        }
        Ok(file)
    }

    /// What the file of `id` tells.
    pub(crate) fn state(&self, id: OwnerId) -> io::Result<State> {
        let file = match self.read_only(id) {
            Ok(Some(file)) => file,
            Ok(None) => return Ok(State::Gone),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                return Ok(State::Alive);
            }
            Err(error) => return Err(error),
        };
        let mut lock = record(Kind::Exclusive, 0, 0);
        fcntl(&file, GET_LOCK(&mut lock))?;
        if is_there(&lock) {
            return Ok(State::Alive);
        }
        // Who ends in good order removes the file first, and unlocks it then.
        Ok(match file.metadata()?.nlink() {
            0 => State::Gone,
            _ => State::Dead,
        })
    }

    /// The entries of the will of `id`.
    pub(crate) fn will(&self, id: OwnerId) -> io::Result<Vec<i64>> {
        let mut bytes = Vec::new();
        if let Some(file) = self.read_only(id)? {
            file.take(LONGEST_WILL).read_to_end(&mut bytes)?;
        }
        let entries = bytes.as_chunks().0.iter().copied();
        let entries = entries.map(i64::from_le_bytes);
        Ok(entries.filter(|&entry| entry != NOTHING).collect())
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

    /// `None`: there is none, or something that is no owner's file.
    fn read_only(&self, id: OwnerId) -> io::Result<Option<File>> {
        let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
        let file = match openat(&self.dir, name(id).as_str(), flags, Permissions::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::ENOENT | Errno::ELOOP | Errno::ENXIO) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        Ok(file.metadata()?.is_file().then_some(file))
    }
}

fn name(id: OwnerId) -> String {
    id.to_string()
}
