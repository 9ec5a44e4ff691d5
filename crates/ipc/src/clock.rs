//! The one place that reads the clock, and the one that sleeps.

mod manual;
mod shared;

pub use manual::ManualClock;
pub use shared::uptime;
pub use shared::{Clock, Reading, SystemClock};

use std::time::{Duration, Instant, SystemTime};

/// The monotonic time, for measuring how long something took.
#[must_use]
#[allow(clippy::disallowed_methods, reason = "this is the one place")]
pub fn now() -> Instant {
    Instant::now()
}

/// The time of day, for what is written down and read by another process or on another day. It may jump.
#[must_use]
#[allow(clippy::disallowed_methods, reason = "this is the one place")]
pub fn wall() -> SystemTime {
    SystemTime::now()
}

/// Sleeps for at least `duration`. For appointments, such as a throttle's slot; whoever waits for another process
/// waits at a [`Doorbell`](crate::Doorbell) instead.
#[allow(clippy::disallowed_methods, reason = "this is the one place")]
pub fn sleep(duration: Duration) {
    std::thread::sleep(duration);
}

/// The moment at which a wait is given up, or never.
///
/// # Example
///
/// ```
/// use diskette_ipc::Deadline;
/// use std::time::Duration;
///
/// let deadline = Deadline::after(Duration::from_secs(5));
/// assert!(!deadline.is_past());
/// assert!(deadline.remaining().unwrap() <= Duration::from_secs(5));
/// assert_eq!(Deadline::after(Duration::MAX), Deadline::never());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline(Option<Instant>);

impl Deadline {
    /// The moment `duration` from now; never, if that is further away than the clock can tell.
    #[must_use]
    pub fn after(duration: Duration) -> Self {
        Self(now().checked_add(duration))
    }

    /// Waits for as long as it takes.
    #[must_use]
    pub const fn never() -> Self {
        Self(None)
    }

    /// Doesn't wait at all: past from the start.
    #[must_use]
    pub fn at_once() -> Self {
        Self(Some(now()))
    }

    /// How long there is to go, zero once it is past; `None` for never.
    #[must_use]
    pub fn remaining(&self) -> Option<Duration> {
        self.0.map(|moment| moment.saturating_duration_since(now()))
    }

    /// Whether the moment has come.
    #[must_use]
    pub fn is_past(&self) -> bool {
        self.0.is_some_and(|moment| moment <= now())
    }

    /// The sooner of this deadline and `duration` from now.
    #[must_use]
    pub fn min(self, duration: Duration) -> Self {
        match (self.0, Self::after(duration).0) {
            (Some(a), Some(b)) => Self(Some(a.min(b))),
            (a, b) => Self(a.or(b)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sooner_deadline_wins_and_never_is_the_last() {
        let hour = Duration::from_secs(3600);
        assert!(Deadline::never().min(hour).remaining() <= Some(hour));
        assert!(Deadline::never().min(hour).remaining().is_some());
        assert!(Deadline::after(hour).min(Duration::ZERO).is_past());
        assert!(Deadline::at_once().min(hour).is_past());
        assert_eq!(Deadline::never().min(Duration::MAX), Deadline::never());
        assert!(!Deadline::never().is_past());
    }
}
