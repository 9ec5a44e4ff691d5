use std::error::Error;
use std::fmt;
use std::time::Duration;

/// Why a throttle let nobody through: it is too early, by this long.
///
/// After that time a call of the same weight passes, unless others come first.
///
/// # Example
///
/// ```
/// use diskette::RetryAfter;
/// use std::time::Duration;
///
/// let refusal = RetryAfter(Duration::from_millis(1500));
/// assert_eq!(refusal.to_string(), "the rate limit is reached: try again in 1.5s");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RetryAfter(pub Duration);

impl fmt::Display for RetryAfter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the rate limit is reached: try again in {:?}", self.0)
    }
}

impl Error for RetryAfter {}
