//! Files that several processes have in their memory.

use std::ffi::c_void;
use std::fs::File;
use std::io;
use std::num::NonZeroUsize;
use std::ptr::NonNull;

use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

/// The first bytes of a file, shared with every process that maps it. What lies beyond the file's end must not be touched.
#[derive(Debug)]
pub(crate) struct Mapping {
    start: NonNull<c_void>,
    size: NonZeroUsize,
}

// SAFETY: the mapping belongs to this value alone, and all that it gives out is atomic.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

/// What may be looked at in a mapping.
///
/// # Safety
///
/// The type consists of atomics only, for which any bytes are a value.
pub(crate) unsafe trait Shared {}

impl Mapping {
    pub(crate) fn new(file: &File, size: NonZeroUsize) -> io::Result<Self> {
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping, wherever the kernel puts it.
        let start = unsafe { mmap(None, size, protection, MapFlags::MAP_SHARED, file, 0)? };
        Ok(Self { start, size })
    }

    /// What is at `offset`.
    ///
    /// # Panics
    ///
    /// If it isn't within the mapping, or not aligned.
    pub(crate) fn at<T: Shared>(&self, offset: usize) -> &T {
        assert!(
            offset + size_of::<T>() <= self.size.get() && offset.is_multiple_of(align_of::<T>())
        );
        // SAFETY: within the mapping, aligned (it begins a page), and valid whatever the bytes are.
        unsafe { self.start.byte_add(offset).cast::<T>().as_ref() }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped by `new` with this size, and nothing refers to it any more.
        let _ = unsafe { munmap(self.start, self.size.get()) };
    }
}

/// Makes the file `size` bytes long, with all its blocks: a mapped page that the disk has no room for would be a
/// SIGBUS later.
#[cfg(target_os = "linux")]
pub(crate) fn lengthen(file: &File, size: usize) -> io::Result<()> {
    use nix::errno::Errno;
    loop {
        return match nix::fcntl::posix_fallocate(file, 0, size as i64) {
            Ok(()) => Ok(()),
            Err(Errno::EINTR) => continue,
            // Not every file system can; then there is nothing better.
            Err(Errno::EOPNOTSUPP | Errno::EINVAL) => file.set_len(size as u64),
            Err(error) => Err(error.into()),
        };
    }
}

/// Makes the file `size` bytes long.
#[cfg(not(target_os = "linux"))]
pub(crate) fn lengthen(file: &File, size: usize) -> io::Result<()> {
    file.set_len(size as u64)
}
