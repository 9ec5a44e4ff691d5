//! A queue does what a list of jobs would, whatever is done to it: with a clock that is set by hand, reopened in between, with
//! transactions that commit or roll back.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use diskette_queue::{
    Backoff, Claim, JobId, JobState, Keep, ManualClock, Outcome, Push, Pushed, Queue, Unique, Why,
};
use diskette_store::{Access, Error, INLINE, MessagePack, Store};
use diskette_testkit::{Place, cases};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

type Value = String;

#[derive(Clone, Debug)]
enum Step {
    Push(Value),
    PushAll(Vec<Value>),
    PushWith(Value, Options),
    Claim,
    ClaimMany(u8),
    /// Of the claims, which one, and how it ends.
    End(usize, End),
    EndWithin(usize, End, bool),
    /// Within a transaction or not, and whether that is undone.
    CompleteAll(Option<bool>),
    Progress(usize),
    Get(u8),
    RetryDead(u8),
    RetryAllDead,
    Discard(u8),
    DiscardTag(u8),
    TakeAway(u8),
    Pause(bool),
    Tidy,
    /// Milliseconds.
    Wait(u16),
    SetClock(i16),
    Reopen,
    Commit(Vec<Step>),
    RollBack(Vec<Step>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Complete,
    CompleteWith(u8),
    Fail,
    RetryIn(u16),
    Release,
    Cancel,
    Drop,
}

/// Times in milliseconds.
#[derive(Clone, Debug)]
struct Options {
    delay: Option<u16>,
    priority: i32,
    max_attempts: Option<u32>,
    backoff: Option<u16>,
    unique: Option<(u8, Option<u16>, bool)>,
    group: Option<u8>,
    expires_in: Option<u16>,
    tags: Vec<u8>,
}

fn millis(millis: u16) -> Duration {
    Duration::from_millis(millis.into())
}

impl Options {
    fn push(&self) -> Push {
        let mut push = Push::new().priority(self.priority);
        if let Some(delay) = self.delay {
            push = push.delay(millis(delay));
        }
        if let Some(max_attempts) = self.max_attempts {
            push = push.max_attempts(max_attempts);
        }
        if let Some(backoff) = self.backoff {
            push = push.backoff(Backoff::fixed(millis(backoff)));
        }
        if let Some((key, window, replaces)) = self.unique {
            let mut unique = Unique::key(key.to_string());
            if let Some(window) = window {
                unique = unique.for_(millis(window));
            }
            push = push.unique(if replaces { unique.replace() } else { unique });
        }
        if let Some(group) = self.group {
            push = push.group(group.to_string());
        }
        if let Some(expires_in) = self.expires_in {
            push = push.expires_in(millis(expires_in));
        }
        self.tags
            .iter()
            .fold(push, |push, tag| push.tag(tag.to_string()))
    }
}

#[derive(Clone, Debug)]
struct Job {
    id: u64,
    value: Value,
    state: JobState,
    priority: i32,
    attempts: u32,
    max_attempts: u32,
    backoff: u64,
    group: Option<u8>,
    key: Option<u8>,
    unique_until: Option<u64>,
    not_before: u64,
    expires: Option<u64>,
    tags: Vec<u8>,
    /// When its claim is over.
    limit: Option<u64>,
    settled: Option<u64>,
    why: Option<Why>,
    result: Option<u8>,
    /// Which of its claims is the one that counts.
    token: u64,
}

impl Job {
    fn is_unfinished(&self) -> bool {
        self.state.is_unfinished()
    }
}

#[derive(Clone, Debug, Default)]
struct Model {
    now: u64,
    last: u64,
    tokens: u64,
    paused: bool,
    jobs: Vec<Job>,
}

const MAX_ATTEMPTS: u32 = 3;
const BACKOFF: u64 = 10;
const LIMIT: u64 = 25;
const KEPT: usize = 4;
const TAGS: u8 = 3;

impl Model {
    fn at(&self, id: u64) -> Option<usize> {
        self.jobs.iter().position(|job| job.id == id)
    }

    /// Whether it is behind others of its group.
    fn is_behind(&self, at: usize) -> bool {
        let own = &self.jobs[at];
        let others = self
            .jobs
            .iter()
            .filter(|job| job.id != own.id && job.is_unfinished() && job.group == own.group);
        own.group.is_some() && others.count() > 0
    }

