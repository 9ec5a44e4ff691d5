use diskette_store::{Stored, Value};

use crate::inner::micros;
use crate::job::JobState;
use crate::push::Push;

/// A job on its way into the table.
pub(crate) struct NewJob<'p> {
    pub(crate) rank: i64,
    pub(crate) not_before: Option<i64>,
    pub(crate) expires: Option<i64>,
    pub(crate) pushed: i64,
    /// As many as all, if it isn't said.
    pub(crate) max_attempts: Option<i64>,
    pub(crate) backoff: Option<String>,
    pub(crate) group: Option<&'p str>,
    pub(crate) unique_key: Option<&'p str>,
    pub(crate) unique_until: Option<i64>,
    pub(crate) replaces: bool,
    pub(crate) tags: Option<String>,
}

impl<'p> NewJob<'p> {
    pub(crate) fn of(
        push: &'p Push,
        usual_attempts: Option<u32>,
        (not_before, expires): (Option<i64>, Option<i64>),
        now: i64,
    ) -> Self {
        let unique = push.unique.as_ref();
        let window = unique.and_then(|unique| unique.window);
        NewJob {
            rank: -i64::from(push.priority),
            not_before,
            expires,
            pushed: now,
            max_attempts: push.max_attempts.or(usual_attempts).map(i64::from),
            backoff: push.backoff.map(|backoff| backoff.to_string()),
            group: push.group.as_deref(),
            unique_key: unique.map(|unique| unique.key.as_str()),
            unique_until: window.map(|window| now.saturating_add(micros(window))),
            replaces: unique.is_some_and(|unique| unique.replaces),
            tags: push.lines_of_tags(),
        }
    }

    /// Where it is, unless others of its group are before it.
    pub(crate) fn state(&self) -> JobState {
        match self.not_before {
            Some(_) => JobState::Scheduled,
            None => JobState::Ready,
        }
    }

    pub(crate) fn due(&self, state: JobState) -> Option<i64> {
        match state {
            JobState::Scheduled => self.not_before,
            _ => self.expires,
        }
    }

    /// What [`PUSH`](crate::sql::PUSH) and [`ADD`](crate::sql::ADD) want, but for numbers.
    pub(crate) fn params<'v>(
        &'v self,
        queue: Value<'static>,
        state: JobState,
        stored: &'v Stored,
    ) -> [Value<'v>; 15] {
        [
            queue,
            state.name().into(),
            self.rank.into(),
            self.due(state).into(),
            self.not_before.into(),
            self.expires.into(),
            self.pushed.into(),
            self.max_attempts.into(),
            self.backoff.as_deref().into(),
            self.group.into(),
            self.unique_key.into(),
            self.unique_until.into(),
            self.tags.as_deref().into(),
            stored.file(),
            stored.value(),
        ]
    }

    /// What [`REPLACE`](crate::sql::REPLACE) wants, to take the place of another job.
    pub(crate) fn params_in_place_of<'v>(
        &'v self,
        other: i64,
        state: JobState,
        stored: &'v Stored,
    ) -> [Value<'v>; 14] {
        [
            state.name().into(),
            self.rank.into(),
            self.due(state).into(),
            self.not_before.into(),
            self.expires.into(),
            self.pushed.into(),
            self.max_attempts.into(),
            self.backoff.as_deref().into(),
            self.group.into(),
            self.unique_until.into(),
            self.tags.as_deref().into(),
            stored.file(),
            stored.value(),
            other.into(),
        ]
    }
}
