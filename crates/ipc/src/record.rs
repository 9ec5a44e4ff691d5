//! Locks of parts of files.
//!
//! On Linux they belong to the open file, so that nothing that the program itself does with the file (a backup that reads
//! the directory, say) gives one up. Elsewhere they are the process's, which loses them with whatever descriptor of the file
//! it closes.

use nix::fcntl::FcntlArg;
use nix::libc;

#[cfg(not(target_os = "linux"))]
pub(crate) use FcntlArg::{F_GETLK as GET_LOCK, F_SETLK as SET_LOCK};
#[cfg(target_os = "linux")]
pub(crate) use FcntlArg::{F_OFD_GETLK as GET_LOCK, F_OFD_SETLK as SET_LOCK};

#[derive(Clone, Copy)]
pub(crate) enum Kind {
    /// Together with others.
    Shared,
    /// Alone.
    Exclusive,
    /// Gives up what there is.
    None,
}

/// A lock of `length` bytes from `start`; a length of 0 goes to the end, however far that is.
pub(crate) fn record(kind: Kind, start: u64, length: u64) -> libc::flock {
    // SAFETY: plain data, for which all zeroes is valid.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = match kind {
        Kind::Shared => libc::F_RDLCK,
        Kind::Exclusive => libc::F_WRLCK,
        Kind::None => libc::F_UNLCK,
    } as libc::c_short;
    lock.l_whence = libc::SEEK_SET as libc::c_short;
    lock.l_start = start as libc::off_t;
    lock.l_len = length as libc::off_t;
    lock
}

/// Whether `GET_LOCK` has found one in the way.
pub(crate) fn is_there(found: &libc::flock) -> bool {
    found.l_type != libc::F_UNLCK as libc::c_short
}
