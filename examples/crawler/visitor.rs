//! From a URL to its page and links.

use std::panic::{self, AssertUnwindSafe};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use url::Url;

use crate::Options;
use crate::fetch::{Failure, Fetched, Fetcher, Setback};
use crate::hosts::{Host, Turn};
use crate::links::{self, Document};
use crate::normal::normal;
use crate::outgoing::Outgoing;
use crate::page::{Outcome, Page, Visit, Visited};
use crate::plan::Plan;
use crate::robots::{Answers, Rules};
use crate::scope;

const MOST_REDIRECTS: u8 = 10;

pub struct Visitor {
    plan: Plan,
    fetcher: Fetcher,
    rules: Rules,
    /// For one page, from the connection to its last link.
    timeout: Duration,
}

impl Visitor {
    pub fn new(plan: Plan, answers: Answers, options: &Options) -> Result<Self> {
        let proxied = !plan.starts.iter().all(scope::is_loopback);
        let timeout = Duration::from_secs(options.timeout);
        let fetcher = Fetcher::new(&options.user_agent, timeout, options.max_body, proxied);
        Ok(Self {
            plan,
            fetcher: fetcher.context("cannot make an HTTP client")?,
            rules: Rules::for_agent(&options.user_agent, answers),
            timeout,
        })
    }

    /// Whether the host lets us; `robots.txt` is fetched for the first of its URLs, in a turn of its own.
    pub fn may_visit(&self, url: &Url, host: &Host) -> Result<bool, Setback> {
        self.rules.allow(url, host, &self.fetcher)
    }

    /// Fetches a page and reads it.
    pub fn visit(&self, visit: &Visit, turn: Turn) -> Result<Outcome, Failure> {
        let started = Instant::now();
        let fetched = self.fetcher.get(&visit.url, visit.seen.as_ref())?;
        drop(turn);
        if visit.seen.is_some() && fetched.is_unchanged() {
            return Ok(Outcome::Unchanged);
        }
        let milliseconds = started.elapsed().as_millis() as u64;
        let document = if fetched.is_html() {
            read(&fetched, &visit.url, started + self.timeout)?
        } else {
            Document {
                wishes: fetched.wishes,
                ..Document::default()
            }
        };
        let error = fetched.encoding.as_ref();
        let mut page = Page {
            status: Some(fetched.status),
            bytes: fetched.body.len() as u64,
            truncated: fetched.truncated,
            links: document.links.len() as u32,
            noindex: document.wishes.noindex,
            nofollow: document.wishes.nofollow,
            title: document.title,
            milliseconds,
            error: error.map(|encoding| format!("encoded as {encoding}, which was not asked for")),
            ..Page::of(visit)
        };
        let outgoing = Outgoing::of(&document.links);
        let mut next = self.links(visit, document.links);
        if let Some(target) = target(&fetched, &visit.url) {
            page.redirect = Some(target.to_string());
            if visit.redirects == MOST_REDIRECTS {
                page.error = Some(format!("more than {MOST_REDIRECTS} redirects in a row"));
            } else if self.plan.scope.contains(&self.plan.starts, &target) {
                next.push(visit.redirect(target));
            }
        }
        page.content_type = fetched.content.kind;
        page.seen = fetched.seen;
        Ok(Outcome::Visited(Box::new(Visited {
            page,
            outgoing,
            next,
        })))
    }

    fn links(&self, visit: &Visit, mut links: Vec<Url>) -> Vec<Visit> {
        if !self.plan.allows_depth(visit.depth + 1) {
            return Vec::new();
        }
        links.retain(|link| self.plan.scope.contains(&self.plan.starts, link));
        links.into_iter().map(|link| visit.link(link)).collect()
    }
}

/// A page on which the parser gives up with a panic is a page that failed, not a worker.
fn read(fetched: &Fetched, url: &Url, deadline: Instant) -> Result<Document, Failure> {
    let document = panic::catch_unwind(AssertUnwindSafe(|| {
        let text = fetched.content.text(&fetched.body);
        links::read(&text, url, fetched.wishes, deadline)
    }));
    let reason = match document {
        Ok(Ok(document)) => return Ok(document),
        Ok(Err(_)) => "there was no time left to read its HTML",
        Err(_) => "its HTML cannot be parsed",
    };
    Err(Failure {
        status: Some(fetched.status),
        reason: reason.to_owned(),
        retry_after: None,
    })
}

fn target(fetched: &Fetched, url: &Url) -> Option<Url> {
    let location = fetched.location.as_deref()?;
    normal(url.join(location).ok()?)
}
