//! A URL on its way through the crawl: to be visited, then visited.

use serde::{Deserialize, Serialize};
use url::Url;

use crate::fetch::Failure;
use crate::frontier::now;
use crate::outgoing::Outgoing;

/// A URL to visit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Visit {
    pub url: Url,
    /// Links from a start URL, by the way on which it was found first.
    pub depth: u32,
    /// Redirects in a row that led here.
    pub redirects: u8,
    /// The first is 1.
    pub attempt: u8,
    /// What was seen there, if it was visited before.
    #[serde(default)]
    pub seen: Option<Seen>,
}

/// By which a server tells whether a page has changed since it gave it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    pub etag: Option<String>,
    pub last_modified: Option<String>,
}

/// What became of a URL.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Page {
    /// `None` if no server answered, or none was asked.
    pub status: Option<u16>,
    pub content_type: String,
    pub title: Option<String>,
    pub bytes: u64,
    /// The body is longer than what was read of it.
    pub truncated: bool,
    /// Links on the page to other pages, in scope or not.
    pub links: u32,
    /// It asks not to be in an index: whoever makes one of this crawl should heed it.
    pub noindex: bool,
    /// It asks that its links are not followed, and none were.
    pub nofollow: bool,
    pub redirect: Option<String>,
    pub depth: u32,
    pub attempts: u8,
    pub milliseconds: u64,
    /// When it was visited, in microseconds since 1970.
    pub at: u64,
    #[serde(default)]
    pub seen: Seen,
    /// It is queued to be visited again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub due: bool,
    /// Why it could not be had, after several attempts.
    pub error: Option<String>,
    /// Why it was not asked for.
    pub skipped: Option<String>,
}

/// What a visit came to.
pub enum Outcome {
    Visited(Box<Visited>),
    /// It is what was seen before.
    Unchanged,
}

/// A page visited, and where it leads.
pub struct Visited {
    pub page: Page,
    /// All links on it.
    pub outgoing: Outgoing,
    /// Those of them to be visited, with where it has moved.
    pub next: Vec<Visit>,
}

impl From<Page> for Outcome {
    fn from(page: Page) -> Self {
        Self::Visited(Box::new(Visited {
            page,
            outgoing: Outgoing::default(),
            next: Vec::new(),
        }))
    }
}

impl Visit {
    pub fn start(url: Url) -> Self {
        Self {
            url,
            depth: 0,
            redirects: 0,
            attempt: 1,
            seen: None,
        }
    }

    /// To a link on the page visited.
    pub fn link(&self, url: Url) -> Self {
        Self {
            depth: self.depth + 1,
            ..Self::start(url)
        }
    }

    /// To where the page visited has moved.
    pub fn redirect(&self, url: Url) -> Self {
        Self {
            depth: self.depth,
            redirects: self.redirects + 1,
            ..Self::start(url)
        }
    }

    /// Of a page that was visited before.
    pub fn anew(url: Url, page: &Page) -> Self {
        Self {
            depth: page.depth,
            seen: Some(page.seen.clone()),
            ..Self::start(url)
        }
    }

    pub fn again(&self) -> Self {
        Self {
            attempt: self.attempt + 1,
            ..self.clone()
        }
    }
}

impl Page {
    /// One of which nothing is known yet but how it was found.
    pub fn of(visit: &Visit) -> Self {
        Self {
            depth: visit.depth,
            attempts: visit.attempt,
            at: now(),
            ..Self::default()
        }
    }

    pub fn failed(visit: &Visit, failure: Failure) -> Self {
        Self {
            status: failure.status,
            error: Some(failure.reason),
            ..Self::of(visit)
        }
    }

    pub fn skipped(visit: &Visit, reason: &str) -> Self {
        Self {
            attempts: 0,
            skipped: Some(reason.to_owned()),
            ..Self::of(visit)
        }
    }

    /// In a word or two: its status, or why it has none.
    pub fn outcome(&self) -> String {
        match (self.status, &self.error, &self.skipped) {
            (Some(status), ..) => status.to_string(),
            (None, Some(_), _) => "failed".to_owned(),
            _ => "skipped".to_owned(),
        }
    }
}
