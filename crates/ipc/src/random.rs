//! Numbers that nobody else draws.

use std::io;

use nix::libc;

/// A positive number of 63 random bits, never drawn twice in practice: from the kernel, and not from a generator with a
/// state, which a forked child would share.
///
/// # Errors
///
/// None in practice.
pub fn number() -> io::Result<i64> {
    let mut bytes = [0; 8];
    // SAFETY: the buffer is valid for its length.
    if unsafe { libc::getentropy(bytes.as_mut_ptr().cast(), bytes.len()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok((i64::from_ne_bytes(bytes) & i64::MAX).max(1))
}
