use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use diskette_cache::Clock;
use diskette_ipc::Reading;

/// A clock that all processes share, in a file; it only moves when one of them says so.
#[derive(Debug)]
pub(crate) struct FileClock(File);

impl FileClock {
    pub(crate) fn open(path: &Path) -> Self {
        let options = || File::options().read(true).write(true).clone();
        let file = options().open(path).unwrap_or_else(|_| {
            let clock = Self(options().create(true).truncate(true).open(path).unwrap());
            clock.set(1_000_000, 1_000_000_000_000);
            clock.0
        });
        Self(file)
    }

    pub(crate) fn advance(&self, millis: u64) {
        let [uptime, wall] = self.millis();
        self.set(uptime + millis, wall + millis);
    }

    pub(crate) fn step_wall(&self, seconds: i16) {
        let [uptime, wall] = self.millis();
        self.set(
            uptime,
            wall.saturating_add_signed(i64::from(seconds) * 1000),
        );
    }

    fn millis(&self) -> [u64; 2] {
        let mut bytes = [0; 16];
        self.0.read_exact_at(&mut bytes, 0).unwrap();
        let [uptime, wall] = [&bytes[..8], &bytes[8..]];
        [uptime, wall].map(|bytes| u64::from_le_bytes(bytes.try_into().unwrap()))
    }

    fn set(&self, uptime: u64, wall: u64) {
        let bytes = [uptime.to_le_bytes(), wall.to_le_bytes()].concat();
        self.0.write_all_at(&bytes, 0).unwrap();
    }
}

impl Clock for FileClock {
    fn read(&self) -> Reading {
        let [uptime, wall] = self.millis().map(Duration::from_millis);
        Reading {
            boot: 1,
            uptime,
            wall,
        }
    }

    fn sleep_until(&self, _: Duration) {
        unreachable!("nobody sleeps by it")
    }
}
