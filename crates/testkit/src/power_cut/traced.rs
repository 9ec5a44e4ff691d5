//! A child whose threads stop at each of their system calls.

use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;

use nix::Result;
use nix::errno::Errno;
use nix::libc::c_long;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{self, Signal};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::Child;

/// Traced by the thread that made it, which waits for nothing else meanwhile.
pub(super) struct Traced {
    child: Child,
    process: Pid,
    /// The threads that are in a call.
    inside: HashSet<Pid>,
    /// The threads that go on next, and the signals that stopped them.
    stopped: Vec<(Pid, Option<Signal>)>,
    ended: bool,
}

/// Where a thread has stopped.
pub(super) enum Stop {
    Enters(Call),
    Leaves { well: bool },
}

/// A system call, before it does anything.
pub(super) struct Call {
    thread: Pid,
    pub(super) number: c_long,
    pub(super) args: [u64; 3],
}

impl Traced {
    pub(super) fn new(child: Child) -> Self {
        let process = Pid::from_raw(child.id().cast_signed());
        let mut traced = Traced {
            child,
            process,
            inside: HashSet::new(),
            stopped: Vec::new(),
            ended: false,
        };
        traced.seize(process).expect("a child that may be traced");
        // Those that it had started by now; later ones are traced from their beginning.
        while threads(process)
            .into_iter()
            .any(|thread| traced.seize(thread).is_ok())
        {}
        traced
    }

    pub(super) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Lets it run to where the next thread stops; `None`, once it has ended well.
    pub(super) fn next(&mut self) -> Option<(Pid, Stop)> {
        loop {
            for (thread, signal) in self.stopped.drain(..) {
                // It may have been killed.
                let _ = ptrace::syscall(thread, signal);
            }
            match wait() {
                Ok(WaitStatus::PtraceSyscall(thread)) => {
                    self.stopped.push((thread, None));
                    if let Ok(stop) = self.stop(thread) {
                        return Some((thread, stop));
                    }
                }
                Ok(WaitStatus::PtraceEvent(thread, ..)) => self.stopped.push((thread, None)),
                Ok(WaitStatus::Stopped(thread, signal)) => {
                    self.stopped.push((thread, Some(signal)));
                }
                Ok(status) if status.pid() == Some(self.process) => {
                    self.ended = true;
                    let well = WaitStatus::Exited(self.process, 0);
                    assert_eq!(status, well, "the child didn't end well");
                    return None;
                }
                Ok(status) => {
                    status.pid().map(|thread| self.inside.remove(&thread));
                }
                Err(error) => panic!("a child can't be waited for: {error}"),
            }
        }
    }

    /// Traces a thread that nobody traces. It has stopped by then: one that is about to start another would show it to nobody.
    fn seize(&mut self, thread: Pid) -> Result<()> {
        let options = Options::PTRACE_O_TRACESYSGOOD
            | Options::PTRACE_O_TRACECLONE
            | Options::PTRACE_O_EXITKILL;
        ptrace::seize(thread, options)?;
        ptrace::interrupt(thread)?;
        waitpid(thread, Some(WaitPidFlag::__WALL))?;
        self.stopped.push((thread, None));
        Ok(())
    }

    fn stop(&mut self, thread: Pid) -> Result<Stop> {
        let (number, args, result) = registers(thread)?;
        if self.inside.remove(&thread) {
            return Ok(Stop::Leaves { well: result >= 0 });
        }
        self.inside.insert(thread);
        Ok(Stop::Enters(Call {
            thread,
            number,
            args,
        }))
    }
}

impl Call {
    /// A file in `/proc` of who calls.
    pub(super) fn proc(&self, name: &str) -> PathBuf {
        format!("/proc/{}/{name}", self.thread).into()
    }
}

impl Drop for Traced {
    /// Its threads stay until they are waited for, and it with them.
    fn drop(&mut self) {
        if !self.ended {
            let _ = signal::kill(self.process, Signal::SIGKILL);
            while matches!(wait(), Ok(status) if !is_end(status, self.process)) {}
        }
    }
}

fn is_end(status: WaitStatus, of: Pid) -> bool {
    matches!(status, WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, ..) if pid == of)
}

fn wait() -> Result<WaitStatus> {
    loop {
        match waitpid(None, Some(WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD)) {
            Err(Errno::EINTR) => {}
            status => return status,
        }
    }
}

fn threads(process: Pid) -> Vec<Pid> {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).expect("a living child");
    let ids = tasks.filter_map(|task| task.ok()?.file_name().to_str()?.parse().ok());
    ids.map(Pid::from_raw).collect()
}

/// The number of a call, its first arguments (before it) and its result (after it).
#[cfg(target_arch = "x86_64")]
fn registers(thread: Pid) -> Result<(c_long, [u64; 3], i64)> {
    let has = ptrace::getregs(thread)?;
    let args = [has.rdi, has.rsi, has.rdx];
    Ok((has.orig_rax.cast_signed(), args, has.rax.cast_signed()))
}

#[cfg(target_arch = "aarch64")]
fn registers(thread: Pid) -> Result<(c_long, [u64; 3], i64)> {
    let has = ptrace::getregs(thread)?.regs;
    Ok((
        has[8].cast_signed(),
        [has[0], has[1], has[2]],
        has[0].cast_signed(),
    ))
}
