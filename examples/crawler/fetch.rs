//! One HTTP request, with a bound on everything.

use std::error::Error;
use std::io::Read;
use std::time::{Duration, SystemTime};

use reqwest::blocking::{Client, Response};
use reqwest::header::{
    CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderName, IF_MODIFIED_SINCE, IF_NONE_MATCH,
    LAST_MODIFIED, LOCATION, RETRY_AFTER,
};
use reqwest::{StatusCode, redirect};
use url::Url;

use crate::content::Content;
use crate::page::Seen;
use crate::robots;
use crate::wishes::Wishes;

pub struct Fetcher {
    client: Client,
    product: String,
    timeout: Duration,
    max_body: u64,
}

/// An answer of the server, a 404 as well as a page.
pub struct Fetched {
    pub status: u16,
    pub content: Content,
    /// What its header asks of crawlers.
    pub wishes: Wishes,
    /// Where a redirect leads: never followed here, the target is a page of its own.
    pub location: Option<String>,
    pub body: Vec<u8>,
    /// The body was longer than the limit.
    pub truncated: bool,
    /// The body is encoded in a way that was not asked for.
    pub encoding: Option<String>,
    pub seen: Seen,
}

/// No answer, or one that says to come back later.
#[derive(Debug)]
pub struct Failure {
    pub status: Option<u16>,
    pub reason: String,
    pub retry_after: Option<Duration>,
}

/// Why a URL is not visited now.
#[derive(Debug)]
pub enum Setback {
    /// Its host has enough to do: not before that long.
    NotYet(Duration),
    Failed(Failure),
    /// It is not the host's fault.
    Broken(diskette::Error),
}

impl From<Failure> for Setback {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<diskette::Error> for Setback {
    fn from(error: diskette::Error) -> Self {
        Self::Broken(error)
    }
}

impl Fetcher {
    /// # Errors
    ///
    /// No client can be made, e.g. because the user agent has a line break.
    pub fn new(
        user_agent: &str,
        timeout: Duration,
        max_body: u64,
        proxied: bool,
    ) -> reqwest::Result<Self> {
        // An error here says only that a provider is installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = || {
            let builder = Client::builder()
                .user_agent(user_agent)
                .connect_timeout(timeout)
                .redirect(redirect::Policy::none());
            if proxied { builder } else { builder.no_proxy() }
        };
        // A machine without certificates can still crawl http.
        let client = builder()
            .build()
            .or_else(|_| builder().tls_certs_only([]).build())?;
        Ok(Self {
            client,
            product: robots::product(user_agent).to_owned(),
            timeout,
            max_body,
        })
    }