    fn settle_in(&mut self, at: usize) {
        let behind = self.is_behind(at);
        let now = self.now;
        let job = &mut self.jobs[at];
        job.state = match (behind, job.not_before > now) {
            (true, _) => JobState::Held,
            (false, true) => JobState::Scheduled,
            (false, false) => JobState::Ready,
        };
    }

    fn push(&mut self, value: &Value, options: Option<&Options>) -> Pushed {
        let now = self.now;
        let key = options
            .and_then(|options| options.unique)
            .map(|unique| unique.0);
        let replaces = options.is_some_and(|options| options.unique.is_some_and(|it| it.2));
        let mut new = Job {
            id: self.last + 1,
            value: value.clone(),
            state: JobState::Ready,
            priority: options.map_or(0, |options| options.priority),
            attempts: 0,
            max_attempts: options
                .and_then(|it| it.max_attempts)
                .unwrap_or(MAX_ATTEMPTS),
            backoff: options.and_then(|it| it.backoff).map_or(BACKOFF, u64::from),
            group: options.and_then(|options| options.group),
            key,
            unique_until: options
                .and_then(|options| options.unique?.1)
                .map(|window| now + u64::from(window)),
            not_before: options
                .and_then(|it| it.delay)
                .map_or(0, |delay| now + u64::from(delay)),
            expires: options
                .and_then(|it| it.expires_in)
                .map(|it| now + u64::from(it)),
            tags: options.map_or(Vec::new(), |options| options.tags.clone()),
            limit: None,
            settled: None,
            why: None,
            result: None,
            token: 0,
        };
        let other = loop {
            let same = |job: &&Job| key.is_some() && job.key == key && job.is_unfinished();
            let is_claimed = |job: &&Job| job.state == JobState::Claimed;
            let all = self.jobs.iter().filter(same);
            let other = all.max_by_key(|job| (!is_claimed(job), job.id)).cloned();
            match other {
                Some(other)
                    if !is_claimed(&&other) && other.expires.is_some_and(|it| it <= now) =>
                {
                    let at = self.at(other.id).unwrap();
                    self.finish(at, JobState::Dead, Some(Why::Expired));
                }
                other => break other,
            }
        };
        match other {
            Some(other) if !replaces => return Pushed::Skipped(id(other.id)),
            Some(other) if other.state != JobState::Claimed => {
                let at = self.at(other.id).unwrap();
                new.id = other.id;
                let stays = other.state != JobState::Held && other.group == new.group;
                if other.state != JobState::Held && other.group != new.group {
                    self.jobs[at].group = None;
                    self.promote(other.group);
                }
                let (group, not_before) = (new.group, new.not_before);
                self.jobs[at] = new;
                if stays {
                    let later = not_before > now;
                    self.jobs[at].state = if later {
                        JobState::Scheduled
                    } else {
                        JobState::Ready
                    };
                } else {
                    self.jobs[at].group = group;
                    self.settle_in(at);
                }
                return Pushed::Replaced(id(other.id));
            }
            Some(_) => {}
            None => {
                let finished = self.jobs.iter().filter(|job| {
                    key.is_some() && job.key == key && job.settled.is_some_and(|it| it > now)
                });
                let finished = finished.max_by_key(|job| (job.settled, job.id));
                if let Some(other) = finished {
                    return Pushed::Skipped(id(other.id));
                }
            }
        }
        self.last += 1;
        self.jobs.push(new);
        self.settle_in(self.jobs.len() - 1);
        Pushed::New(id(self.last))
    }

    fn promote(&mut self, group: Option<u8>) {
        let now = self.now;
        let of_group =
            |job: &&mut Job| group.is_some() && job.group == group && job.is_unfinished();
        let first = self
            .jobs
            .iter_mut()
            .filter(of_group)
            .min_by_key(|job| job.id);
        if let Some(job) = first
            && job.state == JobState::Held
        {
            let later = job.not_before > now;
            job.state = if later {
                JobState::Scheduled
            } else {
                JobState::Ready
            };
        }
    }

