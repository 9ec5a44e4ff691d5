//! Waiting for a condition.

use std::time::Duration;

use diskette_ipc::{Deadline, clock};

/// A time-out for what should take no time: long enough for any machine under any load.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until `condition` holds.
///
/// # Panics
///
/// If it doesn't within `timeout`.
#[track_caller]
pub fn eventually(timeout: Duration, mut condition: impl FnMut() -> bool) {
    let deadline = Deadline::after(timeout);
    while !condition() {
        assert!(!deadline.is_past(), "still not so after {timeout:?}");
        clock::sleep(Duration::from_millis(1));
    }
}
