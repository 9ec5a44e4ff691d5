use std::time::Duration;

use diskette_ipc::{Clock, Reading, SystemClock};

/// The clock of another machine, which was started at another time and whose time of day is wrong.
#[derive(Debug)]
pub struct Shifted {
    clock: SystemClock,
    by: Duration,
}

impl Shifted {
    /// One that is so much ahead of the system's.
    ///
    /// # Panics
    ///
    /// If the system's can't be read.
    #[must_use]
    pub fn ahead(by: Duration) -> Self {
        let clock = SystemClock::new().expect("the clock of the system");
        Self { clock, by }
    }
}

impl Clock for Shifted {
    fn read(&self) -> Reading {
        let reading = self.clock.read();
        Reading {
            boot: reading.boot ^ self.by.as_secs(),
            uptime: reading.uptime + self.by,
            wall: reading.wall + self.by,
        }
    }

    fn sleep_until(&self, uptime: Duration) {
        self.clock.sleep_until(uptime.saturating_sub(self.by));
    }
}