    fn finish(&mut self, at: usize, state: JobState, why: Option<Why>) {
        let now = self.now;
        let job = &mut self.jobs[at];
        let active = job.state != JobState::Held;
        (job.state, job.why, job.limit) = (state, why, None);
        job.settled = Some(job.unique_until.map_or(now, |until| until.max(now)));
        let group = job.group;
        if active {
            self.promote(group);
        }
    }

    fn due(&self, job: &Job) -> Option<u64> {
        match job.state {
            JobState::Scheduled => Some(job.not_before),
            JobState::Ready | JobState::Held => job.expires,
            JobState::Claimed => job.limit,
            JobState::Done | JobState::Dead => None,
        }
    }

    fn fire(&mut self) {
        let now = self.now;
        while let Some(at) = (0..self.jobs.len())
            .filter(|&at| self.due(&self.jobs[at]).is_some_and(|due| due <= now))
            .min_by_key(|&at| (self.due(&self.jobs[at]), self.jobs[at].id))
        {
            let job = &mut self.jobs[at];
            match job.state {
                JobState::Claimed if job.attempts >= job.max_attempts => {
                    self.finish(at, JobState::Dead, Some(Why::Late));
                }
                JobState::Claimed => (job.state, job.limit) = (JobState::Ready, None),
                JobState::Scheduled if job.expires.is_none_or(|expires| expires > now) => {
                    job.state = JobState::Ready;
                }
                _ => self.finish(at, JobState::Dead, Some(Why::Expired)),
            }
        }
    }

    fn claim(&mut self, limited: bool) -> Option<(u64, Value, u32, u64)> {
        if self.paused {
            return None;
        }
        self.fire();
        let ready = self
            .jobs
            .iter_mut()
            .filter(|job| job.state == JobState::Ready);
        let job = ready.min_by_key(|job| (-i64::from(job.priority), job.id))?;
        self.tokens += 1;
        job.state = JobState::Claimed;
        job.attempts += 1;
        job.token = self.tokens;
        job.limit = limited.then_some(self.now + LIMIT);
        Some((job.id, job.value.clone(), job.attempts, job.token))
    }

    /// Whether the claim was still held.
    fn end(&mut self, claimed: u64, token: u64, attempt: u32, end: End) -> bool {
        let now = self.now;
        let Some(at) = self.at(claimed) else {
            return false;
        };
        let job = &mut self.jobs[at];
        if job.state != JobState::Claimed || job.token != token {
            return false;
        }
        let is_last = attempt >= job.max_attempts;
        let pause = match end {
            End::Complete | End::CompleteWith(_) => {
                job.result = match end {
                    End::CompleteWith(result) => Some(result),
                    _ => None,
                };
                self.finish(at, JobState::Done, None);
                return true;
            }
            End::Cancel => {
                self.finish(at, JobState::Dead, Some(Why::Cancelled));
                return true;
            }
            End::Fail | End::RetryIn(_) | End::Drop if is_last => {
                self.finish(at, JobState::Dead, Some(Why::Failed));
                return true;
            }
            End::Release | End::Drop => {
                job.state = JobState::Ready;
                job.attempts -= u32::from(end == End::Release);
                job.limit = None;
                return true;
            }
            End::Fail => job.backoff,
            End::RetryIn(pause) => pause.into(),
        };
        (job.state, job.limit, job.not_before) = (JobState::Scheduled, None, now + pause);
        true
    }

    fn revive(&mut self, at: usize) {
        let job = &mut self.jobs[at];
        (job.attempts, job.not_before, job.expires) = (0, 0, None);
        (job.settled, job.why) = (None, None);
        self.settle_in(at);
    }

    fn discard(&mut self, at: usize) {
        let job = self.jobs.remove(at);
        if job.is_unfinished() && job.state != JobState::Held {
            self.promote(job.group);
        }
    }

    fn tagged(&self, tag: u8) -> Vec<u64> {
        let tagged = self.jobs.iter().filter(|job| job.tags.contains(&tag));
        let mut tagged: Vec<_> = tagged.map(|job| job.id).collect();
        tagged.sort_unstable();
        tagged
    }

