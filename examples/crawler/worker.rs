//! A worker process: claims URLs and visits them until the supervisor closes its input.

use std::io::{self, Read, Write};
use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use diskette::deque::Claim;
use parking_lot::{Condvar, Mutex};
use serde::{Deserialize, Serialize};

use crate::Options;
use crate::fetch::{Failure, Setback};
use crate::frontier::Frontier;
use crate::hosts::{Host, Hosts, LONGEST_DELAY};
use crate::page::{Outcome, Page, Visit};
use crate::visitor::Visitor;

const ATTEMPTS: u8 = 3;
/// Where it is not the page but the host that has enough.
const ATTEMPTS_AT_OVERLOAD: u8 = 8;
/// Before the second attempt; twice as long before each further one.
const FIRST_DELAY: Duration = Duration::from_millis(500);
/// How long the pages in hand may take when the crawl stops; the rest returns to the queue.
const GRACE: Duration = Duration::from_secs(3);
/// How often an idle thread looks around.
const IDLE: Duration = Duration::from_millis(500);

/// What is reported of a page that is what it was.
pub const UNCHANGED: &str = "unchanged";

/// What a worker tells its supervisor: one line of JSON each.
#[derive(Serialize, Deserialize)]
pub enum Report {
    Fetching { url: String },
    Recorded { url: String, outcome: String },
    PutOff { url: String, reason: String },
    Broken { reason: String },
}

struct Worker {
    frontier: Frontier,
    hosts: Hosts,
    visitor: Visitor,
    max_pages: Option<u64>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    stopping: bool,
    /// Threads with a page in hand.
    busy: usize,
    broken: Option<anyhow::Error>,
}

/// Runs until standard input ends: the supervisor closed it, or died.
pub fn run(options: &Options) -> ExitCode {
    let Err(error) = work(options) else {
        return ExitCode::SUCCESS;
    };
    report(&Report::Broken {
        reason: format!("{error:#}"),
    });
    ExitCode::FAILURE
}

fn work(options: &Options) -> Result<()> {
    let frontier = Frontier::open(&options.data)?;
    let plan = frontier.plan()?.context("there is no crawl to work on")?;
    let worker = Arc::new(Worker {
        visitor: Visitor::new(plan, frontier.robots().clone(), options)?,
        hosts: Hosts::new(frontier.store(), options),
        frontier,
        max_pages: options.max_pages,
        state: Mutex::default(),
        changed: Condvar::new(),
    });
    for _ in 0..options.connections_per_worker() {
        let worker = Arc::clone(&worker);
        thread::spawn(move || {
            let outcome = panic::catch_unwind(AssertUnwindSafe(|| worker.crawl()));
            if let Err(error) = outcome.unwrap_or_else(|_| Err(anyhow!("a thread panicked"))) {
                worker.change(|state| state.broken = Some(error));
            }
        });
    }
    let listener = Arc::clone(&worker);
    thread::spawn(move || {
        // Only the end of the input means anything, and an error is one.
        let _ = io::stdin().read_to_end(&mut Vec::new());
        listener.change(|state| state.stopping = true);
    });
    worker.wait()
}

impl Worker {
    fn crawl(&self) -> Result<()> {
        while !self.state.lock().stopping {
            let Some(visit) = self.next()? else {
                continue;
            };
            self.state.lock().busy += 1;
            self.process(visit)?;
            let mut state = self.state.lock();
            state.busy -= 1;
            if state.stopping {
                self.changed.notify_all();
            }
        }
        Ok(())
    }

    fn next(&self) -> Result<Option<Claim<Visit>>> {
        let Some(most) = self.max_pages else {
            return self.frontier.next(IDLE);
        };
        let visit = self.frontier.next_of(most)?;
        if visit.is_none() {
            self.stops_within(IDLE / 10);
        }
        Ok(visit)
    }

