//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, value_parser};
use url::Url;

use crate::hosts::LEAST_INTERVAL;
use crate::normal::normal;
use crate::scope::Scope;
use crate::site::Docs;

/// Crawls a site with several processes, and goes on where it was stopped.
///
/// Without a URL it crawls the Rust book that comes with the toolchain, served on this machine.
#[derive(Parser)]
#[command(
    name = "crawler",
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true
)]
pub struct Cli {
    #[command(subcommand)]
    pub role: Option<Role>,
    #[command(flatten)]
    pub options: Options,
}

#[derive(Subcommand)]
pub enum Role {
    /// One of the processes that the supervisor starts
    #[command(hide = true)]
    Worker(Options),
}

#[derive(Args)]
pub struct Options {
    /// Where to start
    #[arg(value_name = "URL", value_parser = start)]
    pub urls: Vec<Url>,
    /// Without a URL: which of the toolchain's documentation to crawl [default: book]
    #[arg(long, conflicts_with = "urls")]
    pub docs: Option<Docs>,
    /// Where links may lead [default: prefix, and host with --docs all]
    #[arg(long)]
    pub scope: Option<Scope>,
    /// Links to follow from a start URL, on the way by which a page is found first
    #[arg(long, value_name = "N")]
    pub max_depth: Option<u32>,
    /// Pages to visit, of all workers and runs together
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(1..))]
    pub max_pages: Option<u64>,
    /// Worker processes
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = few)]
    pub workers: usize,
    /// Connections at a time, shared out among the workers
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = few)]
    pub connections: usize,
    /// Requests to one host, of all workers together: 20/s, 30/m, 100/h or none, for no limit
    /// [default: 10/s, and none for this machine]. A Crawl-delay in robots.txt slows it down further
    #[arg(long, value_name = "RATE", value_parser = interval)]
    pub rate: Option<Duration>,
    /// Connections at a time to one host, of all workers together [default: 4, and no limit for this
    /// machine]
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=64))]
    pub per_host: Option<u32>,
    /// Directory that keeps the crawl; another run goes on with it. Or a store in PostgreSQL, for crawlers on several machines:
    /// postgres://user@host/database?store=NAME
    #[arg(long, value_name = "DIR|URL", default_value = "crawl-data")]
    pub data: PathBuf,
    /// Ask again for the pages that were visited longer ago than this, such as 90s, 30m, 1h or 7d; those that
    /// haven't changed since stay as they are
    #[arg(long, value_name = "AGE", value_parser = age)]
    pub revisit: Option<Duration>,
    /// Forget the crawl kept there, and begin anew
    #[arg(long)]
    pub fresh: bool,
    /// Seconds for one page, from the connection to the last of its links
    #[arg(long, value_name = "SECONDS", default_value_t = 20)]
    #[arg(value_parser = value_parser!(u64).range(1..=3600))]
    pub timeout: u64,
    /// Bytes to read of one page
    #[arg(long, value_name = "BYTES", default_value_t = 16 << 20)]
    #[arg(value_parser = value_parser!(u64).range(1..=1 << 30))]
    pub max_body: u64,
    /// What to call ourselves; the part before the slash is what robots.txt is read for
    #[arg(long, value_name = "NAME")]
    #[arg(default_value = concat!("diskette-crawler/", env!("CARGO_PKG_VERSION")))]
    pub user_agent: String,
    /// Write the pages to a file: a line of JSON each, sorted by URL
    #[arg(long, value_name = "FILE")]
    pub export: Option<PathBuf>,
    /// Write a page of HTML about the crawl: what it found, how fast, and where broken links stand
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Print a line of JSON at the end
    #[arg(long)]
    pub json: bool,
}

impl Options {
    /// One at least.
    pub fn connections_per_worker(&self) -> usize {
        self.connections.div_ceil(self.workers)
    }
}

fn start(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| match error {
        url::ParseError::RelativeUrlWithoutBase => format!("{error}; is it https://{text}?"),
        _ => error.to_string(),
    })?;
    normal(url).ok_or_else(|| "only http and https URLs can be crawled".to_owned())
}

/// From one request to the next; zero for no limit.
fn interval(rate: &str) -> Result<Duration, String> {
    if rate == "none" {
        return Ok(Duration::ZERO);
    }
    let interval = rate.split_once('/').and_then(|(count, unit)| {
        let seconds = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            _ => return None,
        };
        Duration::from_secs(seconds).checked_div(count.parse().ok()?)
    });
    interval
        .filter(|interval| *interval >= LEAST_INTERVAL)
        .ok_or_else(|| "a rate is needed such as 20/s, 30/m or 100/h, of 1000/s at most".to_owned())
}

/// Zero for all pages.
fn age(text: &str) -> Result<Duration, String> {
    let unit = match text.chars().last() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3600,
        Some('d') => 24 * 3600,
        _ => 0,
    };
    let count = text.get(..text.len().saturating_sub(1));
    let count = count.and_then(|count| count.parse::<u64>().ok());
    let seconds = count
        .filter(|_| unit > 0)
        .and_then(|count| count.checked_mul(unit));
    seconds
        .map(Duration::from_secs)
        .ok_or_else(|| "an age is needed such as 90s, 30m, 1h or 7d".to_owned())
}

fn few(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (1..=64).contains(number));
    number.ok_or_else(|| "a number from 1 to 64 is needed".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_has_a_unit() {
        let seconds = |text| age(text).ok().map(|age| age.as_secs());
        assert_eq!(seconds("0s"), Some(0));
        assert_eq!(seconds("90s"), Some(90));
        assert_eq!(seconds("1h"), Some(3600));
        assert_eq!(seconds("7d"), Some(7 * 24 * 3600));
        for wrong in [
            "",
            "1",
            "h",
            "-1h",
            "1w",
            "1.5h",
            "99999999999999999999d",
            "é",
        ] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_rate_is_so_many_in_a_second_a_minute_or_an_hour() {
        let milliseconds = |rate| interval(rate).ok().map(|interval| interval.as_millis());
        assert_eq!(milliseconds("20/s"), Some(50));
        assert_eq!(milliseconds("30/m"), Some(2000));
        assert_eq!(milliseconds("100/h"), Some(36_000));
        assert_eq!(milliseconds("none"), Some(0));
        for wrong in [
            "", "20", "0/s", "1001/s", "-1/s", "20/d", "1.5/s", "/s", "20 / s",
        ] {
            assert_eq!(milliseconds(wrong), None, "{wrong}");
        }
    }
}