    fn tidy(&mut self) -> usize {
        let now = self.now;
        let done = self.jobs.iter();
        let done = done.filter(|job| job.state == JobState::Done && job.settled <= Some(now));
        let mut done: Vec<_> = done.map(|job| (job.settled, job.id)).collect();
        done.sort_unstable();
        done.truncate(done.len().saturating_sub(KEPT));
        self.jobs
            .retain(|job| !done.iter().any(|&(_, id)| id == job.id));
        done.len()
    }

    fn list(&self, state: JobState) -> Vec<u64> {
        let mut jobs: Vec<_> = self.jobs.iter().filter(|job| job.state == state).collect();
        jobs.sort_by_key(|job| match state {
            JobState::Ready => (-i64::from(job.priority), job.id),
            JobState::Scheduled => (job.not_before.cast_signed(), job.id),
            JobState::Held => (job.group.unwrap_or(0).into(), job.id),
            JobState::Claimed => (0, job.id),
            _ => (job.settled.unwrap_or(0).cast_signed(), job.id),
        });
        jobs.iter().map(|job| job.id).collect()
    }
}

fn id(id: u64) -> JobId {
    id.to_string().parse().unwrap()
}

/// A claim, and what the model calls it.
struct Held {
    claim: Claim<Value>,
    id: u64,
    token: u64,
    attempt: u32,
}

/// Large enough for a file of its own, once in a while.
fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        60 => (0_u8..9).prop_map(|n| n.to_string()),
        1 => (0_u8..9).prop_map(|n| n.to_string().repeat(INLINE + 1)),
    ]
}

fn options() -> impl Strategy<Value = Options> {
    (
        of(0_u16..40),
        -2..3_i32,
        of(1_u32..4),
        of(0_u16..30),
        of((0_u8..3, of(0_u16..60), any::<bool>())),
        of(0_u8..3),
        of(40_u16..90),
        vec(0..TAGS, 0..3),
    )
        .prop_map(
            |(delay, priority, max_attempts, backoff, unique, group, expires_in, tags)| Options {
                delay,
                priority,
                max_attempts,
                backoff,
                unique,
                group,
                expires_in,
                tags,
            },
        )
}

fn ending() -> impl Strategy<Value = End> {
    prop_oneof![
        3 => Just(End::Complete),
        2 => any::<u8>().prop_map(End::CompleteWith),
        3 => Just(End::Fail),
        1 => (0_u16..40).prop_map(End::RetryIn),
        2 => Just(End::Release),
        1 => Just(End::Cancel),
        1 => Just(End::Drop),
    ]
}

fn step() -> BoxedStrategy<Step> {
    let number = || 0_u8..40;
    let simple = prop_oneof![
        3 => value().prop_map(Step::Push),
        1 => vec(value(), 0..4).prop_map(Step::PushAll),
        9 => (value(), options()).prop_map(|(v, o)| Step::PushWith(v, o)),
        7 => Just(Step::Claim),
        1 => (0_u8..5).prop_map(Step::ClaimMany),
        1 => number().prop_map(Step::Get),
        2 => number().prop_map(Step::RetryDead),
        1 => Just(Step::RetryAllDead),
        2 => number().prop_map(Step::Discard),
        1 => (0..TAGS).prop_map(Step::DiscardTag),
        1 => number().prop_map(Step::TakeAway),
        1 => any::<bool>().prop_map(Step::Pause),
        1 => Just(Step::Tidy),
        5 => (0_u16..30).prop_map(Step::Wait),
        1 => any::<i16>().prop_map(Step::SetClock),
    ]
    .boxed();
    // Those that a rollback undoes without a trace.
    let undone = prop_oneof![
        3 => value().prop_map(Step::Push),
        9 => (value(), options()).prop_map(|(v, o)| Step::PushWith(v, o)),
        2 => number().prop_map(Step::RetryDead),
        2 => number().prop_map(Step::Discard),
        1 => any::<bool>().prop_map(Step::Pause),
    ];
    prop_oneof![
        24 => simple.clone(),
        8 => (any::<usize>(), ending()).prop_map(|(n, e)| Step::End(n, e)),
        3 => (any::<usize>(), ending(), any::<bool>()).prop_map(|(n, e, c)| Step::EndWithin(n, e, c)),
        2 => of(any::<bool>()).prop_map(Step::CompleteAll),
        1 => any::<usize>().prop_map(Step::Progress),
        1 => vec(simple, 0..8).prop_map(Step::Commit),
        1 => vec(undone, 0..8).prop_map(Step::RollBack),
        1 => Just(Step::Reopen),
    ]
    .boxed()
}

