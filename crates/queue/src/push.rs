use std::time::{Duration, SystemTime};

use diskette_store::{Error, ErrorKind, Result, Timeline};

use crate::backoff::Backoff;
use crate::inner::micros;
use crate::job::JobId;

/// How a job is pushed otherwise than by default; for [`Queue::push_with`](crate::Queue::push_with).
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use diskette::{Backoff, Push, Queue, Store, Unique};
///
/// # let dir = tempfile::tempdir()?;
/// # std::env::set_current_dir(&dir)?;
/// let store = Store::open("store")?;
/// let mails = Queue::<String>::new(&store, "mails")?;
///
/// let reminder = Push::new()
///     .delay(Duration::from_secs(3600))
///     .priority(5)
///     .max_attempts(3)
///     .backoff(Backoff::fixed(Duration::from_secs(60)))
///     .tag("reminder");
/// mails.push_with("Ada, think of it", &reminder)?;
///
/// // One a day, however often it is pushed.
/// let daily = Push::new().unique(Unique::key("news for Ada").for_(Duration::from_secs(86_400)));
/// assert!(mails.push_with("news", &daily)?.is_new());
/// assert!(!mails.push_with("news", &daily)?.is_new());
///
/// // One after the other.
/// for mail in ["first", "then"] {
///     mails.push_with(mail, &Push::new().group("to Ada"))?;
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[must_use]
pub struct Push {
    when: When,
    pub(crate) priority: i32,
    pub(crate) max_attempts: Option<u32>,
    pub(crate) backoff: Option<Backoff>,
    pub(crate) unique: Option<Unique>,
    pub(crate) group: Option<String>,
    expires_in: Option<Duration>,
    pub(crate) tags: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum When {
    #[default]
    Now,
    In(Duration),
    At(SystemTime),
}

impl Push {
    /// At once, with priority 0, and what is recorded for the queue.
    pub fn new() -> Self {
        Push::default()
    }

    /// It is due after so long.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.when = When::In(delay);
        self
    }

    /// It is due at this time, or at once if that is past. How far away it is counts when it is pushed: setting the clock of the
    /// system later on makes no difference.
    pub fn at(mut self, time: SystemTime) -> Self {
        self.when = When::At(time);
        self
    }

    /// The greater, the sooner; 0 unless said.
    pub fn priority(mut self, priority: i32) -> Self {
        self.priority = priority;
        self
    }

    /// How often it is tried, if it fails; as [recorded](crate::QueueOptions::max_attempts) unless said.
    pub fn max_attempts(mut self, max_attempts: u32) -> Self {
        self.max_attempts = Some(max_attempts);
        self
    }

