//! One HTTP request, with a bound on everything.

use std::borrow::Cow;
use std::error::Error;
use std::io::Read;
use std::time::{Duration, SystemTime};

use encoding_rs::{Encoding, UTF_8};
use reqwest::blocking::{Client, Response};
use reqwest::header::{CONTENT_TYPE, HeaderName, LOCATION, RETRY_AFTER};
use reqwest::{StatusCode, redirect};
use url::Url;

pub struct Fetcher {
    client: Client,
    timeout: Duration,
    max_body: u64,
}

/// An answer of the server, a 404 as well as a page.
pub struct Fetched {
    pub status: u16,
    /// Without its parameters, in lower case; empty if the server gave none.
    pub content_type: String,
    charset: Option<&'static Encoding>,
    /// Where a redirect leads: never followed here, the target is a page of its own.
    pub location: Option<String>,
    pub body: Vec<u8>,
    /// The body was longer than the limit.
    pub truncated: bool,
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
            timeout,
            max_body,
        })
    }

    /// # Errors
    ///
    /// A [`Failure`] is worth another try.
    pub fn get(&self, url: &Url) -> Result<Fetched, Failure> {
        // Given to each request, the timeout spans its body; given to the client, each read of it.
        let response = self
            .client
            .get(url.as_str())
            .timeout(self.timeout)
            .send()
            .map_err(Failure::of)?;
        let status = response.status();
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            return Err(Failure {
                status: Some(status.as_u16()),
                reason: status.to_string(),
                retry_after: header(&response, RETRY_AFTER)
                    .and_then(|when| retry_after(when, SystemTime::now())),
            });
        }
        let (content_type, charset) =
            content_type(header(&response, CONTENT_TYPE).unwrap_or_default());
        let location = header(&response, LOCATION)
            .filter(|_| status.is_redirection())
            .map(str::to_owned);
        let (body, truncated) = self.body(response)?;
        Ok(Fetched {
            status: status.as_u16(),
            content_type,
            charset,
            location,
            body,
            truncated,
        })
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
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    pub fn is_html(&self) -> bool {
        matches!(
            self.content_type.as_str(),
            "text/html" | "application/xhtml+xml"
        )
    }

    /// The body in the encoding that its mark, its header or its first lines name.
    pub fn text(&self) -> Cow<'_, str> {
        self.charset
            .or_else(|| named_in(&self.body))
            .unwrap_or(UTF_8)
            .decode(&self.body)
            .0
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

fn content_type(header: &str) -> (String, Option<&'static Encoding>) {
    let (kind, parameters) = header.split_once(';').unwrap_or((header, ""));
    let charset = parameters
        .split(';')
        .filter_map(|parameter| parameter.split_once('='));
    let charset = charset
        .filter(|(name, _)| name.trim().eq_ignore_ascii_case("charset"))
        .map(|(_, value)| value);
    let charset = charset
        .map(|value| value.trim().trim_matches('"'))
        .find_map(|label| Encoding::for_label(label.as_bytes()));
    (kind.trim().to_ascii_lowercase(), charset)
}

/// `<meta charset=...>` or its elder sister, within the kilobyte in which HTML wants it.
fn named_in(html: &[u8]) -> Option<&'static Encoding> {
    let head = html[..html.len().min(1024)].to_ascii_lowercase();
    let head = String::from_utf8_lossy(&head);
    let (_, label) = head.split_once("charset=")?;
    let label = label
        .trim_start_matches(['"', '\''])
        .split(['"', '\'', ' ', ';', '/', '>'])
        .next()?;
    Encoding::for_label(label.as_bytes())
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
    fn a_content_type_has_a_kind_and_a_charset() {
        assert_eq!(
            content_type("Text/HTML; Charset=\"iso-8859-2\""),
            ("text/html".into(), Some(encoding_rs::ISO_8859_2))
        );
        assert_eq!(content_type("image/png"), ("image/png".into(), None));
        assert_eq!(content_type(""), (String::new(), None));
    }

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

    #[test]
    fn a_page_names_its_own_encoding() {
        assert_eq!(
            named_in(b"<html><META Charset='koi8-r'>"),
            Some(encoding_rs::KOI8_R)
        );
        assert_eq!(
            named_in(b"<meta http-equiv=x content='text/html; charset=big5'>"),
            Some(encoding_rs::BIG5)
        );
        assert_eq!(named_in(b"<p>no charset"), None);
    }
}