type Outcomes = Result<(), Error>;

/// Does a step to the queue and to the model, and compares what they say.
fn apply<A: Access + Clone>(
    queue: &Queue<Value, MessagePack, A>,
    clock: &ManualClock,
    model: &mut Model,
    held: &mut Vec<Held>,
    step: &Step,
) -> Outcomes {
    match step {
        Step::Push(value) => {
            assert_eq!(Pushed::New(queue.push(value)?), model.push(value, None));
        }
        Step::PushAll(values) => {
            let expected: Vec<_> = values.iter().map(|it| model.push(it, None).id()).collect();
            assert_eq!(queue.push_all(values)?, expected);
        }
        Step::PushWith(value, options) => {
            let pushed = queue.push_with(value, &options.push())?;
            assert_eq!(pushed, model.push(value, Some(options)));
        }
        Step::Claim => {
            let limited = model.now.is_multiple_of(2);
            let queue = match limited {
                true => queue.clone().with_time_limit(Duration::from_millis(LIMIT)),
                false => queue.clone(),
            };
            let claim = queue.try_claim()?;
            let expected = model.claim(limited);
            let found = claim.as_ref();
            let found = found.map(|it| (it.id().get(), (**it).clone(), it.attempt()));
            assert_eq!(
                found,
                expected.clone().map(|(id, value, n, _)| (id, value, n))
            );
            if let (Some(claim), Some((id, _, attempt, token))) = (claim, expected) {
                held.push(Held {
                    claim,
                    id,
                    token,
                    attempt,
                });
            }
        }
        Step::ClaimMany(most) => {
            let claims = queue.claim_many((*most).into())?;
            let expected = (0..*most).map_while(|_| model.claim(false));
            let expected: Vec<_> = expected.collect();
            assert_eq!(
                claims
                    .iter()
                    .map(|it| (it.id().get(), it.attempt()))
                    .collect::<Vec<_>>(),
                expected.iter().map(|it| (it.0, it.2)).collect::<Vec<_>>()
            );
            for (claim, (id, _, attempt, token)) in claims.into_iter().zip(expected) {
                held.push(Held {
                    claim,
                    id,
                    token,
                    attempt,
                });
            }
        }
        Step::Get(number) => {
            let number = u64::from(*number);
            let job = queue.get(id(number))?;
            let expected = model.at(number).map(|at| model.jobs[at].clone());
            assert_eq!(
                job.map(|it| (it.state, it.content.job().cloned(), it.attempts, it.why)),
                expected
                    .clone()
                    .map(|it| (it.state, Some(it.value), it.attempts, it.why))
            );
            let expected = match expected {
                None => Some(Outcome::Gone),
                Some(job) if job.state == JobState::Done => Some(Outcome::Done(job.result)),
                Some(job) => job.why.map(|why| Outcome::Dead { why, error: None }),
            };
            let outcome = match queue.outcome::<u8>(id(number))? {
                Some(Outcome::Dead { why, .. }) => Some(Outcome::Dead { why, error: None }),
                outcome => outcome,
            };
            assert_eq!(outcome, expected);
        }
        Step::RetryDead(number) => {
            let at = model.at(u64::from(*number));
            let at = at.filter(|&at| model.jobs[at].state == JobState::Dead);
            assert_eq!(queue.retry_dead(id((*number).into()))?, at.is_some());
            if let Some(at) = at {
                model.revive(at);
            }
        }
        Step::RetryAllDead => {
            let dead = model.jobs.iter().filter(|it| it.state == JobState::Dead);
            let mut dead: Vec<_> = dead.map(|job| (job.settled, job.id)).collect();
            dead.sort_unstable();
            assert_eq!(queue.retry_all_dead()?, dead.len());
            for (_, id) in dead {
                model.revive(model.at(id).unwrap());
            }
        }
        Step::Discard(number) => {
            let at = model.at(u64::from(*number));
            assert_eq!(queue.discard(id((*number).into()))?, at.is_some());
            if let Some(at) = at {
                model.discard(at);
            }
        }
        Step::DiscardTag(tag) => {
            let tagged = model.tagged(*tag);
            assert_eq!(queue.discard_tag(&tag.to_string())?, tagged.len());
            for id in tagged {
                model.discard(model.at(id).unwrap());
            }
        }
        Step::TakeAway(number) => {
            let at = model.at(u64::from(*number)).filter(|&at| {
                let job = &model.jobs[at];
                job.state == JobState::Claimed && job.attempts < job.max_attempts
            });
            assert_eq!(queue.take_away(id((*number).into()))?, at.is_some());
            if let Some(at) = at {
                (model.jobs[at].state, model.jobs[at].limit) = (JobState::Ready, None);
            }
        }
        Step::Pause(pause) => {
            let changed = match pause {
                true => queue.pause()?,
                false => queue.resume()?,
            };
            assert_eq!(changed, model.paused != *pause);
            model.paused = *pause;
        }
        Step::Tidy => assert_eq!(queue.tidy()?, model.tidy()),
        Step::Wait(by) => {
            clock.advance(millis(*by));
            model.now += u64::from(*by);
        }
        Step::SetClock(seconds) => clock.step_wall((*seconds).into()),
        Step::End(..)
        | Step::EndWithin(..)
        | Step::CompleteAll(_)
        | Step::Progress(_)
        | Step::Reopen
        | Step::Commit(_)
        | Step::RollBack(_) => unreachable!("not within another"),
    }
    agree(queue, model)
}

