//! Instants as keys: the second since 1970, rounded down, then the nanosecond in it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::ordered::{Form, ordered};

const SECOND: u32 = 1_000_000_000;

ordered!(SystemTime);

impl Form for SystemTime {
    /// That of serde's own, and so of keys without `Ordered`; but that has none before 1970.
    type Form = (i64, u32);

    const READABLE: bool = false;

    fn form(&self) -> Self::Form {
        // No system counts seconds in more than an `i64`.
        match self.duration_since(UNIX_EPOCH) {
            Ok(since) => (since.as_secs() as i64, since.subsec_nanos()),
            Err(before) => {
                let before = before.duration();
                let second = 0_i64.wrapping_sub_unsigned(before.as_secs());
                match before.subsec_nanos() {
                    0 => (second, 0),
                    nanosecond => (second - 1, SECOND - nanosecond),
                }
            }
        }
    }

    fn of_form((second, nanosecond): Self::Form) -> Option<Self> {
        let seconds = Duration::from_secs(second.unsigned_abs());
        let start = match second {
            0.. => UNIX_EPOCH.checked_add(seconds),
            _ => UNIX_EPOCH.checked_sub(seconds),
        };
        let rest = (nanosecond < SECOND).then(|| Duration::from_nanos(nanosecond.into()))?;
        start?.checked_add(rest)
    }
}

#[cfg(feature = "chrono")]
mod chrono {
    use chrono::{DateTime, Timelike, Utc};

    use super::{Form, ordered};

    ordered!(DateTime<Utc>);

    impl Form for DateTime<Utc> {
        /// A leap second goes on with the nanoseconds of the one before.
        type Form = (i64, u32);

        const READABLE: bool = true;

        fn form(&self) -> Self::Form {
            (self.timestamp(), self.timestamp_subsec_nanos())
        }

        fn of_form((second, nanosecond): Self::Form) -> Option<Self> {
            let start = DateTime::from_timestamp(second, 0)?.naive_utc();
            Some(start.with_nanosecond(nanosecond)?.and_utc())
        }
    }
}

#[cfg(feature = "jiff")]
mod jiff {
    use jiff::Timestamp;

    use super::{Form, SECOND, ordered};

    ordered!(Timestamp);

    impl Form for Timestamp {
        type Form = (i64, u32);

        const READABLE: bool = true;

        fn form(&self) -> Self::Form {
            // Both are below zero before 1970.
            match (self.as_second(), self.subsec_nanosecond()) {
                (second, nanosecond @ 0..) => (second, nanosecond.unsigned_abs()),
                (second, below) => (second - 1, SECOND - below.unsigned_abs()),
            }
        }

        fn of_form((second, nanosecond): Self::Form) -> Option<Self> {
            if nanosecond >= SECOND {
                return None;
            }
            let nanoseconds = i128::from(second) * i128::from(SECOND) + i128::from(nanosecond);
            Timestamp::from_nanosecond(nanoseconds).ok()
        }
    }
}
