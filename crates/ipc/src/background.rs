//! Threads of the toolkit's own.

use std::io;
use std::thread::{Builder, Thread};

use nix::sys::signal::{SigSet, SigmaskHow};

/// Starts a thread on which no signal handler of the program runs.
///
/// # Errors
///
/// What starting a thread can fail with.
///
/// # Example
///
/// ```
/// let (say, hear) = std::sync::mpsc::channel();
/// diskette_ipc::background::spawn("diskette-example", move || say.send(1).unwrap())?;
/// assert_eq!(hear.recv(), Ok(1));
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<Thread> {
    // A thread inherits what is blocked where it is started.
    let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK)?;
    let spawned = Builder::new().name(name.into()).spawn(run);
    before.thread_set_mask()?;
    Ok(spawned?.thread().clone())
}