fn agree<A: Access + Clone>(queue: &Queue<Value, MessagePack, A>, model: &Model) -> Outcomes {
    let stats = queue.stats()?;
    for state in JobState::ALL {
        let listed = queue.list(state).map(|job| Ok(job?.id.get()));
        let mut listed = listed.collect::<Result<Vec<_>, Error>>()?;
        if state == JobState::Claimed {
            listed.sort_unstable(); // it knows of times within a millisecond
        }
        assert_eq!(listed, model.list(state), "{state}");
        assert_eq!(stats.of(state), u64::try_from(listed.len()).unwrap());
    }
    for tag in 0..TAGS {
        let tagged = queue.tagged(&tag.to_string());
        let tagged = tagged.map(|job| Ok(job?.id.get()));
        let tagged = tagged.collect::<Result<Vec<_>, Error>>()?;
        assert_eq!(tagged, model.tagged(tag), "tag {tag}");
    }
    assert_eq!(queue.is_idle()?, stats.unfinished() == 0);
    Ok(())
}

/// Ends a claim in both, in a transaction if that is given; whether it is undone then.
fn end(
    store: &Store,
    model: &mut Model,
    Held {
        claim,
        id,
        token,
        attempt,
    }: Held,
    end: End,
    within: Option<bool>,
) {
    let Some(undo) = within else {
        let ended = match end {
            End::Complete => claim.complete_now(),
            End::CompleteWith(result) => store.transaction(|tx| claim.complete_with(tx, &result)),
            End::Fail => claim.fail("no"),
            End::RetryIn(pause) => claim.retry_in(millis(pause)),
            End::Release => claim.release(),
            End::Cancel => claim.cancel("no"),
            End::Drop => {
                drop(claim);
                model.end(id, token, attempt, end);
                return;
            }
        };
        let held = model.end(id, token, attempt, end);
        assert_eq!(
            ended.as_ref().map_err(Error::is_overtaken),
            if held { Ok(&()) } else { Err(true) }
        );
        return;
    };
    let ended = store.transaction(|tx| {
        let claim = claim.within(tx);
        match end {
            End::Complete => claim.complete(),
            End::CompleteWith(result) => claim.complete_with(&result),
            End::Fail => claim.fail("no"),
            End::RetryIn(pause) => claim.retry_in(millis(pause)),
            End::Release => claim.release(),
            End::Cancel => claim.cancel("no"),
            End::Drop => {
                drop(claim);
                Ok(())
            }
        }?;
        match undo {
            true => Err(store.remove_structure("").unwrap_err()),
            false => Ok(()),
        }
    });
    let end = if undo { End::Drop } else { end };
    let held = model.end(id, token, attempt, end);
    assert_eq!(ended.is_ok(), !undo && (held || end == End::Drop));
}

