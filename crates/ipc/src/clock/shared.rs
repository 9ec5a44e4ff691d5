use std::fmt::Debug;
use std::io;
use std::sync::Arc;
use std::time::Duration;

#[cfg(target_os = "linux")]
use nix::errno::Errno;
use nix::time::{ClockId, clock_gettime};
#[cfg(target_os = "linux")]
use nix::time::{ClockNanosleepFlags, clock_nanosleep};

use crate::boot;
use crate::stop::Stop;

/// What a [`Clock`] says at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The run of the system, as this time namespace sees it; see [`boot::id`].
    pub boot: u64,
    /// The time since the system was started, suspension included: it never goes back and is the same in every process.
    pub uptime: Duration,
    /// The time of day, since the beginning of 1970. It may jump.
    pub wall: Duration,
}

/// A clock that all processes of the machine share, for appointments that one writes down and another reads.
///
/// Within one run of the system only the uptime counts; the time of day is there to bridge a restart.
///
/// # Process safety
///
/// Any number of processes and threads may read it, and what a later read says is never before what an earlier one
/// said, on whichever processor. Processes of different *time namespaces* (Linux) don't share its uptime, and so have different
/// [`boot`](Reading::boot)s: between them only the time of day counts.
pub trait Clock: Debug + Send + Sync {
    /// What the clock says.
    fn read(&self) -> Reading;

    /// The [boot](Reading::boot) and the [uptime](Reading::uptime) of a reading, where the time of day isn't of interest: half the
    /// cost, by the system's clock.
    fn uptime(&self) -> (u64, Duration) {
        let Reading { boot, uptime, .. } = self.read();
        (boot, uptime)
    }

    /// Returns once the uptime has come, at once if it is past.
    fn sleep_until(&self, uptime: Duration);

    /// The same, but returns before when `stop` is or was stopped. Unless a clock does it otherwise, time passes by it as it does
    /// for everybody; after a suspension of the system it wakes half a second late, at most.
    fn sleep_until_stopped(&self, uptime: Duration, stop: &Stop) {
        stop.wait_until(uptime, self);
    }
}

impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn read(&self) -> Reading {
        (**self).read()
    }

    fn uptime(&self) -> (u64, Duration) {
        (**self).uptime()
    }

    fn sleep_until(&self, uptime: Duration) {
        (**self).sleep_until(uptime);
    }

    fn sleep_until_stopped(&self, uptime: Duration, stop: &Stop) {
        (**self).sleep_until_stopped(uptime, stop);
    }
}

/// The clock of the system.
///
/// # Cost
///
/// A reading: no system call, some 50 ns.
///
/// # Example
///
/// ```
/// use diskette_ipc::{Clock, SystemClock};
/// use std::time::Duration;
///
/// let clock = SystemClock::new()?;
/// let appointment = clock.read().uptime + Duration::from_millis(1);
/// clock.sleep_until(appointment);
/// assert!(clock.read().uptime >= appointment);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    boot: u64,
}

impl SystemClock {
    /// The clock of this run of the system.
    ///
    /// # Errors
    ///
    /// Those of [`boot::id`], and of a system that has no such clock.
    pub fn new() -> io::Result<Self> {
        clock_gettime(UPTIME)?;
        Ok(Self { boot: boot::id()? })
    }
}

impl Clock for SystemClock {
    fn read(&self) -> Reading {
        Reading {
            boot: self.boot,
            uptime: ask(UPTIME),
            wall: ask(ClockId::CLOCK_REALTIME),
        }
    }

    fn uptime(&self) -> (u64, Duration) {
        (self.boot, ask(UPTIME))
    }

    /// Wakes in time even if the system was suspended meanwhile.
    #[cfg(target_os = "linux")]
    fn sleep_until(&self, uptime: Duration) {
        let absolute = ClockNanosleepFlags::TIMER_ABSTIME;
        while clock_nanosleep(UPTIME, absolute, &uptime.into()) == Err(Errno::EINTR) {}
    }

    #[cfg(not(target_os = "linux"))]
    fn sleep_until(&self, uptime: Duration) {
        loop {
            let left = uptime.saturating_sub(ask(UPTIME));
            if left.is_zero() {
                return;
            }
            super::sleep(left);
        }
    }
}

/// Elsewhere than on Linux the monotonic clock goes on while the system is suspended.
#[cfg(target_os = "linux")]
const UPTIME: ClockId = ClockId::CLOCK_BOOTTIME;
#[cfg(not(target_os = "linux"))]
const UPTIME: ClockId = ClockId::CLOCK_MONOTONIC;

/// The time since the system was started, suspension included.
#[must_use]
pub fn uptime() -> Duration {
    ask(UPTIME)
}

/// A clock that exists can be read, and a time of day before 1970 is as good as 1970.
fn ask(clock: ClockId) -> Duration {
    match clock_gettime(clock) {
        Ok(time) if time.tv_sec() >= 0 => time.into(),
        _ => Duration::ZERO,
    }
}
