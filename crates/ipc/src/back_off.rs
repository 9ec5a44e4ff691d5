//! Asking again, ever more rarely: where the kernel has nothing to wait for.

use std::io;
use std::time::Duration;

use crate::clock::{self, Deadline};

const FIRST: Duration = Duration::from_micros(50);
const LONGEST: Duration = Duration::from_millis(10);

/// Repeats `attempt`, with pauses that grow from 50 microseconds to 10 milliseconds, until it answers or the deadline
/// passes.
pub(crate) fn repeat<T>(
    deadline: Deadline,
    attempt: impl Fn() -> io::Result<Option<T>>,
) -> io::Result<Option<T>> {
    let mut pause = FIRST;
    loop {
        if let Some(done) = attempt()? {
            return Ok(Some(done));
        }
        let left = deadline.remaining().unwrap_or(Duration::MAX);
        if left.is_zero() {
            return Ok(None);
        }
        clock::sleep(pause.min(left));
        pause = (pause * 2).min(LONGEST);
    }
}