    /// # Errors
    ///
    /// A [`Failure`] is worth another try.
    pub fn get(&self, url: &Url, seen: Option<&Seen>) -> Result<Fetched, Failure> {
        // Given to each request, the timeout spans its body; given to the client, each read of it.
        let mut request = self.client.get(url.as_str()).timeout(self.timeout);
        if let Some(Seen {
            etag,
            last_modified,
        }) = seen
        {
            let conditions = [(IF_NONE_MATCH, etag), (IF_MODIFIED_SINCE, last_modified)];
            for (name, value) in conditions {
                if let Some(value) = value {
                    request = request.header(name, value);
                }
            }
        }
        let response = request.send().map_err(Failure::of)?;
        let status = response.status();
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            return Err(Failure {
                status: Some(status.as_u16()),
                reason: status.to_string(),
                retry_after: header(&response, RETRY_AFTER)
                    .and_then(|when| retry_after(when, SystemTime::now())),
            });
        }
        let location = header(&response, LOCATION)
            .filter(|_| status.is_redirection())
            .map(str::to_owned);
        // That of gzip is gone with the gzip.
        let encoding = header(&response, CONTENT_ENCODING)
            .filter(|encoding| !encoding.eq_ignore_ascii_case("identity"))
            .map(|encoding| encoding.escape_debug().take(50).collect());
        let content = Content::of(header(&response, CONTENT_TYPE).unwrap_or_default());
        let wishes = self.wishes(&response);
        let seen = Seen {
            etag: header(&response, ETAG).and_then(short),
            last_modified: header(&response, LAST_MODIFIED).and_then(short),
        };
        let (body, truncated) = self.body(response)?;
        Ok(Fetched {
            status: status.as_u16(),
            content,
            wishes,
            location,
            body,
            truncated,
            encoding,
            seen,
        })
    }

    fn wishes(&self, response: &Response) -> Wishes {
        let mut wishes = Wishes::default();
        for header in response.headers().get_all("x-robots-tag") {
            wishes |= Wishes::in_header(header.to_str().unwrap_or_default(), &self.product);
        }
        wishes
    }

    fn body(&self, response: Response) -> Result<(Vec<u8>, bool), Failure> {
        let announced = response.content_length().unwrap_or(0).min(self.max_body);
        let mut body = Vec::with_capacity(announced as usize);
        response
            .take(self.max_body + 1)
            .read_to_end(&mut body)
            .map_err(|error| Failure {
                status: None,
                reason: reason(&error),
                retry_after: None,
            })?;
        let truncated = body.len() as u64 > self.max_body;
        body.truncate(self.max_body as usize);
        Ok((body, truncated))
    }
}

impl Fetched {
    /// The server has nothing else than what was seen before.
    pub fn is_unchanged(&self) -> bool {
        self.status == StatusCode::NOT_MODIFIED.as_u16()
    }

    fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// A page whose links can be read.
    pub fn is_html(&self) -> bool {
        self.is_success() && self.encoding.is_none() && self.content.is_html(&self.body)
    }
}

impl Failure {
    /// Whether it is the host that wants to be left alone, not the page that is broken.
    pub fn is_overload(&self) -> bool {
        const ASKS_FOR_QUIET: [StatusCode; 2] = [
            StatusCode::TOO_MANY_REQUESTS,
            StatusCode::SERVICE_UNAVAILABLE,
        ];
        self.status
            .is_some_and(|status| ASKS_FOR_QUIET.iter().any(|quiet| *quiet == status))
    }

    fn of(error: reqwest::Error) -> Self {
        Self {
            status: None,
            reason: reason(&error.without_url()),
            retry_after: None,
        }
    }
}

fn header(response: &Response, name: HeaderName) -> Option<&str> {
    response.headers().get(name)?.to_str().ok()
}

/// Seconds, or a date. What has passed already says nothing.
fn retry_after(header: &str, now: SystemTime) -> Option<Duration> {
    let wait = match header.trim().parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => httpdate::parse_http_date(header)
            .ok()?
            .duration_since(now)
            .ok()?,
    };
    (!wait.is_zero()).then_some(wait)
}

/// What a server may want to be told again, if it is no longer than what people write.
fn short(header: &str) -> Option<String> {
    const LONGEST: usize = 512;
    (header.len() <= LONGEST).then(|| header.to_owned())
}

/// What an error says, and what its first cause says, which is what people look for.
fn reason(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    let (effect, cause) = (error.to_string(), cause.to_string());
    if effect.contains(&cause) {
        effect
    } else {
        format!("{effect}: {cause}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_says_in_seconds_or_by_a_date_when_to_come_back() {
        let now = httpdate::parse_http_date("Wed, 21 Oct 2026 07:28:00 GMT").unwrap();
        let wait = |header| retry_after(header, now).map(|wait| wait.as_secs());
        assert_eq!(wait("120"), Some(120));
        assert_eq!(wait("Wed, 21 Oct 2026 07:28:30 GMT"), Some(30));
        assert_eq!(wait("Wed, 21 Oct 2026 07:27:30 GMT"), None);
        assert_eq!(wait("0"), None);
        assert_eq!(wait("soon"), None);
        assert_eq!(wait("-1"), None);
    }
}
