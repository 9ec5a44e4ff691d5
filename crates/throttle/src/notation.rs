//! How a rate is written: `10/s`, `600/min`, `5/2s`, `20/s burst 5`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use diskette_store::{Error, Result};
use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};

use crate::rate::{Rate, invalid};

/// The units of a period, the largest first, in nanoseconds.
const UNITS: [(&str, u128); 7] = [
    ("d", 24 * 3600 * 1_000_000_000),
    ("h", 3600 * 1_000_000_000),
    ("min", 60 * 1_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// As [`from_str`](Rate::from_str) reads it.
impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.per.as_nanos();
        let whole = |&&(_, unit): &&(&str, u128)| nanos >= unit && nanos.is_multiple_of(unit);
        let (name, unit) = UNITS.iter().find(whole).unwrap_or(&("s", 1)); // 0 s
        write!(f, "{}/", self.n)?;
        if nanos != *unit {
            write!(f, "{}", nanos / unit)?;
        }
        write!(f, "{name}")?;
        match self.burst {
            1 => Ok(()),
            burst => write!(f, " burst {burst}"),
        }
    }
}

/// `NUMBER/PERIOD`, and if need be ` burst NUMBER` behind it: how many, in how long, and how many of them at once. A period is
/// one of `ns`, `us`, `ms`, `s`, `min`, `h` and `d`, or so many of them: `10/s`, `600/min`, `5/2s`, `20/s burst 5`. What
/// [`Display`](fmt::Display) writes is read back as it was.
///
/// # Errors
///
/// [`is_invalid_input`](Error::is_invalid_input) for anything else; it says what is wrong with which part. A zero is no error
/// here, but to a throttle.
///
/// # Example
///
/// ```
/// use diskette::Rate;
/// use std::time::Duration;
///
/// let rate: Rate = "20/s burst 5".parse()?;
/// assert_eq!(rate, Rate::per_second(20).burst(5));
/// assert_eq!("5/2s".parse::<Rate>()?, Rate::new(5, Duration::from_secs(2)));
/// assert_eq!(Rate::per_minute(600).to_string(), "600/min");
/// # Ok::<(), diskette::Error>(())
/// ```
impl FromStr for Rate {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        parse(text).map_err(|why| {
            invalid(format!(
                "{text:?} is not a rate: {why}; write it like \"10/s\", \"600/min\", \"5/2s\" or \"20/s burst 5\""
            ))
        })
    }
}

/// As text, as it is [displayed](fmt::Display).
impl Serialize for Rate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// From text, as it is [read](FromStr).
impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Rate;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a rate such as \"10/s\" or \"20/s burst 5\"")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Rate, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

fn parse(text: &str) -> Result<Rate, String> {
    let (n, rest) = text.split_once('/').ok_or("it has no \"/\"")?;
    let (period, burst) = match rest.split_once(" burst ") {
        Some((period, burst)) => (period, number(burst)?),
        None => (rest, 1),
    };
    let rate = Rate::new(number(n)?, parse_period(period)?);
    Ok(rate.burst(burst))
}

fn parse_period(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit());
    let (times, name) = text.split_at(digits.unwrap_or(text.len()));
    let Some((_, unit)) = UNITS.iter().find(|(known, _)| *known == name) else {
        return Err(match name {
            "" => format!("the period {text:?} has no unit"),
            _ => format!("{name:?} is no unit of time: ns, us, ms, s, min, h and d are"),
        });
    };
    let times = match times {
        "" => Some(1),
        _ => times.parse::<u128>().ok(),
    };
    let nanos = times.and_then(|times| times.checked_mul(*unit));
    let period = nanos.and_then(|nanos| {
        let seconds = u64::try_from(nanos / 1_000_000_000).ok()?;
        Some(Duration::new(seconds, (nanos % 1_000_000_000) as u32))
    });
    period.ok_or_else(|| format!("the period {text:?} is too long"))
}

fn number(text: &str) -> Result<u32, String> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match digits.then(|| text.parse()) {
        Some(Ok(number)) => Ok(number),
        Some(Err(_)) => Err(format!("{text} is too large a number")),
        None => Err(format!("{text:?} is no whole number")),
    }
}
