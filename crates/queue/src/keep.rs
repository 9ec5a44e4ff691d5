use std::time::Duration;

/// Which finished jobs are kept, to be looked at: those that are to be by all that is said.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use diskette::{Keep, Queue, Store};
///
/// # let dir = tempfile::tempdir()?;
/// # std::env::set_current_dir(&dir)?;
/// let store = Store::open("store")?;
/// let mails = Queue::<String>::options()
///     .keep_done(Keep::last(100).and_for(Duration::from_secs(3600)))
///     .keep_dead(Keep::for_(Duration::from_secs(30 * 86_400)))
///     .new(&store, "mails")?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    /// No more than so many.
    pub(crate) last: Option<u64>,
    /// No longer than so many microseconds.
    pub(crate) micros: Option<i64>,
}

impl Keep {
    /// All of them, for ever.
    #[must_use]
    pub fn all() -> Self {
        Keep::default()
    }

    /// None of them. Who waits for one is told that it is gone, and results are lost on everybody; for jobs that nobody asks for.
    #[must_use]
    pub fn none() -> Self {
        Keep::last(0)
    }

    /// The last so many.
    #[must_use]
    pub fn last(number: u64) -> Self {
        Keep::all().and_last(number)
    }

    /// Each for so long.
    #[must_use]
    pub fn for_(duration: Duration) -> Self {
        Keep::all().and_for(duration)
    }

    /// And no more than the last so many.
    #[must_use]
    pub fn and_last(mut self, number: u64) -> Self {
        self.last = Some(number.min(i64::MAX.unsigned_abs()));
        self
    }

    /// And none for longer than this.
    #[must_use]
    pub fn and_for(mut self, duration: Duration) -> Self {
        self.micros = Some(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX));
        self
    }
}
