//! Waking who waits in another process.

use std::ffi::c_void;
use std::fs::{File, OpenOptions};
use std::io;
use std::num::NonZeroUsize;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

use crate::clock::Deadline;
use crate::futex;

/// A file of counters, mapped into every process that uses it: 1024 lines, each of which can be rung by one process
/// and waited at by others.
///
/// A line says that something *may* have changed. So check, and only then wait, for what was seen *before* the check:
///
/// ```
/// # use diskette_ipc::{Deadline, Doorbell};
/// # let dir = tempfile::tempdir()?;
/// # let bell = Doorbell::open(dir.path().join("bell"))?;
/// # let (line, deadline) = (7, Deadline::at_once());
/// # let condition = || Some(1);
/// let found = loop {
///     let seen = bell.seen(line);
///     if let Some(found) = condition() {
///         break Some(found);
///     }
///     if !bell.wait(line, seen, deadline) {
///         break None; // time is up
///     }
/// };
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Process safety
///
/// All threads of all processes may ring and wait at any line. A child made by `fork` may go on with its parent's.
///
/// # Crashes
///
/// A process killed after it made the change and before it rang loses the ring: whoever waits checks again
/// after [`SAFETY_POLL`](Self::SAFETY_POLL). Nothing in the file needs repair, whatever it holds.
///
/// # Cost
///
/// A ring that nobody waits for: one atomic write. A wake-up: two system calls, some 20 microseconds. Waiting costs
/// nothing but the safety poll. The file takes 64 KiB.
#[derive(Debug)]
pub struct Doorbell {
    lines: NonNull<Line>,
}

// SAFETY: the mapping belongs to this value alone, and is used by atomic operations only.
unsafe impl Send for Doorbell {}
// SAFETY: as above.
unsafe impl Sync for Doorbell {}

/// The state of a line at one moment, by [`Doorbell::seen`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen(u32);

/// A counter of rings in the upper 31 bits; the lowest says that somebody waits. On a cache line of its own.
#[repr(C, align(64))]
struct Line {
    word: AtomicU32,
}

const WAITED_FOR: u32 = 1;
const ONE_RING: u32 = 2;
const SIZE: NonZeroUsize =
    NonZeroUsize::new(Doorbell::LINES * size_of::<Line>()).expect("some lines");

impl Doorbell {
    /// How many lines there are. Any `usize` names one, modulo this.
    pub const LINES: usize = 1024;

    /// The longest that a waiter goes without checking again.
    pub const SAFETY_POLL: Duration = Duration::from_millis(500);

    /// Opens the doorbell at `path`, creating it (for this user only) if it isn't there.
    ///
    /// # Errors
    ///
    /// What opening and mapping a file can fail with; a full disk; [`InvalidData`](io::ErrorKind::InvalidData) if the
    /// file is something else, by its size.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref();
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)?;
        match file.metadata()?.len() {
            0 => file.set_len(SIZE.get() as u64)?,
            size if size == SIZE.get() as u64 => {}
            size => {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!(
                        "{} has {size} bytes and is not a doorbell, which has {SIZE}; remove it while nobody uses it",
                        path.display(),
                    ),
                ));
            }
        }
        allocate(&file)?;
        Ok(Self { lines: map(&file)? })
    }

    /// Wakes everybody who waits at `line`, in any process. To be called after the change is there to be seen.
    pub fn ring(&self, line: usize) {
        let word = self.word(line);
        let rung = |word: u32| Some(word.wrapping_add(ONE_RING) & !WAITED_FOR);
        let before = word.fetch_update(Ordering::SeqCst, Ordering::SeqCst, rung);
        if before.is_ok_and(|word| word & WAITED_FOR != 0) {
            futex::wake(word);
        }
    }

    /// The state of `line` now, to be taken before the condition is checked.
    #[must_use]
    pub fn seen(&self, line: usize) -> Seen {
        Seen(self.word(line).load(Ordering::SeqCst) & !WAITED_FOR)
    }

    /// Sleeps until `line` is rung, if it hasn't been since `seen`. `true` means: check again (it was rung, or a
    /// [`SAFETY_POLL`](Self::SAFETY_POLL) has passed, or for no reason at all); `false`: the deadline has passed.
    #[must_use]
    pub fn wait(&self, line: usize, seen: Seen, deadline: Deadline) -> bool {
        let word = self.word(line);
        let waited_for = seen.0 | WAITED_FOR;
        loop {
            let now = word.load(Ordering::SeqCst);
            if now & !WAITED_FOR != seen.0 {
                return true;
            }
            let left = deadline.remaining().unwrap_or(Duration::MAX);
            let left = left.min(Self::SAFETY_POLL);
            if left.is_zero() {
                return false;
            }
            // A waiter that is killed leaves the bit behind: the next ring makes one needless wake, and clears it.
            let marked = now == waited_for
                || word
                    .compare_exchange(now, waited_for, Ordering::SeqCst, Ordering::SeqCst)
                    .is_ok();
            if marked {
                futex::wait(word, waited_for, left);
                let rung = word.load(Ordering::SeqCst) & !WAITED_FOR != seen.0;
                return rung || !deadline.is_past();
            }
        }
    }

    fn word(&self, line: usize) -> &AtomicU32 {
        // SAFETY: the mapping has LINES lines and lives as long as self; any bytes are a valid counter.
        unsafe { &self.lines.add(line % Self::LINES).as_ref().word }
    }
}

impl Drop for Doorbell {
    fn drop(&mut self) {
        // SAFETY: mapped by `open` with this size, and nothing refers to it any more.
        let _ = unsafe { munmap(self.lines.cast::<c_void>(), SIZE.get()) };
    }
}

/// Gives the whole file its blocks, now: a mapped page that the disk has no room for would be a SIGBUS later.
#[cfg(target_os = "linux")]
fn allocate(file: &File) -> io::Result<()> {
    use nix::errno::Errno;
    match nix::fcntl::posix_fallocate(file, 0, SIZE.get() as i64) {
        // Not every file system can; then there is nothing better.
        Ok(()) | Err(Errno::EOPNOTSUPP | Errno::EINVAL) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(target_os = "linux"))]
fn allocate(_file: &File) -> io::Result<()> {
    Ok(())
}

fn map(file: &File) -> io::Result<NonNull<Line>> {
    // SAFETY: a new mapping, of a file with this size that nobody shortens.
    let memory = unsafe {
        mmap(
            None,
            SIZE,
            ProtFlags::PROT_READ | ProtFlags::PROT_WRITE,
            MapFlags::MAP_SHARED,
            file,
            0,
        )?
    };
    Ok(memory.cast())
}
