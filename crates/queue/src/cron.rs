use std::fmt;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use diskette_store::{Error, ErrorKind, Result};

/// Times that come again, as a cron expression says; with the feature `cron`.
///
/// Five fields: minute, hour, day of the month, month, day of the week; with a sixth before them, seconds. Lists, ranges, steps and
/// names are as usual; `L` is the last day, `FRI#2` the second Friday. In UTC, unless another [zone](Self::zone) is named.
///
/// # When clocks change
///
/// A time of day that is left out comes as soon as the clock has been put forward; one that comes twice counts the first time. Where minutes or hours
/// are wildcards or steps, it goes on by what the clock shows: nothing is made up for the hour that was left out, and the one that comes twice counts twice.
///
/// # Example
///
/// ```
/// use diskette::Cron;
///
/// let working_days = Cron::new("0 9 * * MON-FRI")?.zone("Europe/Berlin")?;
/// assert_eq!(working_days.to_string(), "0 9 * * MON-FRI Europe/Berlin");
/// let error = Cron::new("0 25 * * *").unwrap_err();
/// assert!(error.is_invalid_input());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Cron {
    text: String,
    cron: croner::Cron,
    zone: Tz,
}

impl Cron {
    /// As the expression says, in UTC.
    ///
    /// # Errors
    ///
    /// [`is_invalid_input`](Error::is_invalid_input) if it can't be read.
    pub fn new(expression: &str) -> Result<Self> {
        let cron = croner::Cron::from_str(expression).map_err(|why| {
            let message = format!(
                "no cron expression: {expression:?}: {why}; five fields are wanted, such as \"30 2 * * MON-FRI\""
            );
            Error::new(ErrorKind::InvalidInput, message)
        })?;
        Ok(Cron {
            text: expression.split_whitespace().collect::<Vec<_>>().join(" "),
            cron,
            zone: Tz::UTC,
        })
    }

    /// By the clocks of this time zone, of the IANA database that is compiled in.
    ///
    /// # Errors
    ///
    /// [`is_invalid_input`](Error::is_invalid_input) for a name that isn't there.
    pub fn zone(mut self, name: &str) -> Result<Self> {
        self.zone = name.parse().map_err(|_| {
            let message = format!(
                "there is no time zone {name:?}; their names are such as \"Europe/Berlin\""
            );
            Error::new(ErrorKind::InvalidInput, message)
        })?;
        Ok(self)
    }

    /// The first of these times after another; `None` if there is none.
    #[must_use]
    pub fn after(&self, time: SystemTime) -> Option<SystemTime> {
        let found = self.cron.find_next_occurrence(&self.local(time), false);
        found.ok().map(SystemTime::from)
    }

    /// The last of these times that isn't later than another; `None` if there is none.
    pub(crate) fn until(&self, time: SystemTime) -> Option<SystemTime> {
        let found = self.cron.find_previous_occurrence(&self.local(time), true);
        found.ok().map(SystemTime::from)
    }

    fn local(&self, time: SystemTime) -> DateTime<Tz> {
        utc(time).with_timezone(&self.zone)
    }
}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.text, self.zone)
    }
}

impl fmt::Debug for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cron").field(&self.to_string()).finish()
    }
}

/// What lies outside of all calendars is 1970.
pub(crate) fn utc(time: SystemTime) -> DateTime<Utc> {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = i64::try_from(since.as_secs()).ok();
    let found = seconds.and_then(|seconds| DateTime::from_timestamp(seconds, since.subsec_nanos()));
    found.unwrap_or_default()
}
