//! What the crawl found, worked out by all cores.

use std::collections::BTreeMap;
use std::io::Write;

use anyhow::Result;
use indicatif::{DecimalBytes, HumanCount};
use rayon::iter::{ParallelBridge, ParallelIterator};
use serde::Serialize;

use crate::frontier::Frontier;
use crate::page::Page;
use crate::plan::Plan;
use crate::supervisor::End;

const SLOWEST: usize = 3;
/// Of each kind, however odd the site.
const MOST_LINES: usize = 20;

/// The crawl and this run of it, in numbers.
#[derive(Debug, Serialize)]
pub struct Figures {
    /// Visited, in all runs.
    pub pages: u64,
    /// Requests for pages sent by this run.
    pub fetches: u64,
    /// Those of them that were what they had been before.
    pub unchanged: u64,
    /// Pages that could not be had.
    pub errors: u64,
    pub bytes: u64,
    /// URLs not visited yet.
    pub queued: u64,
    pub seconds: f64,
    pub workers: usize,
    /// Workers that died and were started again.
    pub restarts: u64,
}

#[derive(Debug, Default)]
pub struct Summary {
    pub pages: u64,
    pub errors: u64,
    pub bytes: u64,
    /// By status and content type.
    kinds: BTreeMap<(u16, String), Kind>,
    /// Of those without an answer worth keeping: the reason, and an example.
    reasons: BTreeMap<String, (u64, String)>,
    /// Milliseconds and URL, slowest first.
    slowest: Vec<(u64, String)>,
}

#[derive(Debug, Default)]
struct Kind {
    pages: u64,
    bytes: u64,
}

/// As people say it: 1 page, 1,000 pages.
pub fn many(count: impl TryInto<u64>, one: &str, more: &str) -> String {
    let count = count.try_into().unwrap_or(u64::MAX);
    format!(
        "{} {}",
        HumanCount(count),
        if count == 1 { one } else { more }
    )
}

impl Summary {
    pub fn of(frontier: &Frontier) -> Result<Self> {
        let pages = frontier.pages().par_bridge();
        pages
            .try_fold(Self::default, |summary, page| {
                page.map(|(url, page)| summary.with(url, page))
            })
            .try_reduce(Self::default, |one, other| Ok(one.and(other)))
    }

    /// Not a single page could be had.
    pub fn is_failure(&self) -> bool {
        self.kinds.is_empty() && !self.reasons.is_empty()
    }

    pub fn write(
        &self,
        plan: &Plan,
        end: End,
        figures: &Figures,
        mut out: impl Write,
    ) -> Result<()> {
        let (pages, bytes) = (many(self.pages, "page", "pages"), DecimalBytes(self.bytes));
        writeln!(out, "{pages} of {plan}, {bytes}")?;
        for ((status, content_type), kind) in self.kinds.iter().take(MOST_LINES) {
            let pages = HumanCount(kind.pages).to_string();
            let bytes = DecimalBytes(kind.bytes).to_string();
            writeln!(out, "{pages:>9}  {status}  {bytes:>10}  {content_type}")?;
        }
        for (reason, (pages, example)) in self.reasons.iter().take(MOST_LINES) {
            let pages = HumanCount(*pages).to_string();
            writeln!(out, "{pages:>9}  {reason}: {example}")?;
        }
        for (milliseconds, url) in &self.slowest {
            writeln!(out, "{milliseconds:>6} ms  {url}")?;
        }
        if figures.fetches > 0 {
            let fetches = many(figures.fetches, "fetch", "fetches");
            let workers = many(figures.workers, "worker process", "worker processes");
            let (seconds, rate) = (figures.seconds, figures.fetches as f64 / figures.seconds);
            write!(
                out,
                "{fetches} in {seconds:.1} s by {workers}, {rate:.0} a second"
            )?;
            if figures.unchanged > 0 {
                write!(out, ", {} unchanged", HumanCount(figures.unchanged))?;
            }
            match figures.restarts {
                0 => writeln!(out)?,
                restarts => writeln!(out, ", {}", many(restarts, "restart", "restarts"))?,
            }
        }
        let queued = HumanCount(figures.queued);
        match end {
            End::Complete => {}
            End::Limit => writeln!(out, "{queued} queued: go on with a greater --max-pages")?,
            End::Interrupted => writeln!(out, "{queued} queued: run again to go on")?,
        }
        Ok(())
    }

    fn with(mut self, url: String, page: Page) -> Self {
        self.pages += 1;
        self.bytes += page.bytes;
        self.errors += u64::from(page.error.is_some());
        match (page.status, page.error.or(page.skipped)) {
            (Some(status), None) => {
                let content_type = match page.content_type.as_str() {
                    "" => "no content type".to_owned(),
                    _ => page.content_type,
                };
                let kind = self.kinds.entry((status, content_type)).or_default();
                kind.pages += 1;
                kind.bytes += page.bytes;
                self.slowest.push((page.milliseconds, url));
            }
            (_, reason) => {
                self.reasons
                    .entry(reason.unwrap_or_default())
                    .or_insert((0, url))
                    .0 += 1;
            }
        }
        self.with_slowest_only()
    }

    fn and(mut self, other: Self) -> Self {
        self.pages += other.pages;
        self.errors += other.errors;
        self.bytes += other.bytes;
        for (key, kind) in other.kinds {
            let sum = self.kinds.entry(key).or_default();
            sum.pages += kind.pages;
            sum.bytes += kind.bytes;
        }
        for (reason, (pages, example)) in other.reasons {
            self.reasons.entry(reason).or_insert((0, example)).0 += pages;
        }
        self.slowest.extend(other.slowest);
        self.with_slowest_only()
    }

    fn with_slowest_only(mut self) -> Self {
        self.slowest.sort_unstable_by(|one, other| other.cmp(one));
        self.slowest.truncate(SLOWEST);
        self
    }
}
