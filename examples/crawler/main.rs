//! A web crawler whose workers are processes. They share a todo `Deque`, a pages `Index`, a `Cache` of what hosts ask of
//! crawlers, and for each host a `Throttle` and a `BoundedSemaphore`: kill any of them at any moment, and no page is lost or recorded
//! twice, and no host is asked more often than it should be.
//!
//! ```text
//! cargo run --release -p diskette --example crawler              # the Rust book, served by the example itself
//! cargo run --release -p diskette --example crawler -- https://example.org/ --workers 8 --rate 5/s --per-host 2
//! ```
//!
//! - `frontier.rs`: what the processes share, and the page transaction. Read this first.
//! - `hosts.rs`: how often each host is asked, by all processes together.
//! - `worker.rs`: a worker process, the loop around the frontier. `visitor.rs`: what it does with
//!   a URL (`fetch.rs`, `content.rs`, `robots.rs`, `links.rs`, `normal.rs`, `scope.rs`). `page.rs`: the record.
//! - `tree.rs`, `outline.rs`: the two ways to read HTML, for pages that people write and for all others.
//!   `findings.rs`, `wishes.rs`: what is looked for.
//! - `supervisor.rs`: keeps the workers alive and knows when to end. `progress.rs`, `activity.rs`, `summary.rs`:
//!   what people see. `report.rs`: a page of HTML about the crawl.
//! - `plan.rs`: what a crawl set out to do, `site.rs`: the site that every machine has.
#![allow(unreachable_pub, reason = "a program has no public API")]
#![allow(
    clippy::disallowed_methods,
    reason = "diskette's clock is diskette's, this is its user"
)]

mod activity;
mod content;
mod fetch;
mod findings;
mod frontier;
mod hosts;
mod links;
mod normal;
mod options;
mod outgoing;
mod outline;
mod page;
mod plan;
mod progress;
mod report;
mod robots;
mod scope;
mod site;
mod summary;
mod supervisor;
mod tree;
mod visitor;
mod wishes;
mod worker;

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Parser;
use url::Url;

use frontier::{Counts, Frontier};
use hosts::Hosts;
use options::{Cli, Options, Role};
use plan::Plan;
use site::Docs;
use summary::{Figures, Summary, many};
use supervisor::{End, Run};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match &cli.role {
        Some(Role::Worker(options)) => return worker::run(options),
        None => crawl(&cli.options),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("crawler: {error:#}");
        ExitCode::FAILURE
    })
}

fn crawl(options: &Options) -> Result<ExitCode> {
    // Before the crawl, so that a slip of the pen doesn't cost one.
    let export = created(options.export.as_deref())?;
    let report = created(options.report.as_deref())?;
    let frontier = Frontier::open(&options.data)?;
    Hosts::new(frontier.store(), options).begin(frontier.origins()?)?;
    if options.fresh {
        frontier.clear()?;
    }

    let started = Instant::now();
    let run = Arc::new(Run::default());
    let (plan, end) = begin_or_go_on(&frontier, options, &run)?;
    let seconds = started.elapsed().as_secs_f64();

    if let Some(file) = export {
        frontier.export(file).context("cannot export the pages")?;
    }
    if let Some(file) = report {
        report::write(&frontier, &plan, file).context("cannot write the report")?;
    }
    let summary = Summary::of(&frontier)?;
    let figures = Figures {
        pages: summary.pages,
        fetches: run.fetches.load(Relaxed),
        errors: summary.errors,
        bytes: summary.bytes,
        queued: frontier.counts()?.queued,
        seconds,
        workers: options.workers,
        unchanged: run.unchanged.load(Relaxed),
        restarts: run.restarts.load(Relaxed),
    };
    let mut out = io::stdout().lock();
    summary.write(&plan, end, &figures, &mut out)?;
    advise(&frontier, &plan, &summary)?;
    if options.json {
        writeln!(out, "{}", serde_json::to_string(&figures)?)?;
    }
    Ok(match end {
        End::Interrupted => ExitCode::from(130),
        _ if summary.is_failure() => ExitCode::FAILURE,
        _ => ExitCode::SUCCESS,
    })
}

fn created(path: Option<&Path>) -> Result<Option<File>> {
    let file = path
        .map(|path| File::create(path).with_context(|| format!("cannot write {}", path.display())));
    file.transpose()
}

fn begin_or_go_on(frontier: &Frontier, options: &Options, run: &Arc<Run>) -> Result<(Plan, End)> {
    let data = options.data.display();
    let workers = many(options.workers, "worker process", "worker processes");
    let (plan, _site) = match frontier.plan()? {
        None => {
            let (plan, site) = Plan::new(options)?;
            if plan.docs == Some(Docs::Bundled) {
                eprintln!("this toolchain has no documentation (rustup component add rust-docs)");
            }
            eprintln!("crawling {plan} with {workers}, into {data}");
            frontier.begin(&plan)?;
            (plan, site)
        }
        Some(plan) => {
            plan.agrees_with(options)?;
            if let Some(age) = options.revisit {
                frontier.revisit(age)?;
            }
            let Counts { pages, queued } = frontier.counts()?;
            if queued == 0 {
                eprintln!(
                    "{data} holds the whole crawl of {plan}; --revisit AGE asks for its pages again, --fresh begins it anew"
                );
                return Ok((plan, End::Complete));
            }
            eprintln!(
                "going on with {plan} in {data}, {pages} done and {queued} queued, with {workers}; \
                 --fresh begins anew"
            );
            frontier.recall()?;
            let site = plan.resume()?;
            (plan, site)
        }
    };
    let end = supervisor::run(frontier, options, run)?;
    Ok((plan, end))
}

/// What would puzzle those who expected more.
fn advise(frontier: &Frontier, plan: &Plan, summary: &Summary) -> Result<()> {
    if summary.is_failure() {
        eprintln!("crawler: not a single page could be had");
    }
    for start in &plan.starts {
        let redirect = frontier.page(start)?.and_then(|page| page.redirect);
        if let Some(target) = redirect.and_then(|target| Url::parse(&target).ok())
            && !plan.scope.contains(&plan.starts, &target)
        {
            eprintln!("crawler: {start} has moved to {target}, out of scope: start there");
        }
    }
    Ok(())
}
