use std::iter::{self, Once};
use std::time::Duration;

use diskette_store::{Error, ErrorKind, Result};

use crate::fine::{Fine, fine};

/// How often something may happen: `n` times in a period, in bursts of up to a number at once.
///
/// Without a [`burst`](Self::burst) the times are evenly spaced, one each period / `n`, and any window
/// as long as the period, however it lies, has at most `n` of them. A burst of `b` lets up to `b` of them
/// come at once after a quiet time, and makes the most that a window can have `n + b - 1`. In
/// general: less than `n * window / period + b`, counted in weights.
///
/// One can be made of any numbers; a throttle refuses, with
/// [`is_invalid_input`](diskette_store::Error::is_invalid_input), rates with a zero in them, of more than
/// one in a nanosecond, and those whose burst takes more than ten years.
///
/// # Example
///
/// ```
/// use diskette::Rate;
/// use std::time::Duration;
///
/// const POLITE: Rate = Rate::per_second(20).burst(5);
/// assert_eq!(POLITE.to_string(), "20/s burst 5");
/// assert_eq!(Rate::per_minute(60), Rate::new(60, Duration::from_secs(60)));
/// assert_eq!("60/min".parse::<Rate>()?, Rate::per_minute(60)); // in a configuration file too, by serde
/// # Ok::<(), diskette::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub struct Rate {
    pub(crate) n: u32,
    pub(crate) per: Duration,
    pub(crate) burst: u32,
}

impl Rate {
    /// `n` times in each period `per`, evenly spaced.
    pub const fn new(n: u32, per: Duration) -> Self {
        Rate { n, per, burst: 1 }
    }

    /// `n` times a second, evenly spaced.
    pub const fn per_second(n: u32) -> Self {
        Self::new(n, Duration::from_secs(1))
    }

    /// `n` times a minute, evenly spaced.
    pub const fn per_minute(n: u32) -> Self {
        Self::new(n, Duration::from_secs(60))
    }

    /// `n` times an hour, evenly spaced.
    pub const fn per_hour(n: u32) -> Self {
        Self::new(n, Duration::from_secs(3600))
    }

    /// The same rate, with up to `burst` times at once, which is also the greatest weight that a single
    /// call may have.
    pub const fn burst(self, burst: u32) -> Self {
        Rate { burst, ..self }
    }

    /// The greatest weight that one call may have.
    pub const fn max_weight(&self) -> u32 {
        self.burst
    }
}

/// One rate stands for a list of one.
impl IntoIterator for Rate {
    type Item = Rate;
    type IntoIter = Once<Rate>;

    fn into_iter(self) -> Once<Rate> {
        iter::once(self)
    }
}

/// What GCRA makes of a rate that [`check`] has passed.
impl Rate {
    /// The time that a weight uses up.
    pub(crate) fn cost(&self, weight: u32) -> Fine {
        self.interval() * Fine::from(weight)
    }

    /// How far ahead of a time may be used up for a weight to be let through then. A weight above the
    /// burst (which has become smaller since) passes when nothing is.
    pub(crate) fn room_before(&self, weight: u32) -> Fine {
        self.cost(self.burst).saturating_sub(self.cost(weight))
    }

    /// The time that is used up by what uses up `time` at another rate; at most that of a burst.
    pub(crate) fn carry_over(&self, other: &Rate, time: Fine) -> Fine {
        let (ours, theirs) = (self.interval(), other.interval());
        let part = (time % theirs).checked_mul(ours);
        let part = part.map_or(ours, |part| part.div_ceil(theirs));
        let whole = (time / theirs).checked_mul(ours);
        let time = whole.and_then(|whole| whole.checked_add(part));
        time.unwrap_or(Fine::MAX).min(self.cost(self.burst))
    }

    fn interval(&self) -> Fine {
        let period = fine(u64::try_from(self.per.as_nanos()).unwrap_or(u64::MAX));
        period.div_ceil(Fine::from(self.n.max(1)))
    }

    pub(crate) const BYTES: usize = 16;

    pub(crate) fn to_bytes(self) -> [u8; Self::BYTES] {
        let period = u64::try_from(self.per.as_nanos()).unwrap_or(u64::MAX);
        let mut bytes = [0; Self::BYTES];
        bytes[..4].copy_from_slice(&self.n.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.burst.to_le_bytes());
        bytes[8..].copy_from_slice(&period.to_le_bytes());
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8; Self::BYTES]) -> Self {
        let [n @ .., _, _, _, _, _, _, _, _, _, _, _, _] = *bytes;
        let [_, _, _, _, burst @ .., _, _, _, _, _, _, _, _] = *bytes;
        let [_, _, _, _, _, _, _, _, period @ ..] = *bytes;
        Rate {
            n: u32::from_le_bytes(n),
            per: Duration::from_nanos(u64::from_le_bytes(period)),
            burst: u32::from_le_bytes(burst),
        }
    }
}

/// The most rates that one throttle can have.
pub(crate) const MOST: usize = 16;

/// Ten years: further ahead nothing is planned.
pub(crate) const DECADE: u64 = 10 * 366 * 24 * 3600 * 1_000_000_000;

pub(crate) fn check(rates: &[Rate]) -> Result<()> {
    if rates.is_empty() {
        return Err(invalid("a throttle needs at least one rate".into()));
    }
    if rates.len() > MOST {
        let given = rates.len();
        return Err(invalid(format!(
            "{given} rates are too many: a throttle has at most {MOST}"
        )));
    }
    rates.iter().try_for_each(|rate| {
        let wrong = if rate.n == 0 || rate.per.is_zero() {
            "lets nobody through: say how many in how long, both above zero"
        } else if rate.burst == 0 {
            "lets nobody through: a burst is at least 1, which is the default"
        } else if u128::from(rate.n) > rate.per.as_nanos() {
            "is more than one in a nanosecond: let each call stand for several, with a lower rate"
        } else if rate.per.as_nanos() > u128::from(DECADE) || rate.cost(rate.burst) > fine(DECADE) {
            "takes more than ten years: choose a shorter period or a smaller burst"
        } else {
            return Ok(());
        };
        Err(invalid(format!("a rate of {rate} {wrong}")))
    })
}

pub(crate) fn check_weight(rates: &[Rate], weight: u32) -> Result<()> {
    if weight == 0 {
        return Err(invalid(
            "a weight of 0 asks for nothing: it is at least 1".into(),
        ));
    }
    match rates.iter().find(|rate| weight > rate.burst) {
        Some(rate) => Err(invalid(format!(
            "a weight of {weight} is above the burst of {}, the most at once at the rate of {rate}: \
             split the call, or allow a larger burst",
            rate.burst
        ))),
        None => Ok(()),
    }
}

pub(crate) fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidInput, message)
}
