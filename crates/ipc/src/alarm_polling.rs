//! Giving up in time, where no timer can interrupt a system call: by asking again, ever more rarely.

use std::io;

use crate::back_off;
use crate::clock::Deadline;

/// Repeats `attempt` until it answers or the deadline passes.
pub(crate) fn wait<T>(
    deadline: Deadline,
    _block: impl Fn() -> io::Result<T>,
    attempt: impl Fn() -> io::Result<Option<T>>,
) -> io::Result<Option<T>> {
    back_off::repeat(deadline, attempt)
}
