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
use crate::fetch::Failure;
use crate::frontier::Frontier;
use crate::page::{Page, Visit};
use crate::visitor::Visitor;

const ATTEMPTS: u8 = 3;
/// Before the second attempt; twice as long before each further one.
const FIRST_DELAY: Duration = Duration::from_millis(500);
/// However long a server asks us to stay away.
const LONGEST_DELAY: Duration = Duration::from_secs(60);
/// How long the pages in hand may take when the crawl stops; the rest returns to the queue.
const GRACE: Duration = Duration::from_secs(3);
/// How often an idle thread looks around.
const IDLE: Duration = Duration::from_millis(500);

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
        visitor: Visitor::new(plan, options)?,
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
        if self.stops_within(visit.wait()) {
            return Ok(visit.release()?);
        }
        let url = visit.url.to_string();
        let (page, links) = match self.visit(&visit) {
            Ok(visited) => visited,
            Err(failure) if visit.attempt < ATTEMPTS => {
                let delay = FIRST_DELAY * 2u32.pow(u32::from(visit.attempt) - 1);
                let delay = failure.retry_after.unwrap_or(delay).min(LONGEST_DELAY);
                self.frontier.put_off(visit, delay)?;
                report(&Report::PutOff {
                    url,
                    reason: failure.reason,
                });
                return Ok(());
            }
            Err(failure) => (Page::failed(&visit, failure), Vec::new()),
        };
        let outcome = page.outcome();
        self.frontier.record(visit, page, links)?;
        report(&Report::Recorded { url, outcome });
        Ok(())
    }

    fn visit(&self, visit: &Visit) -> Result<(Page, Vec<Visit>), Failure> {
        if !self.visitor.may_visit(&visit.url)? {
            return Ok((Page::skipped(visit, "robots.txt forbids it"), Vec::new()));
        }
        report(&Report::Fetching {
            url: visit.url.to_string(),
        });
        self.visitor.visit(visit)
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

/// A supervisor that is no longer there to read it has closed our input, too.
fn report(report: &Report) {
    if let Ok(mut line) = serde_json::to_vec(report) {
        line.push(b'\n');
        let mut out = io::stdout().lock();
        let _ = out.write_all(&line).and_then(|()| out.flush());
    }
}
