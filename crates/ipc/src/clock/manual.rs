use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{Clock, Reading};
use crate::stop::Stop;

/// A clock that only moves when it is told to, for tests. Its clones are the same clock.
///
/// Whoever [sleeps](Clock::sleep_until) by it moves it to the time at which to wake.
///
/// # Example
///
/// ```
/// use diskette_ipc::{Clock, ManualClock};
/// use std::time::Duration;
///
/// let clock = ManualClock::new();
/// let before = clock.read();
/// clock.advance(Duration::from_secs(60));
/// assert_eq!(clock.read().uptime, before.uptime + Duration::from_secs(60));
/// assert_eq!(clock.read().wall, before.wall + Duration::from_secs(60));
///
/// clock.reboot();
/// assert_ne!(clock.read().boot, before.boot);
/// assert_eq!(clock.read().uptime, Duration::ZERO);
/// ```
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<Mutex<Reading>>);

impl ManualClock {
    /// A clock of a system that was started an hour ago, in its first run, on a day in 2001.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(Reading {
            boot: 1,
            uptime: Duration::from_secs(3600),
            wall: Duration::from_secs(1_000_000_000),
        })))
    }

    /// Lets time go by.
    pub fn advance(&self, by: Duration) {
        advance(&mut self.lock(), by);
    }

    /// Sets the time of day forward, or back if `seconds` is negative; no time goes by.
    pub fn step_wall(&self, seconds: i64) {
        let by = Duration::from_secs(seconds.unsigned_abs());
        let mut reading = self.lock();
        reading.wall = if seconds < 0 {
            reading.wall.saturating_sub(by)
        } else {
            reading.wall + by
        };
    }

    /// Starts the system again: another run, whose uptime begins at zero. The time of day stays as it is.
    pub fn reboot(&self) {
        let mut reading = self.lock();
        reading.boot += 1;
        reading.uptime = Duration::ZERO;
    }

    fn lock(&self) -> MutexGuard<'_, Reading> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for ManualClock {
    fn read(&self) -> Reading {
        *self.lock()
    }

    fn sleep_until(&self, uptime: Duration) {
        let mut reading = self.lock();
        let left = uptime.saturating_sub(reading.uptime);
        advance(&mut reading, left);
    }

    fn sleep_until_stopped(&self, uptime: Duration, stop: &Stop) {
        if !stop.is_stopped() {
            self.sleep_until(uptime);
        }
    }
}

fn advance(reading: &mut Reading, by: Duration) {
    reading.uptime += by;
    reading.wall += by;
}
