use std::time::Duration;

use crate::terms::{Expiry, Terms};

/// For how long a computed value is good, and what happens then; a `Duration` can be given in its place.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use diskette::{Cache, Fresh};
///
/// # let dir = tempfile::tempdir()?;
/// # std::env::set_current_dir(&dir)?;
/// let pages = Cache::<u64, String>::open("store")?;
/// // Good for a minute. Somebody renders it anew shortly before that is over; and if nobody came by then, whoever comes within
/// // the next hour gets the old one, but for the one who renders the new.
/// let fresh = Fresh::for_(Duration::from_secs(60)).early(1.0).stale_for(Duration::from_secs(3600));
/// let page = pages.memoize(&7, fresh, || "<html>".into())?;
/// assert_eq!(page, "<html>");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[must_use]
pub struct Fresh {
    good_for: Option<Duration>,
    stale_for: Duration,
    early: Option<f64>,
    tag: Option<String>,
}

impl Fresh {
    /// Good for so long.
    pub fn for_(duration: Duration) -> Self {
        Fresh {
            good_for: Some(duration),
            ..Fresh::default()
        }
    }

    /// Good until it is removed.
    pub fn forever() -> Self {
        Fresh::default()
    }

    /// Given for so long after that, while one computes the new value. Until it is over a [`get`](crate::Cache::get) gives it
    /// too.
    pub fn stale_for(mut self, duration: Duration) -> Self {
        self.stale_for = duration;
        self
    }

    /// Computed anew before it is due, by one of those who ask, at random: the nearer it comes and the longer it takes, the
    /// likelier. 1 is what suits most; more is earlier.
    ///
    /// Source: Vattani, Chierichetti and Lowenstein, *Optimal Probabilistic Cache Stampede Prevention* (VLDB 2015).
    pub fn early(mut self, beta: f64) -> Self {
        self.early = Some(beta.max(0.0));
        self
    }

    /// It can be found, and removed, by this tag.
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tag = Some(tag.into());
        self
    }

    pub(crate) fn beta(&self) -> Option<f64> {
        self.early
    }

    /// On which terms the value is kept.
    pub(crate) fn terms(&self) -> Terms {
        let expiry = match self.good_for {
            Some(good_for) => Expiry::In(good_for.saturating_add(self.stale_for)),
            None => Expiry::Never,
        };
        let terms = Terms::default().expiry(expiry);
        match &self.tag {
            Some(tag) => terms.tag(tag),
            None => terms,
        }
    }

    /// From `now` until when it is good.
    pub(crate) fn until(&self, now: i64) -> Option<i64> {
        let good_for = self.good_for?;
        let micros = i64::try_from(good_for.as_micros()).unwrap_or(i64::MAX);
        Some(now.saturating_add(micros))
    }
}

impl From<Duration> for Fresh {
    fn from(duration: Duration) -> Self {
        Fresh::for_(duration)
    }
}
