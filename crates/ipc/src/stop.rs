//! Ending waits, from another thread or from a signal handler.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use crate::clock::{Clock, Deadline};
use crate::futex::{self, Watched};

/// Ends the waits of all that have it: of each store that was given it by `Store::with_stop`, and of the structures made from such a
/// store.
///
/// A handle: its clones are the same stop. Once stopped, it stays so.
///
/// A call that waits, or would, then fails with an error that says so (`is_stopped`), having changed nothing. What can be had
/// without waiting is still given, and what doesn't wait goes on as before, so that a program can complete and give back what
/// it has. A loop that always finds something to do asks [`is_stopped`](Self::is_stopped) itself.
///
/// # Process safety
///
/// It stops this process only: in a forked child it is a copy, as it was at the fork.
///
/// [`stop`](Self::stop) may be called from any thread and from a signal handler: it is one atomic write and one system call,
/// takes no lock and allocates nothing.
///
/// # Cost
///
/// Nothing, until it is stopped: who sleeps is woken at once. On Linux before 5.16, and elsewhere than on Linux, who sleeps under a
/// stop looks every 5 to 10 milliseconds.
///
/// # Example
///
/// ```
/// # use diskette_ipc as diskette;
/// use std::time::Duration;
/// use diskette::Stop;
///
/// let stop = Stop::new();
/// let on_signal = stop.clone(); // `ctrlc::set_handler(move || on_signal.stop())`, say
/// let worker = std::thread::spawn(move || stop.wait_timeout(Duration::MAX));
/// on_signal.stop();
/// assert!(worker.join().unwrap());
/// ```
///
/// A handler that is a bare function finds the stop in a `static STOP: OnceLock<Stop>`, by `get`.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicU32>);

const GOES_ON: u32 = 0;
const STOPPED: u32 = 1;

impl Stop {
    /// One that hasn't been stopped.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends all waits under this stop, and those to come.
    pub fn stop(&self) {
        // Whoever has not fallen asleep yet doesn't any more, since the kernel compares the word; all others are woken.
        self.0.store(STOPPED, SeqCst);
        futex::wake(&self.0);
    }

    /// Has it been stopped?
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.0.load(SeqCst) != GOES_ON
    }

    /// Sleeps for so long, unless it is stopped before; says whether it is.
    ///
    /// # Example
    ///
    /// ```
    /// # use diskette_ipc as diskette;
    /// use std::time::Duration;
    /// use diskette::Stop;
    ///
    /// let stop = Stop::new();
    /// assert!(!stop.wait_timeout(Duration::from_millis(1)));
    /// stop.stop();
    /// assert!(stop.wait_timeout(Duration::MAX));
    /// ```
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        let deadline = Deadline::after(timeout);
        while !self.is_stopped() && !deadline.is_past() {
            let left = deadline.remaining().unwrap_or(Duration::MAX);
            futex::wait_any(&[self.watched()], left);
        }
        self.is_stopped()
    }

    /// Sleeps until one of several is stopped.
    ///
    /// # Example
    ///
    /// ```
    /// use diskette_ipc::Stop;
    ///
    /// let (one, other) = (Stop::new(), Stop::new());
    /// other.stop();
    /// Stop::wait_any(&[&one, &other]);
    /// ```
    pub fn wait_any(stops: &[&Stop]) {
        let watched: Vec<_> = stops.iter().map(|stop| stop.watched()).collect();
        while !stops.is_empty() && !stops.iter().any(|stop| stop.is_stopped()) {
            futex::wait_any(&watched, Duration::MAX);
        }
    }

    /// Sleeps until the uptime has come by `clock`, or it is stopped.
    pub(crate) fn wait_until(&self, uptime: Duration, clock: &(impl Clock + ?Sized)) {
        /// What the kernel sleeps by here doesn't go on while the machine is suspended.
        const LOOK: Duration = Duration::from_millis(500);
        loop {
            let left = uptime.saturating_sub(clock.read().uptime);
            if left.is_zero() || self.wait_timeout(left.min(LOOK)) {
                return;
            }
        }
    }

    /// To sleep at, together with what is waited for.
    pub(crate) fn watched(&self) -> Watched<'_> {
        (&self.0, GOES_ON)
    }
}