/// Completes all claims in both: all of them or none.
fn complete_all(queue: &Queue<Value>, model: &mut Model, held: Vec<Held>, within: Option<bool>) {
    let is_held = |it: &Held| {
        let job = model.at(it.id).map(|at| &model.jobs[at]);
        job.is_some_and(|job| job.state == JobState::Claimed && job.token == it.token)
    };
    let all_held = held.iter().all(is_held);
    let undo = within == Some(true);
    let end = match all_held && !undo {
        true => End::Complete,
        false => End::Drop,
    };
    let mut claims = Vec::new();
    for it in held {
        model.end(it.id, it.token, it.attempt, end);
        claims.push(it.claim);
    }
    let store = queue.store();
    let completed = match within {
        None => queue.complete_all(claims),
        Some(undo) => store.transaction(|tx| {
            queue.within(tx).complete_all(claims)?;
            match undo {
                true => Err(store.remove_structure("").unwrap_err()),
                false => Ok(()),
            }
        }),
    };
    let expected = match (all_held, undo) {
        (true, false) => Ok(()),
        (held, _) => Err(!held),
    };
    assert_eq!(completed.map_err(|error| error.is_overtaken()), expected);
}

fn run(steps: &[Step]) {
    let place = Place::new();
    let path = place.path();
    let clock = ManualClock::new();
    let open = || {
        let store = Store::open(path).unwrap();
        let queue = Queue::<Value>::options()
            .max_attempts(MAX_ATTEMPTS)
            .backoff(Backoff::fixed(Duration::from_millis(BACKOFF)))
            .keep_done(Keep::last(KEPT.try_into().unwrap()))
            .clock(clock.clone())
            .new(&store, "queue")
            .unwrap();
        (store, queue)
    };
    let (mut store, mut queue) = open();
    let (mut model, mut held) = (Model::default(), Vec::new());
    for step in steps {
        // From its 64th job on a queue drops finished ones by itself, in the background.
        if model.last > 50 {
            break;
        }
        match step {
            Step::Reopen => {
                // A claim keeps its store open.
                for it in std::mem::take(&mut held) {
                    end(&store, &mut model, it, End::Drop, None);
                }
                drop((store, queue));
                (store, queue) = open();
            }
            Step::End(..) | Step::EndWithin(..) | Step::Progress(_) if held.is_empty() => {}
            Step::End(n, ending) => {
                let it = held.remove(n % held.len());
                end(&store, &mut model, it, *ending, None);
            }
            Step::EndWithin(n, ending, undo) => {
                let it = held.remove(n % held.len());
                end(&store, &mut model, it, *ending, Some(*undo));
            }
            Step::CompleteAll(within) => {
                let all = std::mem::take(&mut held);
                complete_all(&queue, &mut model, all, *within);
            }
            Step::Progress(n) => {
                let it = &held[n % held.len()];
                let at = model.at(it.id).map(|at| &model.jobs[at]);
                let is_held =
                    at.is_some_and(|job| job.state == JobState::Claimed && job.token == it.token);
                assert_eq!(it.claim.progress(0.5, "half").is_ok(), is_held);
            }
            Step::Commit(steps) => store
                .transaction(|tx| {
                    let within = queue.within(tx);
                    steps
                        .iter()
                        .try_for_each(|step| apply(&within, &clock, &mut model, &mut held, step))
                })
                .unwrap(),
            Step::RollBack(steps) => {
                let before = model.clone();
                let undone = store.transaction(|tx| {
                    let within = queue.within(tx);
                    steps
                        .iter()
                        .try_for_each(|step| apply(&within, &clock, &mut model, &mut held, step))?;
                    Err::<(), _>(store.remove_structure("").unwrap_err())
                });
                assert!(undone.is_err());
                model = before;
            }
            step => apply(&queue, &clock, &mut model, &mut held, step).unwrap(),
        }
        agree(&queue, &model).unwrap();
    }
    drop((held, queue));
    assert_eq!(store.check().unwrap().problems, []);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(if cfg!(debug_assertions) { 60 } else { 1000 })))]

    #[test]
    fn a_queue_is_a_list_of_jobs(steps in vec(step(), 1..80)) {
        run(&steps);
    }
}
