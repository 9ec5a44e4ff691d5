//! The files of a store are plain ones, reached through no link.
//!
//! Whoever can write to the directory could otherwise lead a store to a file elsewhere, or to a pipe that nobody feeds. What
//! root makes is given to the owner of the directory, who would be locked out of it.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, Permissions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::Path;

use nix::libc;
use nix::unistd::Uid;

use crate::mapping::lengthen;

/// Opens a file for reading.
///
/// # Errors
///
/// What opening a file can fail with; [`InvalidInput`](io::ErrorKind::InvalidInput) if it is a link or no plain file.
///
/// # Example
///
/// ```
/// use diskette_ipc::plain_file;
///
/// # let dir = tempfile::tempdir()?;
/// let (file, link) = (dir.path().join("file"), dir.path().join("link"));
/// plain_file::create(&file)?;
/// std::os::unix::fs::symlink(&file, &link)?;
/// assert!(plain_file::read(&file).is_ok());
/// assert!(plain_file::read(&link).is_err());
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn read(path: &Path) -> io::Result<File> {
    open(path, OpenOptions::new().read(true))
}

/// Opens a file for reading and writing.
///
/// # Errors
///
/// Those of [`read`].
pub fn write(path: &Path) -> io::Result<File> {
    open(path, OpenOptions::new().read(true).write(true))
}

/// Opens a file for reading and writing, that is [made](create) if it is missing.
///
/// # Errors
///
/// Those of [`read`] and [`create`].
pub fn write_or_create(path: &Path) -> io::Result<File> {
    match write(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        found => return found,
    }
    match create(path) {
        // Another was faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => write(path),
        made => made,
    }
}

/// Makes a new file, readable and writable by the user only, open for both.
///
/// # Errors
///
/// [`AlreadyExists`](io::ErrorKind::AlreadyExists), be it as a link; what creating a file can fail with.
pub fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let file = options
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    give_to_owner(&file, || owner_of_parent(path))?;
    if is_shared(&parent(path)?) {
        file.set_permissions(Permissions::from_mode(0o660))?;
    }
    Ok(file)
}

/// Makes a new file that takes so many bytes of the disk.
///
/// # Errors
///
/// Those of [`create`]; a full disk: then there is no file.
pub fn create_with_room(path: &Path, bytes: usize) -> io::Result<File> {
    let file = create(path)?;
    lengthen(&file, bytes).inspect_err(|_| drop(fs::remove_file(path)))?;
    Ok(file)
}

/// Makes a directory, for the user only, if it is missing; says whether it was.
///
/// # Errors
///
/// What creating a directory can fail with; [`NotADirectory`](io::ErrorKind::NotADirectory) if there is something else, be
/// it a link to one.
pub fn create_directory(path: &Path) -> io::Result<bool> {
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return match fs::symlink_metadata(path)?.is_dir() {
                true => Ok(false),
                false => Err(not_plain(io::ErrorKind::NotADirectory, path)),
            };
        }
        Err(error) => return Err(error),
    }
    give_to_owner(&File::open(path)?, || owner_of_parent(path))?;
    if is_shared(&parent(path)?) {
        share(path)?;
    }
    Ok(true)
}

/// Shares a directory, and all that is made in it from then on, with its group.
///
/// # Errors
///
/// What changing permissions can fail with.
pub fn share(directory: &Path) -> io::Result<()> {
    fs::set_permissions(directory, Permissions::from_mode(SHARED))
}

/// Whether that was done to a directory.
#[must_use]
pub fn is_shared(directory: &Metadata) -> bool {
    directory.mode() & SHARED == SHARED
}

/// The group may write, and what is made there is the group's.
const SHARED: u32 = 0o2770;

/// Lets others read what this user has just made, those whom `who` names: of the bits 0o044. A directory they may enter too.
///
/// # Errors
///
/// What changing permissions can fail with.
pub fn let_read(made: &File, who: u32) -> io::Result<()> {
    let found = made.metadata()?;
    let enter = if found.is_dir() { who >> 2 } else { 0 };
    match found.mode() | who | enter {
        mode if mode == found.mode() => Ok(()),
        mode => made.set_permissions(Permissions::from_mode(mode)),
    }
}

/// Makes sure that no power cut takes back which files the directory has.
///
/// # Errors
///
/// What syncing can fail with.
pub fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Gives away what root has made, to whom `owner` says: user and group.
pub(crate) fn give_to_owner(
    made: &impl AsFd,
    owner: impl FnOnce() -> io::Result<(u32, u32)>,
) -> io::Result<()> {
    if !Uid::effective().is_root() {
        return Ok(());
    }
    let (user, group) = owner()?;
    match user {
        0 => Ok(()),
        user => fchown(made.as_fd(), Some(user), Some(group)),
    }
}

fn owner_of_parent(path: &Path) -> io::Result<(u32, u32)> {
    let parent = parent(path)?;
    Ok((parent.uid(), parent.gid()))
}

fn parent(path: &Path) -> io::Result<Metadata> {
    fs::metadata(path.parent().unwrap_or(path))
}

/// Neither waits for a pipe's other end nor follows a link.
fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let opened = options
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path);
    let file = opened.map_err(|error| match error.raw_os_error() {
        Some(libc::ELOOP | libc::ENXIO) => not_plain(io::ErrorKind::InvalidInput, path),
        _ => error,
    })?;
    if file.metadata()?.is_file() {
        return Ok(file);
    }
    Err(not_plain(io::ErrorKind::InvalidInput, path))
}

fn not_plain(kind: io::ErrorKind, path: &Path) -> io::Error {
    let message = format!(
        "{} is a link or something else that diskette did not make; remove it",
        path.display()
    );
    io::Error::new(kind, message)
}
