//! Compresses files by a pool of worker processes. They share a `Queue`, in which a directory is a job that becomes jobs for what is
//! in it, and what comes of a job is committed with its end: kill any of the processes at any moment, or all of them, and each file is
//! compressed once. What fails is tried again, ever later, and what can't be done is a dead letter.
//!
//! ```text
//! cargo run --release -p diskette --example jobs -- /usr/share/doc --workers 4 --report report.html
//! ```
//!
//! - `job.rs`: a job, and all that the processes share. Read this first.
//! - `work.rs`: a worker process, and the transaction that ends a job. `produce.rs`: where jobs come from, `gzip.rs`: a file is
//!   compressed.
//! - `diary.rs`: when what happened, noted in the store. `history.rs`: the same, read again, `clock.rs`: on a clock that stands
//!   still between two runs.
//! - `watch.rs`: keeps the workers running, and shows how far they are.
//! - `summary.rs`: a table of all that happened, `latencies.rs`: how long it took, `dead.rs`: what was given up. `report.rs`: a page of
//!   HTML with a bar for each attempt.
#![allow(unreachable_pub, reason = "a program has no public API")]
#![allow(
    clippy::disallowed_methods,
    reason = "diskette's clock is diskette's, this is its user"
)]

mod clock;
mod dead;
mod diary;
mod gzip;
mod history;
mod job;
mod latencies;
mod options;
mod produce;
mod report;
mod summary;
mod watch;
mod work;

use std::fs::File;
use std::io;
use std::process::{self, ExitCode};

use anyhow::{Context, Result, bail};
use clap::Parser;
use diskette::{Lock, Stop};

use history::History;
use job::Works;
use options::Options;
use summary::Summary;

fn main() -> ExitCode {
    let options = Options::parse();
    let outcome = match options.worker {
        Some(number) => work::run(number, &options).map(|()| ExitCode::SUCCESS),
        None => run(&options),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("jobs: {error:#}");
        ExitCode::FAILURE
    })
}

/// This program, as it is started.
fn run(options: &Options) -> Result<ExitCode> {
    let stop = stop_on_signals()?;
    let works = Works::open(options, &stop)?;
    let Some(_alone) = Lock::new(&works.store, "run")?.try_lock()? else {
        bail!("another run is at work in {}", options.data.display());
    };
    let report = options
        .report
        .as_deref()
        .map(|path| File::create(path).with_context(|| format!("cannot write {}", path.display())));
    let report = report.transpose()?;

    produce::push_what_is_named(&works, options)?;
    let is_complete = works.jobs.is_idle()? || watch::run(&works, options, &stop)?;

    let history = History::of(&works)?;
    let summary = Summary::of(&works, &history)?;
    summary.write(io::stdout().lock())?;
    if let Some(file) = report {
        report::write(&history, &summary, file).context("cannot write the report")?;
    }
    Ok(match is_complete {
        false => ExitCode::from(130),
        true if summary.dead.is_empty() => ExitCode::SUCCESS,
        true => ExitCode::FAILURE,
    })
}

/// The first Ctrl-C or SIGTERM stops in good order, the second at once. Both leave what another run goes on with.
fn stop_on_signals() -> Result<Stop> {
    let stop = Stop::new();
    let on_signal = stop.clone();
    let handler = move || match on_signal.is_stopped() {
        false => on_signal.stop(),
        true => process::exit(130),
    };
    ctrlc::set_handler(handler).context("cannot listen for Ctrl-C")?;
    Ok(stop)
}
