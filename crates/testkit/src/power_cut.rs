//! What a power cut leaves of a directory, in the worst cases that POSIX allows.
//!
//! A process is watched by `ptrace`, call by call. What a file has for sure is what it had when a sync began that has
//! returned, as far as it wasn't truncated since; a name is there for sure if it was then and is now.

mod disk;
mod traced;

use std::collections::HashMap;
use std::fmt::{self, Display};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use nix::libc;

use crate::Child;
use crate::role::SAID;
use disk::{Disk, Image, Synced};
use traced::{Call, Stop, Traced};

/// What a power cut would leave of a disk.
#[derive(Debug)]
pub struct PowerCut<'r> {
    worst: Worst,
    image: &'r Image,
    after: &'r str,
    said: &'r [String],
}

/// How those changes turn out that nobody has synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Worst {
    /// All names are as they were made, given and taken; files have what was synced.
    NamesDone,
    /// All names are as they were when their directories were synced; files have what was synced.
    NamesUndone,
    /// There is no name but those that are there either way; files have what was synced.
    NamesGone,
    /// The same, but the log has all that was written.
    LogWritten,
}

impl PowerCut<'_> {
    /// Which of the worst cases it is.
    #[must_use]
    pub fn worst(&self) -> Worst {
        self.worst
    }

    /// What the role had said.
    #[must_use]
    pub fn said(&self) -> &[String] {
        self.said
    }

    /// Writes what is left into the directory `to`.
    ///
    /// # Panics
    ///
    /// If it can't be written.
    pub fn restore(&self, to: &Path) {
        for (path, content) in self.image {
            let path = to.join(path);
            let written = match content {
                Some(content) => fs::write(path, content),
                None => fs::create_dir(path),
            };
            written.expect("room for an image");
        }
    }
}

impl Display for PowerCut<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (worst, after, said) = (self.worst, self.after, self.said);
        write!(f, "a power cut after {after}, {said:?} said, {worst:?}:")?;
        for (path, content) in self.image {
            if let Some(content) = content {
                write!(f, "\n    {} ({} bytes)", path.display(), content.len())?;
            }
        }
        Ok(())
    }
}

/// Plays `role` in a child to its end, and has `look` look at what power cuts would leave of the directory `disk`: after each
/// sync, each call that takes a name or a part of a file, and each line that the role says, as far as it differs.
///
/// The role hears one line before it touches the disk; what is there by then counts as synced. Nobody else changes it. Writes
/// through mappings and `O_SYNC` are not known. The calling thread has no other children.
///
/// # Panics
///
/// If the role doesn't end well, or can't be traced, or does nothing of these.
pub fn power_cuts<F: Fn()>(
    role: F,
    args: &[&dyn Display],
    disk: &Path,
    mut look: impl FnMut(&PowerCut<'_>),
) {
    let mut traced = Traced::new(Child::spawn(role, args));
    let mut disk = Disk::new(disk).expect("a directory that can be read");
    traced.child().say("go");
    let mut under_way = HashMap::new();
    let mut said = Vec::new();
    let mut seen = Vec::new();
    while let Some((thread, stop)) = traced.next() {
        let after = match stop {
            Stop::Enters(call) => {
                under_way.insert(thread, Effect::of(&call, &mut disk));
                continue;
            }
            Stop::Leaves { well } => match under_way.remove(&thread).flatten() {
                Some(effect) if well => effect.happens(&mut disk, &mut said),
                _ => continue,
            },
        };
        for (worst, image) in disk.images().expect("a directory that can be read") {
            // What was looked at after more was said holds for less.
            let known = (said.len(), image);
            if !seen.contains(&known) {
                look(&PowerCut {
                    worst,
                    image: &known.1,
                    after: &after,
                    said: &said,
                });
                seen.push(known);
            }
        }
    }
    assert!(!seen.is_empty(), "nothing was looked at");
}

/// What a call that matters does when it returns.
enum Effect {
    Syncs(String, Synced),
    Takes(&'static str),
    Says(String),
}

impl Effect {
    fn of(call: &Call, disk: &mut Disk) -> Option<Self> {
        match call.number {
            libc::SYS_fsync | libc::SYS_fdatasync => {
                let file = call.proc(&format!("fd/{}", call.args[0]));
                let path = disk.relative(&fs::read_link(&file).ok()?)?;
                match disk.sync(&file) {
                    // Its other threads have ended the process.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                    synced => {
                        let synced = synced.expect("a file that can be read");
                        Some(Self::Syncs(path.display().to_string(), synced))
                    }
                }
            }
            libc::SYS_write if call.args[0] == 1 => {
                let [_, from, length] = call.args;
                let mut said = vec![0; usize::try_from(length).ok()?];
                let memory = File::open(call.proc("mem")).expect("the memory of a child");
                memory.read_exact_at(&mut said, from).ok()?;
                let said = String::from_utf8(said).ok()?;
                Some(Self::Says(
                    said.trim_start().strip_prefix(SAID)?.trim_end().to_owned(),
                ))
            }
            libc::SYS_unlinkat => Some(Self::Takes("unlinkat")),
            libc::SYS_renameat => Some(Self::Takes("renameat")),
            libc::SYS_renameat2 => Some(Self::Takes("renameat2")),
            libc::SYS_truncate => Some(Self::Takes("truncate")),
            libc::SYS_ftruncate => Some(Self::Takes("ftruncate")),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_unlink => Some(Self::Takes("unlink")),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_rename => Some(Self::Takes("rename")),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_rmdir => Some(Self::Takes("rmdir")),
            _ => None,
        }
    }

    /// Says what it was.
    fn happens(self, disk: &mut Disk, said: &mut Vec<String>) -> String {
        match self {
            Self::Syncs(path, synced) => {
                disk.synced(synced);
                format!("a sync of {path:?}")
            }
            Self::Takes(how) => how.to_owned(),
            Self::Says(line) => {
                let after = format!("{line:?} was said");
                said.push(line);
                after
            }
        }
    }
}