    fn process(&self, visit: Claim<Visit>) -> Result<()> {
        let host = self.hosts.of(&visit.url)?;
        let url = visit.url.to_string();
        let outcome = match self.visit(&visit, &host) {
            Ok(outcome) => outcome,
            Err(Setback::NotYet(wait)) => {
                return self.frontier.set_aside(visit, wait, host.interval());
            }
            Err(Setback::Failed(failure)) => {
                let (again_in, attempts) = patience(&failure, visit.attempt);
                if failure.is_overload() {
                    host.postpone(again_in)?;
                }
                if visit.attempt < attempts {
                    self.frontier.put_off(visit, again_in)?;
                    let reason = format!("{}, again in {again_in:?}", failure.reason);
                    report(&Report::PutOff { url, reason });
                    return Ok(());
                }
                Page::failed(&visit, failure).into()
            }
            Err(Setback::Broken(error)) => return Err(error.into()),
        };
        let outcome = match outcome {
            Outcome::Visited(visited) => {
                let outcome = visited.page.outcome();
                self.frontier.record(visit, *visited)?;
                outcome
            }
            Outcome::Unchanged => {
                self.frontier.keep(visit)?;
                UNCHANGED.to_owned()
            }
        };
        report(&Report::Recorded { url, outcome });
        Ok(())
    }

    fn visit(&self, visit: &Visit, host: &Host) -> Result<Outcome, Setback> {
        if !self.visitor.may_visit(&visit.url, host)? {
            return Ok(Page::skipped(visit, "robots.txt forbids it").into());
        }
        let turn = host.turn()?;
        report(&Report::Fetching {
            url: visit.url.to_string(),
        });
        Ok(self.visitor.visit(visit, turn)?)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock());
        self.changed.notify_all();
    }

    /// Waits that long, unless the crawl stops before.
    fn stops_within(&self, time: Duration) -> bool {
        let mut state = self.state.lock();
        self.changed
            .wait_while_for(&mut state, |state| !state.stopping, time);
        state.stopping
    }

    /// Until it is time to end the process; whatever is in hand then returns to the queue.
    fn wait(&self) -> Result<()> {
        let mut state = self.state.lock();
        self.changed.wait_while(&mut state, |state| {
            !state.stopping && state.broken.is_none()
        });
        self.changed.wait_while_for(
            &mut state,
            |state| state.busy > 0 && state.broken.is_none(),
            GRACE,
        );
        state.broken.take().map_or(Ok(()), Err)
    }
}

/// How long to stay away after a failure, and how many attempts to make in all.
fn patience(failure: &Failure, attempt: u8) -> (Duration, u8) {
    let delay = FIRST_DELAY * 2u32.pow(u32::from(attempt) - 1);
    let delay = failure.retry_after.unwrap_or(delay).min(LONGEST_DELAY);
    let attempts = if failure.is_overload() {
        ATTEMPTS_AT_OVERLOAD
    } else {
        ATTEMPTS
    };
    (delay, attempts)
}

/// A supervisor that is no longer there to read it has closed our input, too.
fn report(report: &Report) {
    if let Ok(mut line) = serde_json::to_vec(report) {
        line.push(b'\n');
        let mut out = io::stdout().lock();
        let _ = out.write_all(&line).and_then(|()| out.flush());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(status: Option<u16>, retry_after: Option<u64>) -> Failure {
        Failure {
            status,
            reason: String::new(),
            retry_after: retry_after.map(Duration::from_secs),
        }
    }

    #[test]
    fn the_host_says_how_long_to_stay_away_or_it_doubles() {
        let seconds = |failure: &Failure, attempt| patience(failure, attempt).0.as_secs_f64();
        let busy = failure(Some(503), None);
        assert_eq!(
            [1, 2, 3, 7].map(|attempt| seconds(&busy, attempt)),
            [0.5, 1.0, 2.0, 32.0]
        );
        assert_eq!(seconds(&failure(Some(429), Some(7)), 5), 7.0);
        assert_eq!(
            seconds(&failure(Some(429), Some(86_400)), 1),
            LONGEST_DELAY.as_secs_f64()
        );
    }

    #[test]
    fn a_host_that_has_enough_gets_more_attempts_than_a_page_that_is_broken() {
        let attempts = |status| patience(&failure(status, None), 1).1;
        assert_eq!(attempts(None), ATTEMPTS);
        assert_eq!(attempts(Some(500)), ATTEMPTS);
        assert!(
            [429, 503]
                .iter()
                .all(|&status| attempts(Some(status)) > ATTEMPTS)
        );
    }
}
