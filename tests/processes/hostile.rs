//! A site that no server should be: the crawl of it ends, in bounded time and memory, and each page's record says
//! what happened.

mod pages;
mod site;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use scraper::{Html, Selector};
use serde_json::Value;

use crate::crawler::{last_line, program};

/// No process of it may map more: many times what a tame site takes, a fraction of what a bomb would.
const KILOBYTES: &str = "2000000";

fn crawler(start: &str, dir: &Path, options: &[&str]) -> Child {
    Command::new("sh")
        .args(["-c", "ulimit -v $0 && exec \"$@\"", KILOBYTES])
        .arg(program())
        .args([start, "--workers", "2", "--json"])
        .args(options)
        .arg("--data")
        .arg(dir.join("crawl"))
        .arg("--export")
        .arg(dir.join("pages.jsonl"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// The record of each page, by its path.
fn crawl(start: &str, options: &[&str]) -> BTreeMap<String, Value> {
    crawl_into(tempfile::tempdir().unwrap().path(), start, options)
}

fn crawl_into(dir: &Path, start: &str, options: &[&str]) -> BTreeMap<String, Value> {
    let start = format!("{}/{start}", site::serve());
    let summary = last_line(&mut crawler(&start, dir, options));
    assert_eq!(
        (&summary["queued"], &summary["restarts"]),
        (&0.into(), &0.into())
    );
    let lines = fs::read_to_string(dir.join("pages.jsonl")).unwrap();
    let pages = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    pages
        .map(|page: Value| (path(&page["url"]).to_owned(), page))
        .collect()
}

fn path(url: &Value) -> &str {
    let url = url.as_str().expect("a URL");
    url.splitn(4, '/').last().unwrap()
}

#[test]
fn redirects_and_calendars_end() {
    let pages = crawl("ways", &["--max-depth", "8"]);
    let says = |path: &str| {
        (
            pages[path]["status"].as_u64(),
            pages[path]["error"].as_str(),
        )
    };
    for (from, to) in [
        ("loop/a", "loop/b"),
        ("loop/b", "loop/a"),
        ("self", "self"),
        ("endless/9", "endless/10"),
    ] {
        assert_eq!(says(from), (Some(302), None), "{from}");
        assert_eq!(path(&pages[from]["redirect"]), to);
    }
    assert_eq!(
        says("endless/10"),
        (Some(302), Some("more than 10 redirects in a row"))
    );
    assert!(!pages.contains_key("endless/11"));
    assert_eq!(pages["away"]["redirect"], "http://other.invalid/");
    // Links from the start, each to the next.
    assert!(pages.contains_key("calendar/8"));
    assert!(!pages.contains_key("calendar/9"));
}

#[test]
fn what_a_broken_server_sends_is_in_the_record_of_the_page() {
    let pages = crawl("broken", &["--timeout", "2"]);
    let error = |path: &str| pages[path]["error"].as_str().unwrap_or_default();
    for (path, reason) in [
        ("drip", "timed out"),
        ("silent", "timed out"),
        ("reset", "reset"),
        ("gone", "connection closed"),
        ("short", "end of file"),
        ("huge", "end of file"),
        ("lengths", "content-length"),
        ("length", "content-length"),
        ("chunks", "chunk"),
        ("garbage", "invalid HTTP"),
        ("headers", "too large"),
        ("gzip", "deflate"),
        ("br", "encoded as br, which was not asked for"),
        ("deflate", "encoded as deflate, which was not asked for"),
    ] {
        assert!(
            error(path).to_lowercase().contains(&reason.to_lowercase()),
            "{path}: {}",
            pages[path]
        );
    }
    // What stands beyond the length is not the page's.
    assert_eq!(
        (&pages["long"]["status"], &pages["long"]["bytes"]),
        (&200.into(), &10.into())
    );
}

#[test]
fn of_a_bomb_no_more_is_unpacked_than_the_limit() {
    let pages = crawl("bombs", &["--max-body", "1000000"]);
    let bomb = &pages["bomb"];
    assert_eq!(
        (&bomb["error"], &bomb["truncated"]),
        (&Value::Null, &true.into())
    );
    assert_eq!(bomb["bytes"], 1_000_000);
}

#[test]
fn pages_are_read_in_their_encoding_and_do_as_they_ask() {
    let pages = crawl("words", &[]);
    for path in ["utf-16", "shift-jis", "untyped"] {
        assert_eq!(pages[path]["title"], "日本", "{path}");
        assert!(pages.contains_key(&format!("found/{path}")), "{path}");
    }
    assert!(pages.contains_key("found/nul"));
    for (path, nofollow, noindex) in [
        ("nofollow", true, false),
        ("noindex", false, true),
        ("none", true, true),
    ] {
        let (page, followed) = (&pages[path], pages.contains_key(&format!("found/{path}")));
        assert_eq!(
            (&page["nofollow"], &page["noindex"]),
            (&nofollow.into(), &noindex.into()),
            "{path}"
        );
        assert_ne!(followed, nofollow, "{path}");
    }
}

#[test]
fn pages_that_would_take_a_parser_hours_have_their_links_followed() {
    let pages = crawl("parsers", &["--timeout", "60"]);
    for (name, _) in pages::ALL {
        let page = &pages[&format!("parser/{name}")];
        assert_eq!(
            (&page["title"], &page["error"]),
            (&Value::from(*name), &Value::Null),
            "{name}"
        );
        assert_eq!(pages[&format!("found/{name}")]["status"], 404, "{name}");
    }
}

#[test]
fn the_report_says_where_broken_links_stand_and_takes_nothing_for_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("report.html");
    let pages = crawl_into(dir.path(), "scripts", &["--report", file.to_str().unwrap()]);
    let titled = &pages["titled"];
    assert_eq!(titled["title"], site::SCRIPT);

    let report = Html::parse_document(&fs::read_to_string(file).unwrap());
    let select = |what: &str| {
        let what = Selector::parse(what).unwrap();
        let found = report.select(&what);
        found
            .map(|found| found.text().collect::<String>())
            .collect::<Vec<_>>()
    };
    assert_eq!(select("script"), [""; 0]);
    assert!(select("td").iter().any(|cell| cell.contains(site::SCRIPT)));
    assert_eq!(select("svg").len(), 4);
    let broken = select("#broken + table tbody tr");
    assert_eq!(broken.len(), 2, "{broken:?}");
    assert!(broken[0].contains("was not asked for") && broken[0].contains("/encoded"));
    let (link, places) = broken[1].split_once("%22&").unwrap();
    assert!(
        link.starts_with("404") && link.contains("/missing?%3Cscript%3E"),
        "{link}"
    );
    assert!(
        places.contains("/scripts") && places.contains("/titled"),
        "{places}"
    );
}
