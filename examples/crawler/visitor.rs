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
use crate::page::{Page, Visit};
use crate::plan::Plan;
use crate::robots::{Answers, Rules};
use crate::scope;

const MOST_REDIRECTS: u8 = 10;

pub struct Visitor {
    plan: Plan,
    fetcher: Fetcher,
    rules: Rules,
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
        })
    }

    /// Whether the host lets us; `robots.txt` is fetched for the first of its URLs, in a turn of its own.
    pub fn may_visit(&self, url: &Url, host: &Host) -> Result<bool, Setback> {
        self.rules.allow(url, host, &self.fetcher)
    }

    /// Fetches a page and reads it.
    pub fn visit(&self, visit: &Visit, turn: Turn) -> Result<(Page, Vec<Visit>), Failure> {
        let started = Instant::now();
        let fetched = self.fetcher.get(&visit.url)?;
        drop(turn);
        let milliseconds = started.elapsed().as_millis() as u64;
        let document = if fetched.is_success() && fetched.is_html() {
            read(&fetched, &visit.url)?
        } else {
            Document::default()
        };
        let mut page = Page {
            status: Some(fetched.status),
            bytes: fetched.body.len() as u64,
            truncated: fetched.truncated,
            links: document.links.len() as u32,
            title: document.title,
            milliseconds,
            ..Page::of(visit)
        };
        let mut next = self.links(visit, document.links);
        if let Some(target) = target(&fetched, &visit.url) {
            page.redirect = Some(target.to_string());
            if visit.redirects == MOST_REDIRECTS {
                page.error = Some(format!("more than {MOST_REDIRECTS} redirects in a row"));
            } else if self.plan.scope.contains(&self.plan.starts, &target) {
                next.push(visit.redirect(target));
            }
        }
        page.content_type = fetched.content_type;
        Ok((page, next))
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
fn read(fetched: &Fetched, url: &Url) -> Result<Document, Failure> {
    let document = panic::catch_unwind(AssertUnwindSafe(|| links::read(&fetched.text(), url)));
    document.map_err(|_| Failure {
        status: Some(fetched.status),
        reason: "its HTML cannot be parsed".to_owned(),
        retry_after: None,
    })
}

fn target(fetched: &Fetched, url: &Url) -> Option<Url> {
    let location = fetched.location.as_deref()?;
    normal(url.join(location).ok()?)
}
