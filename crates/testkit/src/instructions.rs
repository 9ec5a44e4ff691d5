//! Killing a process at one of its instructions.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use nix::errno::Errno;
use nix::libc;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{self, Signal};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, gettid};

use crate::Child;

/// The number by which [`kill_at_step`] knows this thread.
#[must_use]
pub fn thread_id() -> i32 {
    gettid().as_raw()
}

/// Has `child` hear `go`, runs its `thread` instruction by instruction until it says something, and kills it before it goes on from
/// step number `last`: an instruction that has changed what is `shared`, bytes at the beginning of files, or a call to the
/// kernel that may change a file. Whether there was such a step.
///
/// # Panics
///
/// If it can't be traced, or ends by itself.
pub fn kill_at_step(
    mut child: Child,
    thread: i32,
    go: &str,
    shared: &[(&Path, usize)],
    last: usize,
) -> bool {
    let process = Pid::from_raw(child.id().cast_signed());
    let thread = Pid::from_raw(thread);
    let mut shared: Vec<_> = shared.iter().map(|it| Shared::open(it.0, it.1)).collect();
    ptrace::seize(thread, Options::PTRACE_O_EXITKILL).expect("a child that may be traced");
    ptrace::interrupt(thread).expect("a traced child");
    wait(thread);
    child.say(go);
    let mut signal = None;
    let mut steps = 0;
    let came = loop {
        ptrace::step(thread, signal).expect("a child that is stopped");
        signal = match wait(thread) {
            WaitStatus::Stopped(_, Signal::SIGTRAP) | WaitStatus::PtraceEvent(..) => None,
            WaitStatus::Stopped(_, signal) => Some(signal),
            other => panic!("the child has ended: {other:?}"),
        };
        let changed = shared
            .iter_mut()
            .fold(false, |any, it| it.has_changed() | any);
        if changed || has_called(thread) {
            if steps == last {
                break true;
            }
            steps += 1;
        }
        if child.heard().is_some() {
            break false;
        }
    };
    signal::kill(process, Signal::SIGKILL).expect("a child");
    // Before that nobody can wait for its process.
    while !matches!(
        wait(thread),
        WaitStatus::Signaled(..) | WaitStatus::StillAlive
    ) {}
    came
}

fn wait(thread: Pid) -> WaitStatus {
    loop {
        match waitpid(thread, Some(WaitPidFlag::__WALL)) {
            Err(Errno::EINTR) => {}
            Err(Errno::ECHILD) => return WaitStatus::StillAlive,
            status => return status.expect("a traced child"),
        }
    }
}

/// Whether the last instruction was a call that may change a file or a lock.
fn has_called(thread: Pid) -> bool {
    let called = ptrace::getregs(thread).expect("a traced child").orig_rax;
    let changing = [
        libc::SYS_pwrite64,
        libc::SYS_ftruncate,
        libc::SYS_fcntl,
        libc::SYS_fsync,
        libc::SYS_fdatasync,
        libc::SYS_unlink,
    ];
    changing.contains(&called.cast_signed())
}

struct Shared {
    file: File,
    bytes: Vec<u8>,
    before: Vec<u8>,
}

impl Shared {
    fn open(path: &Path, size: usize) -> Self {
        let mut shared = Shared {
            file: File::open(path).expect("a file that is shared"),
            bytes: vec![0; size],
            before: vec![0; size],
        };
        shared.has_changed();
        shared
    }

    fn has_changed(&mut self) -> bool {
        std::mem::swap(&mut self.bytes, &mut self.before);
        let _ = self.file.read_at(&mut self.bytes, 0);
        self.bytes != self.before
    }
}
