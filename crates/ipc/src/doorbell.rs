//! Waking who waits in another process.

use std::fs::File;
use std::io;
use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Duration;

use nix::sys::stat::fstat;

use crate::clock::Deadline;
use crate::line::{self, Line, Seen};
use crate::mapping::{Mapping, Shared, lengthen};
use crate::plain_file;
use crate::random;
use crate::stop::Stop;

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
/// after [`SAFETY_POLL`](Self::SAFETY_POLL). Nothing in the file needs repair, whatever it holds; if somebody has cut it
/// short, the next to use it makes it as long again.
///
/// # Cost
///
/// A ring that nobody waits for: one system call, which sees to it that the file is still as long, and one atomic write. A wake-up: two system calls, some 20 microseconds. Waiting costs
/// nothing but the safety poll. The file takes 64 KiB.
#[derive(Debug)]
pub struct Doorbell {
    mapping: Mapping,
    file: File,
}

/// A line to wait at, and what was seen there before the check.
#[derive(Clone, Copy, Debug)]
pub struct Awaited<'b> {
    /// The doorbell that has it.
    pub bell: &'b Doorbell,
    /// Which line.
    pub line: usize,
    /// What was seen.
    pub seen: Seen,
}

/// On a cache line of its own.
#[repr(C, align(64))]
struct Spaced {
    line: Line,
}

// SAFETY: a line is an atomic.
unsafe impl Shared for Spaced {}

const SIZE: NonZeroUsize =
    NonZeroUsize::new(Doorbell::LINES * size_of::<Spaced>()).expect("some lines");

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
        let file = plain_file::write_or_create(path)?;
        match file.metadata()?.len() {
            size if size <= SIZE.get() as u64 => {}
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
        lengthen(&file, SIZE.get())?;
        let mapping = Mapping::new(&file, SIZE)?;
        Ok(Self { mapping, file })
    }

    /// A doorbell that no other process has, but children made by `fork`.
    ///
    /// # Errors
    ///
    /// What making, removing and mapping a file in the directory for temporary files can fail with.
    pub fn private() -> io::Result<Self> {
        let path = std::env::temp_dir().join(format!("diskette-{:016x}", random::number()?));
        let bell = Self::open(&path)?;
        std::fs::remove_file(path)?;
        Ok(bell)
    }

    /// Wakes everybody who waits at `line`, in any process. To be called after the change is there to be seen.
    pub fn ring(&self, line: usize) {
        if let Some(line) = self.line(line) {
            line.ring();
        }
    }

    /// The state of `line` now, to be taken before the condition is checked.
    #[must_use]
    pub fn seen(&self, line: usize) -> Seen {
        self.line(line).map(Line::seen).unwrap_or_default()
    }

    /// Sleeps until `line` is rung, if it hasn't been since `seen`. `true` means: check again (it was rung, or a
    /// [`SAFETY_POLL`](Self::SAFETY_POLL) has passed, or for no reason at all); `false`: the deadline has passed.
    #[must_use]
    pub fn wait(&self, line: usize, seen: Seen, deadline: Deadline) -> bool {
        let bell = self;
        Self::wait_any(&[Awaited { bell, line, seen }], &[], deadline)
    }

    /// Sleeps like [`wait`](Self::wait) at several lines, of one or several doorbells, until one of them is rung, or one of
    /// `stops` is or was stopped.
    #[must_use]
    pub fn wait_any(awaited: &[Awaited<'_>], stops: &[&Stop], deadline: Deadline) -> bool {
        let lines = awaited.iter();
        let lines = lines.filter_map(|it| Some((it.bell.line(it.line)?, it.seen)));
        line::wait_any(lines, stops.iter().copied(), deadline, Self::SAFETY_POLL)
    }

    /// `None`: the file was cut short, and the disk has no room to make it as long again. Touched there, it would
    /// kill the process.
    fn line(&self, line: usize) -> Option<&Line> {
        let short = fstat(&self.file).map_or(true, |found| found.st_size < SIZE.get() as i64);
        if short && lengthen(&self.file, SIZE.get()).is_err() {
            return None;
        }
        let spaced: &Spaced = self.mapping.at(line % Self::LINES * size_of::<Spaced>());
        Some(&spaced.line)
    }
}
