//! What a power cut leaves of a directory, in the worst cases that POSIX allows.
//!
//! A process is watched by `ptrace`, call by call. Of a file there is left what it was when it was last synced; of a
//! directory either all that was done to it, at once, or only what was done before it was last synced.
#![allow(unsafe_code)]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{DirEntryExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::libc::{self, c_long};
use nix::sys::ptrace::{self, Options};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::Child;

/// Watches one process, and knows what is on the disk.
#[derive(Debug)]
pub struct PowerCuts {
    root: PathBuf,
    /// By inode number, what was there when it was last synced.
    files: BTreeMap<u64, Vec<u8>>,
    /// By directory, what it had in it when it was last synced.
    names: BTreeMap<PathBuf, Names>,
    left_out: &'static [&'static str],
}

/// Paths, and the inodes behind them.
type Names = BTreeMap<PathBuf, u64>;

/// What becomes of what was done to directories and not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsynced {
    /// It is on the disk at once, before all else.
    Kept,
    /// It is lost.
    Lost,
}

impl PowerCuts {
    /// Those of the directory `root`, all of which is taken to be on the disk now; but for what is named in `left_out`,
    /// by the beginning of its path below.
    ///
    /// # Panics
    ///
    /// If it can't be read.
    #[must_use]
    pub fn of(root: &Path, left_out: &'static [&'static str]) -> Self {
        let mut cuts = Self {
            root: root.to_owned(),
            files: BTreeMap::new(),
            names: BTreeMap::new(),
            left_out,
        };
        cuts.take_all(root);
        cuts
    }

    /// Lets `child`, which waits for a line, go on with `line`, and calls `cut` whenever something was taken from a directory
    /// or from a file, until that says `false`.
    ///
    /// To be called in a process that has no other children.
    ///
    /// # Panics
    ///
    /// If the child can't be watched.
    pub fn watch(
        &mut self,
        child: &mut Child,
        line: &str,
        mut cut: impl FnMut(&mut Child, &Self) -> bool,
    ) {
        let pid = Pid::from_raw(child.id().cast_signed());
        let options = Options::PTRACE_O_TRACESYSGOOD | Options::PTRACE_O_TRACECLONE;
        for thread in fs::read_dir(format!("/proc/{pid}/task")).expect("a living process") {
            let name = thread.expect("a thread").file_name();
            let thread = Pid::from_raw(name.to_string_lossy().parse().expect("a number"));
            ptrace::seize(thread, options).expect("a thread that can be traced");
            ptrace::interrupt(thread).expect("a traced thread");
        }
        child.say(line);
        let mut calls: BTreeMap<Pid, Call> = BTreeMap::new();
        loop {
            let status = match waitpid(Pid::from_raw(-1), Some(WaitPidFlag::__WALL)) {
                Err(Errno::EINTR) => continue,
                status => status.expect("a child to wait for"),
            };
            let (thread, pass_on) = match status {
                WaitStatus::PtraceSyscall(thread) => {
                    match Call::entered(thread, pid) {
                        Some(call) => drop(calls.insert(thread, call)),
                        None => {
                            if let Some(call) = calls.remove(&thread)
                                && self.happened(&call)
                                && !cut(child, self)
                            {
                                return;
                            }
                        }
                    }
                    (thread, None)
                }
                WaitStatus::Stopped(thread, signal) => (thread, Some(signal)),
                WaitStatus::PtraceEvent(thread, ..) => (thread, None),
                WaitStatus::Exited(ended, code) if ended == pid => panic!("ended with {code}"),
                _ => continue,
            };
            match ptrace::syscall(thread, pass_on) {
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(error) => panic!("can't go on: {error}"),
            }
        }
    }

    /// Makes what a power cut would leave now, in the new directory `image`.
    ///
    /// # Panics
    ///
    /// If it can't be written.
    pub fn image(&self, image: &Path, unsynced: Unsynced) {
        fs::create_dir(image).expect("a new directory");
        self.image_of(&self.root, image, unsynced);
    }

    fn image_of(&self, directory: &Path, image: &Path, unsynced: Unsynced) {
        let nothing = Names::new();
        let now;
        let names = match unsynced {
            Unsynced::Lost => self.names.get(directory).unwrap_or(&nothing),
            Unsynced::Kept => {
                now = self.list(directory);
                &now
            }
        };
        for (path, inode) in names {
            let into = image.join(path.file_name().unwrap_or_default());
            if self.names.contains_key(path) || path.is_dir() {
                fs::create_dir(&into).expect("a new directory");
                self.image_of(path, &into, unsynced);
            } else if let Some(content) = self.files.get(inode) {
                fs::write(into, content).expect("a file");
            }
        }
    }

    /// Takes down what was synced; says whether something was taken away.
    fn happened(&mut self, call: &Call) -> bool {
        if let Call::Sync(path) = call {
            if path.starts_with(&self.root) && !self.is_left_out(path) {
                match path.is_dir() {
                    true => drop(self.names.insert(path.clone(), self.list(path))),
                    false => self.take(path),
                }
            }
            return false;
        }
        true
    }

    fn take_all(&mut self, directory: &Path) {
        let names = self.list(directory);
        for path in names.keys() {
            match path.is_dir() {
                true => self.take_all(path),
                false => self.take(path),
            }
        }
        self.names.insert(directory.to_owned(), names);
    }

    fn take(&mut self, path: &Path) {
        if let (Ok(found), Ok(content)) = (fs::metadata(path), fs::read(path)) {
            self.files.insert(found.ino(), content);
        }
    }

    fn list(&self, directory: &Path) -> Names {
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        let names = entries.map(|entry| (entry.path(), entry.ino()));
        names.filter(|(path, _)| !self.is_left_out(path)).collect()
    }

    fn is_left_out(&self, path: &Path) -> bool {
        let below = path
            .strip_prefix(&self.root)
            .unwrap_or(path)
            .to_string_lossy();
        self.left_out.iter().any(|name| below.starts_with(name))
    }
}

/// A system call that matters here, from its entry to its exit.
#[derive(Debug)]
enum Call {
    Sync(PathBuf),
    TakeAway,
}

impl Call {
    /// `None`: it is an exit.
    fn entered(thread: Pid, pid: Pid) -> Option<Self> {
        let info = ptrace::syscall_info(thread).ok()?;
        if info.op != libc::PTRACE_SYSCALL_INFO_ENTRY {
            return None;
        }
        // SAFETY: the kernel has filled in this part of the union at an entry.
        let entry = unsafe { info.u.entry };
        match entry.nr as c_long {
            libc::SYS_fsync | libc::SYS_fdatasync => {
                let link = format!("/proc/{pid}/fd/{}", entry.args[0]);
                Some(Self::Sync(fs::read_link(link).unwrap_or_default()))
            }
            libc::SYS_unlinkat | libc::SYS_renameat | libc::SYS_renameat2 | libc::SYS_ftruncate => {
                Some(Self::TakeAway)
            }
            #[cfg(target_arch = "x86_64")]
            libc::SYS_unlink | libc::SYS_rename | libc::SYS_rmdir => Some(Self::TakeAway),
            // Nothing is taken from a directory by what ends here.
            _ => Some(Self::Sync(PathBuf::new())),
        }
    }
}