    /// How long it waits after it failed; as [recorded](crate::QueueOptions::backoff) unless said.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = Some(backoff);
        self
    }

    /// It is to be the only one with its key.
    pub fn unique(mut self, unique: Unique) -> Self {
        self.unique = Some(unique);
        self
    }

    /// It runs after those that were pushed to this group before, when they are done or dead; whatever its priority. One of a
    /// group that is scheduled, or is to be tried again, keeps those behind it waiting.
    pub fn group(mut self, group: impl Into<String>) -> Self {
        self.group = Some(group.into());
        self
    }

    /// If nobody has claimed it after so long, it is dead; and it is not tried again after that.
    pub fn expires_in(mut self, time_to_live: Duration) -> Self {
        self.expires_in = Some(time_to_live);
        self
    }

    /// Writes something on it, by which it is [found](crate::Queue::tagged) and [discarded](crate::Queue::discard_tag); there may be
    /// several. Each costs a statement.
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tags.push(tag.into());
        self
    }

    /// Refuses what couldn't be meant.
    pub(crate) fn check(&self) -> Result<()> {
        let invalid = |message: String| Err(Error::new(ErrorKind::InvalidInput, message));
        if self.max_attempts == Some(0) {
            return invalid(
                "a job with max_attempts of 0 could never run; choose 1 or more".into(),
            );
        }
        let texts = [
            ("group", self.group.as_deref()),
            (
                "unique key",
                self.unique.as_ref().map(|unique| unique.key.as_str()),
            ),
        ];
        let tags = self.tags.iter().map(|tag| ("tag", Some(tag.as_str())));
        for (what, text) in texts.into_iter().chain(tags) {
            if let Some(text) = text
                && (text.len() > 512 || text.chars().any(char::is_control))
            {
                return invalid(format!(
                    "a {what} has up to 512 bytes of text without control characters; this one has {} bytes",
                    text.len()
                ));
            }
        }
        if let (When::In(delay), Some(time_to_live)) = (self.when, self.expires_in)
            && delay >= time_to_live
        {
            return invalid(format!(
                "it would expire, after {time_to_live:?}, before it is due, after {delay:?}"
            ));
        }
        Ok(())
    }

    /// When it is due and when it expires, from `now` on.
    pub(crate) fn times(&self, timeline: &Timeline, now: i64) -> (Option<i64>, Option<i64>) {
        let not_before = match self.when {
            When::Now => None,
            When::In(delay) => Some(now.saturating_add(micros(delay))),
            When::At(time) => Some(timeline.at(time)),
        };
        let expires = self
            .expires_in
            .map(|duration| now.saturating_add(micros(duration)));
        (not_before.filter(|&at| at > now), expires)
    }

    /// It takes more than one statement.
    pub(crate) fn is_more_than_a_row(&self) -> bool {
        let is_simple = self.unique.is_none() && self.group.is_none() && self.tags.is_empty();
        !is_simple || self.is_for_later()
    }

    pub(crate) fn is_for_later(&self) -> bool {
        self.when != When::Now || self.expires_in.is_some()
    }

    /// The tags as the row has them: one a line.
    pub(crate) fn lines_of_tags(&self) -> Option<String> {
        (!self.tags.is_empty()).then(|| self.tags.join("\n"))
    }
}

/// What a job is to be the only one of.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use diskette::{Push, Queue, Store, Unique};
///
/// # let dir = tempfile::tempdir()?;
/// # std::env::set_current_dir(&dir)?;
/// let store = Store::open("store")?;
/// let saves = Queue::<String>::new(&store, "saves")?;
/// // However fast somebody types, it is saved as it is after a second.
/// let later = Push::new()
///     .delay(Duration::from_secs(1))
///     .unique(Unique::key("draft 7").replace());
/// let first = saves.push_with("Dear A", &later)?;
/// let second = saves.push_with("Dear Ada", &later)?;
/// assert_eq!(first.id(), second.id());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Unique {
    pub(crate) key: String,
    pub(crate) window: Option<Duration>,
    pub(crate) replaces: bool,
}

impl Unique {
    /// While one with this key is unfinished, another that is pushed is skipped.
    pub fn key(key: impl Into<String>) -> Self {
        Unique {
            key: key.into(),
            window: None,
            replaces: false,
        }
    }

    /// And, finished or not, for so long after it was pushed. The job is kept for that time.
    pub fn for_(mut self, window: Duration) -> Self {
        self.window = Some(window);
        self
    }

    /// In place of being skipped it takes the place of the one that is there, with all that its [`Push`] says. If that is in the hands
    /// of a worker already, it comes after it.
    pub fn replace(mut self) -> Self {
        self.replaces = true;
        self
    }
}

/// What became of a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// It is a new job.
    New(JobId),
    /// There is one with its key already: nothing was changed.
    Skipped(JobId),
    /// It took the place of the one with its key.
    Replaced(JobId),
}

impl Pushed {
    /// The job that there is now.
    #[must_use]
    pub fn id(self) -> JobId {
        match self {
            Pushed::New(id) | Pushed::Skipped(id) | Pushed::Replaced(id) => id,
        }
    }

    /// Is it a new one?
    #[must_use]
    pub fn is_new(self) -> bool {
        matches!(self, Pushed::New(_))
    }
}
