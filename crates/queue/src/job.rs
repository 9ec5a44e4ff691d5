use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;
use std::time::SystemTime;

use diskette_ipc::Party;
use diskette_store::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

/// The number of a job in its queue, from 1 on in the order in which they were pushed. None is ever given twice,
/// but those of pushes that a power cut [took](diskette_store::Durability).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(pub(crate) u64);

impl JobId {
    /// The number.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for JobId {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        text.parse().map(JobId)
    }
}

/// Where a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    /// It isn't due yet: pushed for later, or to be tried again.
    Scheduled,
    /// It can be claimed.
    Ready,
    /// It waits for those before it in its group.
    Held,
    /// It is in the hands of a worker.
    Claimed,
    /// It is completed.
    Done,
    /// It is given up; [`Why`] says why.
    Dead,
}

impl JobState {
    /// All of them.
    pub const ALL: [JobState; 6] = [
        JobState::Scheduled,
        JobState::Ready,
        JobState::Held,
        JobState::Claimed,
        JobState::Done,
        JobState::Dead,
    ];

    /// As recorded in the database.
    pub(crate) fn name(self) -> &'static str {
        match self {
            JobState::Scheduled => "scheduled",
            JobState::Ready => "ready",
            JobState::Held => "held",
            JobState::Claimed => "claimed",
            JobState::Done => "done",
            JobState::Dead => "dead",
        }
    }

    pub(crate) fn named(name: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|state| state.name() == name);
        found.ok_or_else(|| damaged("an unknown state"))
    }

    /// Is it neither done nor dead?
    #[must_use]
    pub fn is_unfinished(self) -> bool {
        !matches!(self, JobState::Done | JobState::Dead)
    }
}

impl fmt::Display for JobState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Why a job is dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Why {
    /// It failed, or was dropped by its worker, in its last attempt.
    Failed,
    /// Its workers died: three of them, or the one of its last attempt.
    Killed,
    /// It took longer than its claim's time limit, in its last attempt.
    Late,
    /// It can't be read as a job of the type that was asked for.
    Unreadable,
    /// Nobody had claimed it when its time to live was over.
    Expired,
    /// Its worker [cancelled](crate::Claim::cancel) it.
    Cancelled,
}

impl Why {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Why::Failed => "failed",
            Why::Killed => "killed",
            Why::Late => "late",
            Why::Unreadable => "unreadable",
            Why::Expired => "expired",
            Why::Cancelled => "cancelled",
        }
    }

    pub(crate) fn named(name: &str) -> Result<Self> {
        let all = [
            Why::Failed,
            Why::Killed,
            Why::Late,
            Why::Unreadable,
            Why::Expired,
            Why::Cancelled,
        ];
        let found = all.into_iter().find(|why| why.name() == name);
        found.ok_or_else(|| damaged("an unknown reason for its death"))
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A job as it stands; got by [`Queue::get`](crate::Queue::get) and [`Queue::list`](crate::Queue::list).
///
/// Times are by the clock of the wall, as far as can be told now.
#[derive(Debug)]
#[non_exhaustive]
pub struct Job<J> {
    /// Its number.
    pub id: JobId,
    /// Where it is.
    pub state: JobState,
    /// What was pushed, if it can be read.
    pub content: Content<J>,
    /// The greater, the sooner.
    pub priority: i32,
    /// How often it was claimed, this time included; releases don't count.
    pub attempts: u32,
    /// How many of these there may be.
    pub max_attempts: u32,
    /// How many workers died with it in their hands.
    pub kills: u32,
    /// When it was pushed.
    pub pushed: SystemTime,
    /// When it will change its state by itself: it is ready then; its claim is over; or it has expired.
    pub due: Option<SystemTime>,
    /// When it expires, unless it is claimed before.
    pub expires: Option<SystemTime>,
    /// When it was claimed for the last time.
    pub claimed: Option<SystemTime>,
    /// When it was done, or died.
    pub finished: Option<SystemTime>,
    /// Who has it, if that is known.
    pub party: Option<Party>,
    /// The jobs among which it has its turn.
    pub group: Option<String>,
    /// What it was to be the only one with.
    pub unique_key: Option<String>,
    /// What its pusher wrote on it.
    pub tags: Vec<String>,
    /// Why it is dead.
    pub why: Option<Why>,
    /// What its last worker to fail said.
    pub error: Option<String>,
    /// How far its worker has come, from 0 to 1, and what he said.
    pub progress: Option<(f64, String)>,
}

impl Job<()> {
    pub(crate) fn with<J>(self, content: Content<J>) -> Job<J> {
        Job {
            id: self.id,
            state: self.state,
            content,
            priority: self.priority,
            attempts: self.attempts,
            max_attempts: self.max_attempts,
            kills: self.kills,
            pushed: self.pushed,
            due: self.due,
            expires: self.expires,
            claimed: self.claimed,
            finished: self.finished,
            party: self.party,
            group: self.group,
            unique_key: self.unique_key,
            tags: self.tags,
            why: self.why,
            error: self.error,
            progress: self.progress,
        }
    }
}

/// What was pushed.
#[derive(Debug)]
pub enum Content<J> {
    /// As the type that was asked for.
    Job(J),
    /// It can't be read as that.
    Unreadable {
        /// The job, as it is encoded; empty, if its file is damaged.
        bytes: Vec<u8>,
        /// Why it can't be read.
        why: Error,
    },
}

impl<J> Content<J> {
    /// The job, if it can be read.
    pub fn job(&self) -> Option<&J> {
        match self {
            Content::Job(job) => Some(job),
            Content::Unreadable { .. } => None,
        }
    }
}

pub(crate) fn damaged(what: &str) -> Error {
    Error::new(
        ErrorKind::Corrupt,
        format!("it has {what}: Store::check says what is damaged"),
    )
}
