use std::time::{Duration, SystemTime};

use diskette_store::Timeline;

/// On which terms an entry is kept; [`Terms::default`] is for ever, without a tag.
///
/// A `Duration`, a `SystemTime` and an [`Expiry`] can be given in its place.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use diskette::{Cache, Terms};
///
/// # let dir = tempfile::tempdir()?;
/// # std::env::set_current_dir(&dir)?;
/// let cache = Cache::<String, String>::open("store")?;
/// cache.insert_with("news", "…", Duration::from_secs(60))?;
/// cache.insert_with("weather", "…", Terms::default().idle(Duration::from_secs(600)).tag("pages"))?;
/// assert_eq!(cache.evict_tag("pages")?, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Terms {
    expiry: Expiry,
    tag: Option<String>,
    cost: Option<u64>,
}

/// When an entry expires: from then on it is not there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Expiry {
    /// Never.
    #[default]
    Never,
    /// After so long.
    In(Duration),
    /// At a time of day. What that is later set to makes no difference.
    At(SystemTime),
    /// When it wasn't read for so long. A read that prolongs it is written down in the background.
    Idle(Duration),
}

impl Terms {
    /// It expires so.
    pub fn expiry(mut self, expiry: impl Into<Expiry>) -> Self {
        self.expiry = expiry.into();
        self
    }

    /// It expires when it wasn't read for so long.
    pub fn idle(self, idle: Duration) -> Self {
        self.expiry(Expiry::Idle(idle))
    }

    /// It can be found, and removed, by this tag.
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tag = Some(tag.into());
        self
    }

    /// It counts for so much of the cache's limit in bytes, up to 2^48, instead of what it takes on the disk. A later
    /// [`update`](crate::Cache::update) counts bytes again.
    pub fn cost(mut self, cost: u64) -> Self {
        self.cost = Some(cost);
        self
    }

    /// As the database has them, from now on.
    pub(crate) fn begin(&self, timeline: &Timeline, now: i64) -> Begun<'_> {
        Begun {
            until: Until::of(self.expiry, timeline, now),
            tag: self.tag.as_deref(),
            cost: self.cost.map(|cost| cost.min(MOST).cast_signed()),
        }
    }
}

/// No entry counts for more, so that their sum is a number.
const MOST: u64 = 1 << 48;

/// Terms that have begun.
#[derive(Debug)]
pub(crate) struct Begun<'t> {
    pub(crate) until: Until,
    pub(crate) tag: Option<&'t str>,
    pub(crate) cost: Option<i64>,
}

/// When an entry expires, in the store's timeline; and after how long without a read, if that prolongs it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Until {
    pub(crate) expires: Option<i64>,
    pub(crate) idle: Option<i64>,
}

impl Until {
    pub(crate) fn of(expiry: Expiry, timeline: &Timeline, now: i64) -> Self {
        let micros = |duration: Duration| i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        let idle = match expiry {
            Expiry::Idle(idle) => Some(micros(idle)),
            _ => None,
        };
        let expires = match expiry {
            Expiry::Never => None,
            Expiry::In(duration) | Expiry::Idle(duration) => {
                Some(now.saturating_add(micros(duration)))
            }
            Expiry::At(wall) => Some(timeline.at(wall)),
        };
        Until { expires, idle }
    }
}

impl From<Expiry> for Terms {
    fn from(expiry: Expiry) -> Self {
        Terms::default().expiry(expiry)
    }
}

impl From<Duration> for Terms {
    fn from(duration: Duration) -> Self {
        Expiry::In(duration).into()
    }
}

impl From<SystemTime> for Terms {
    fn from(wall: SystemTime) -> Self {
        Expiry::At(wall).into()
    }
}

impl From<Duration> for Expiry {
    fn from(duration: Duration) -> Self {
        Expiry::In(duration)
    }
}

impl From<SystemTime> for Expiry {
    fn from(wall: SystemTime) -> Self {
        Expiry::At(wall)
    }
}
