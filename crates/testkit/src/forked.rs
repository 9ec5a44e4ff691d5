//! Children made by `fork`, which begin with their parent's memory.
#![allow(unsafe_code)]

use std::panic::{AssertUnwindSafe, catch_unwind};

use nix::libc;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};

/// A forked child. It may outlive this.
#[derive(Debug)]
#[must_use = "ask whether it ended well, or let it go"]
pub struct Forked(Pid);

impl Forked {
    /// Forks; the child does `work` and ends, without the destructors of its parent's memory.
    ///
    /// # Panics
    ///
    /// If it can't.
    pub fn child(work: impl FnOnce()) -> Self {
        // SAFETY: what the tests show is that diskette works in such a child.
        match unsafe { fork() }.expect("a forked child") {
            ForkResult::Parent { child } => Self(child),
            ForkResult::Child => {
                let worked = catch_unwind(AssertUnwindSafe(work));
                // SAFETY: ends the process.
                unsafe { libc::_exit(i32::from(worked.is_err())) }
            }
        }
    }

    /// Waits for its end; whether its work was done without a panic.
    pub fn ended_well(self) -> bool {
        matches!(waitpid(self.0, None), Ok(WaitStatus::Exited(_, 0)))
    }

    /// Lets it live on by itself.
    pub fn let_go(self) {}
}
