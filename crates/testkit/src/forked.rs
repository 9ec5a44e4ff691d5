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
                Self::end(worked.is_ok())
            }
        }
    }

    /// Forks, and goes on in both; `None` in the child, which has to [end](Self::end) by itself.
    ///
    /// # Panics
    ///
    /// If it can't.
    pub fn both() -> Option<Self> {
        // SAFETY: as above.
        match unsafe { fork() }.expect("a forked child") {
            ForkResult::Parent { child } => Some(Self(child)),
            ForkResult::Child => None,
        }
    }

    /// Ends a child, without the destructors of its parent's memory.
    pub fn end(well: bool) -> ! {
        // SAFETY: ends the process.
        unsafe { libc::_exit(i32::from(!well)) }
    }

    /// Waits for its end; whether its work was done without a panic.
    pub fn ended_well(self) -> bool {
        matches!(waitpid(self.0, None), Ok(WaitStatus::Exited(_, 0)))
    }

    /// Lets it live on by itself.
    pub fn let_go(self) {}
}
