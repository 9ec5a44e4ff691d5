//! How long a job that failed waits before it is tried again: no database here.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// How long a job that failed waits before it is tried again.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use diskette::Backoff;
///
/// let second = Duration::from_secs(1);
/// assert_eq!(Backoff::fixed(second).after(7), second);
///
/// let backoff = Backoff::exponential(second, 60 * second);
/// let waits: Vec<_> = (1..=8).map(|attempt| backoff.after(attempt).as_secs()).collect();
/// assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// In microseconds, as all of it is recorded.
    first: u64,
    factor: u32,
    most: u64,
}

impl Backoff {
    /// As long after each attempt.
    #[must_use]
    pub fn fixed(pause: Duration) -> Self {
        let pause = micros(pause);
        Backoff {
            first: pause,
            factor: 1,
            most: pause,
        }
    }

    /// So long after the first attempt, twice as long after each further one, and never longer than `most`. It is always as long
    /// after as many attempts.
    #[must_use]
    pub fn exponential(first: Duration, most: Duration) -> Self {
        Backoff {
            first: micros(first).min(micros(most)),
            factor: 2,
            most: micros(most),
        }
    }

    /// By how many times it grows with each attempt, in place of 2.
    #[must_use]
    pub fn factor(mut self, factor: u32) -> Self {
        self.factor = factor.max(1);
        self
    }

    /// How long to wait after this attempt; the first is 1.
    #[must_use]
    pub fn after(&self, attempt: u32) -> Duration {
        let times = u64::from(self.factor).checked_pow(attempt.saturating_sub(1));
        let wait = times.and_then(|times| self.first.checked_mul(times));
        let wait = match self.first {
            0 => 0,
            _ => wait.unwrap_or(u64::MAX),
        };
        Duration::from_micros(wait.min(self.most))
    }
}

/// From a second to an hour.
impl Default for Backoff {
    fn default() -> Self {
        Backoff::exponential(Duration::from_secs(1), Duration::from_secs(3600))
    }
}

/// As it is recorded.
impl fmt::Display for Backoff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Backoff {
            first,
            factor,
            most,
        } = self;
        write!(f, "{first} us, x {factor}, to {most} us")
    }
}

impl FromStr for Backoff {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (first, rest) = text.split_once(" us, x ").ok_or(())?;
        let (factor, most) = rest.split_once(", to ").ok_or(())?;
        let most = most.strip_suffix(" us").ok_or(())?;
        Ok(Backoff {
            first: first.parse().map_err(drop)?,
            factor: factor.parse().map_err(drop)?,
            most: most.parse().map_err(drop)?,
        })
    }
}

/// As many as there are in the longest time that the store knows.
fn micros(duration: Duration) -> u64 {
    let most = i64::MAX.unsigned_abs() / 4;
    u64::try_from(duration.as_micros()).map_or(most, |micros| micros.min(most))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_never_overflows_and_is_read_as_it_was_written() {
        let day = Duration::from_secs(86_400);
        let all = [
            Backoff::default(),
            Backoff::fixed(Duration::ZERO),
            Backoff::fixed(Duration::MAX),
            Backoff::exponential(day, Duration::from_secs(1)),
            Backoff::exponential(Duration::from_micros(1), Duration::MAX).factor(u32::MAX),
        ];
        for backoff in all {
            assert_eq!(backoff.to_string().parse(), Ok(backoff));
            let waits: Vec<_> = [1, 2, 3, 64, u32::MAX].map(|n| backoff.after(n)).into();
            assert!(waits.is_sorted(), "{backoff}: {waits:?}");
        }
        assert_eq!(
            Backoff::fixed(Duration::ZERO).after(u32::MAX),
            Duration::ZERO
        );
        assert_eq!("soon".parse::<Backoff>(), Err(()));
    }
}
