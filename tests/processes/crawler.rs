//! The flagship, whole: every page is recorded once, whichever of its workers are killed, and no host is asked more of than
//! it should be.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Response};
use diskette_ipc::clock;
use diskette_testkit::{PATIENCE, Postgres, eventually, unique_store};
use tokio::sync::Semaphore;

/// A host with a site of pages that link to two further ones and to earlier ones, and its log.
struct Site {
    url: String,
    host: Arc<Host>,
}

struct Host {
    pages: usize,
    manner: Manner,
    log: Mutex<Vec<Request>>,
    /// Where it holds its answers back.
    gate: Semaphore,
}

#[derive(Clone, Copy, PartialEq)]
enum Manner {
    Plain,
    /// Answers no page before it is let.
    Held,
    /// Wants this many seconds from one request to the next.
    CrawlDelay(f64),
    /// Tells by an `ETag` that pages are what they were; but the first then has a link that it hadn't.
    Changing,
    /// Answers once, to the page of this number, that it wants to be left alone for so many seconds.
    Overload(usize, u64),
}

struct Request {
    at: Instant,
    path: String,
    /// It asks for the page only if it has changed.
    conditional: bool,
}

impl Site {
    fn serve(pages: usize, manner: Manner) -> Self {
        let host = Arc::new(Host {
            pages,
            manner,
            log: Mutex::default(),
            gate: Semaphore::new(0),
        });
        let router = Router::new().fallback(answer).with_state(Arc::clone(&host));
        let (say, hear) = std::sync::mpsc::channel();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .enable_io()
                .build()
                .unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                say.send(listener.local_addr().unwrap()).unwrap();
                axum::serve(listener, router).await.unwrap();
            });
        });
        let address = hear.recv_timeout(PATIENCE).unwrap();
        Site {
            url: format!("http://{address}/site/0"),
            host,
        }
    }

    /// Pages, and how often each was fetched.
    fn fetched(&self) -> HashMap<String, usize> {
        let mut fetched = HashMap::new();
        for request in &*self.host.log.lock().unwrap() {
            if request.path.starts_with("/site/") {
                *fetched.entry(request.path.clone()).or_insert(0) += 1;
            }
        }
        fetched
    }

    /// When it was asked for anything.
    fn times(&self) -> Vec<Instant> {
        let log = self.host.log.lock().unwrap();
        log.iter().map(|request| request.at).collect()
    }
}

async fn answer(State(host): State<Arc<Host>>, uri: Uri, headers: HeaderMap) -> Response {
    let path = uri.path().to_owned();
    let conditional = headers.contains_key(header::IF_NONE_MATCH);
    let request = Request {
        at: clock::now(),
        path: path.clone(),
        conditional,
    };
    host.log.lock().unwrap().push(request);
    if let (Manner::CrawlDelay(seconds), "/robots.txt") = (host.manner, &*path) {
        return format!("User-agent: *\nCrawl-delay: {seconds}").into_response();
    }
    let number = path.strip_prefix("/site/").and_then(|n| n.parse().ok());
    let Some(n): Option<usize> = number else {
        return StatusCode::NOT_FOUND.into_response();
    };
    match host.manner {
        Manner::Held => {
            if let Ok(permit) = host.gate.acquire().await {
                permit.forget();
            }
        }
        Manner::Overload(page, seconds) if page == n => {
            let log = host.log.lock().unwrap();
            if log.iter().filter(|request| request.path == path).count() == 1 {
                let wait = [(header::RETRY_AFTER, seconds.to_string())];
                return (StatusCode::SERVICE_UNAVAILABLE, wait).into_response();
            }
        }
        _ => {}
    }
    if host.manner == Manner::Changing {
        let tag = format!("\"{}\"", usize::from(conditional && n == 0));
        if headers
            .get(header::IF_NONE_MATCH)
            .is_some_and(|known| known == tag.as_str())
        {
            return StatusCode::NOT_MODIFIED.into_response();
        }
        let new = if tag == "\"1\"" { host.pages } else { 0 };
        let links = [2 * n + 1, 2 * n + 2]
            .into_iter()
            .filter(|&to| to < host.pages);
        let links = links
            .chain([new])
            .map(|to| format!("<a href='{to}'>{to}</a>"));
        return ([(header::ETAG, tag)], Html(links.collect::<String>())).into_response();
    }
    let links = [2 * n + 1, 2 * n + 2, n / 3, n / 2];
    let links = links.iter().filter(|&&to| to < host.pages);
    let links: String = links.map(|to| format!("<a href='{to}'>{to}</a>")).collect();
    Html(links).into_response()
}

pub(crate) fn program() -> PathBuf {
    example("crawler")
}

/// An example as a program, beside the test, in the same profile: of an example with tests, `cargo test`
/// builds the tests only.
pub(crate) fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.ancestors().nth(2).unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    // What cargo says of this package here would have others built anew whose scripts look at that.
    for (name, _) in std::env::vars_os() {
        let told = name.to_string_lossy();
        if told.starts_with("CARGO_PKG_") || told.starts_with("CARGO_MANIFEST_") {
            cargo.env_remove(name);
        }
    }
    let built = cargo
        .args([
            "build",
            "--quiet",
            "--locked",
            "--package",
            "diskette",
            "--example",
            name,
        ])
        .args(profile.ends_with("release").then_some("--release"))
        .arg("--target-dir")
        .arg(profile.parent().unwrap())
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status();
    assert!(built.unwrap().success());
    profile.join("examples").join(name)
}

fn crawler(sites: &[&Site], dir: &Path, options: &[&str]) -> Child {
    crawler_into(&dir.join("crawl"), sites, dir, options)
}

fn crawler_into(data: &Path, sites: &[&Site], dir: &Path, options: &[&str]) -> Child {
    Command::new(program())
        .args(sites.iter().map(|site| &site.url))
        .args(["--workers", "3", "--json"])
        .args(options)
        .arg("--data")
        .arg(data)
        .current_dir(dir)
        .arg("--export")
        .arg(dir.join("pages.jsonl"))
        .arg("--report")
        .arg(dir.join("report.html"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn workers_of(supervisor: u32) -> Vec<i32> {
    let tasks = fs::read_dir(format!("/proc/{supervisor}/task"));
    let children = tasks
        .into_iter()
        .flatten()
        .flatten()
        .map(|task| task.path().join("children"));
    children
        .filter_map(|children| fs::read_to_string(children).ok())
        .flat_map(|children| {
            children
                .split_whitespace()
                .map(|pid| pid.parse().unwrap())
                .collect::<Vec<_>>()
        })
        .collect()
}

/// Whether there was one left.
fn kill_worker(crawl: &Child, which: usize) -> bool {
    let workers = workers_of(crawl.id());
    workers.get(which % 3).is_some_and(|&worker| {
        let worker = nix::unistd::Pid::from_raw(worker);
        nix::sys::signal::kill(worker, nix::sys::signal::SIGKILL).is_ok()
    })
}

pub(crate) fn last_line(crawl: &mut Child) -> serde_json::Value {
    let lines = BufReader::new(crawl.stdout.take().unwrap()).lines();
    let last = lines.map_while(Result::ok).last().expect("a last line");
    assert!(crawl.wait().unwrap().success());
    serde_json::from_str(&last).unwrap()
}

fn recorded(export: PathBuf) -> Vec<String> {
    let lines = fs::read_to_string(export).unwrap();
    let mut urls: Vec<_> = lines
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .inspect(|page| assert_eq!(page["status"], 200))
        .map(|page| {
            page["url"]
                .as_str()
                .unwrap()
                .rsplit('/')
                .next()
                .unwrap()
                .to_owned()
        })
        .collect();
    urls.sort_by_key(|n| n.parse::<usize>().unwrap());
    urls
}

#[test]
fn a_crawl_whose_workers_are_killed_records_what_an_undisturbed_one_does() {
    const PAGES: usize = 600;
    let all: Vec<_> = (0..PAGES).map(|n| n.to_string()).collect();

    let (site, dir) = (
        Site::serve(PAGES, Manner::Plain),
        tempfile::tempdir().unwrap(),
    );
    let summary = last_line(&mut crawler(&[&site], dir.path(), &[]));
    assert_eq!(
        (&summary["pages"], &summary["errors"], &summary["queued"]),
        (&PAGES.into(), &0.into(), &0.into())
    );
    assert_eq!(recorded(dir.path().join("pages.jsonl")), all);
    assert!(
        site.fetched().values().all(|&times| times == 1),
        "each page once"
    );

    let (site, dir) = (
        Site::serve(PAGES, Manner::Plain),
        tempfile::tempdir().unwrap(),
    );
    let mut crawl = crawler(&[&site], dir.path(), &[]);
    let mut killed = 0;
    for milestone in (PAGES / 10..PAGES).step_by(PAGES / 10) {
        eventually(PATIENCE, || site.fetched().len() >= milestone);
        killed += usize::from(kill_worker(&crawl, killed));
    }
    let summary = last_line(&mut crawl);
    assert!(killed > 0);
    assert_eq!(
        (&summary["pages"], &summary["errors"], &summary["queued"]),
        (&PAGES.into(), &0.into(), &0.into())
    );
    assert_eq!(
        recorded(dir.path().join("pages.jsonl")),
        all,
        "after {killed} kills"
    );
    let report = fs::read_to_string(dir.path().join("report.html")).unwrap();
    assert!(report.contains("a worker was restarted"));
    // In flight when a worker died: its share of the 8 connections, and as many being recorded.
    let again: usize = site.fetched().values().map(|times| times - 1).sum();
    assert!(
        again <= killed * 8,
        "{again} pages were fetched again after {killed} kills"
    );
}

/// As from two machines: nothing is theirs together but the server.
#[test]
fn two_supervisors_crawl_as_one_through_a_server() {
    const PAGES: usize = 300;
    let Some(server) = Postgres::shared() else {
        return;
    };
    let name = unique_store();
    let data = PathBuf::from(server.url(&name));
    let site = Site::serve(PAGES, Manner::Held);
    let dirs = [(); 2].map(|()| tempfile::tempdir().unwrap());
    // Pages are held until both are there, however long that takes.
    let patient = ["--timeout", "300"];
    let start = |dir: &tempfile::TempDir| crawler_into(&data, &[&site], dir.path(), &patient);
    let mut first = start(&dirs[0]);
    eventually(PATIENCE, || !site.fetched().is_empty());
    let mut second = start(&dirs[1]);
    let present = format!("SELECT count(*) FROM {name:?}.owners");
    eventually(PATIENCE, || {
        server.sql(&present).parse::<u32>().unwrap() >= 8
    });
    site.host.gate.add_permits(PAGES);

    let summaries = [&mut first, &mut second].map(last_line);
    for (summary, dir) in summaries.iter().zip(&dirs) {
        assert_eq!(
            (&summary["pages"], &summary["errors"]),
            (&PAGES.into(), &0.into())
        );
        let all: Vec<_> = (0..PAGES).map(|n| n.to_string()).collect();
        assert_eq!(recorded(dir.path().join("pages.jsonl")), all);
        assert!(summary["fetches"].as_u64().unwrap() > 0, "it did its share");
    }
    assert!(
        site.fetched().values().all(|&times| times == 1),
        "each page once"
    );
}

#[test]
fn pages_that_are_revisited_are_taken_over_if_they_have_changed() {
    const PAGES: usize = 100;
    let site = Site::serve(PAGES, Manner::Changing);
    let dir = tempfile::tempdir().unwrap();
    let summary = last_line(&mut crawler(&[&site], dir.path(), &[]));
    assert_eq!(summary["pages"], PAGES);
    // Nothing is due.
    last_line(&mut crawler(&[&site], dir.path(), &["--revisit", "1h"]));
    assert_eq!(site.host.log.lock().unwrap().len(), PAGES + 1);

    let mut crawl = crawler(&[&site], dir.path(), &["--revisit", "0s"]);
    eventually(PATIENCE, || {
        site.host.log.lock().unwrap().len() > PAGES + 20
    });
    kill_worker(&crawl, 0);
    let summary = last_line(&mut crawl);
    assert_eq!(
        (&summary["pages"], &summary["queued"]),
        (&(PAGES + 1).into(), &0.into())
    );
    // What a worker had just recorded when it was killed, over each of its connections, it could not report.
    let unchanged = summary["unchanged"].as_u64().unwrap() as usize;
    assert!((PAGES - 1 - 8..PAGES).contains(&unchanged), "{unchanged}");
    let all: Vec<_> = (0..=PAGES).map(|n| n.to_string()).collect();
    assert_eq!(recorded(dir.path().join("pages.jsonl")), all);

    let log = site.host.log.lock().unwrap();
    let robots = log.iter().filter(|request| request.path == "/robots.txt");
    assert_eq!(
        robots.count(),
        1,
        "all workers of all runs go by one answer"
    );
    let again = &log[PAGES + 1..];
    let mut conditional: Vec<_> = again
        .iter()
        .filter(|it| it.conditional)
        .map(|it| &it.path)
        .collect();
    conditional.sort();
    conditional.dedup();
    assert_eq!(conditional.len(), PAGES);
    assert!(
        again
            .iter()
            .all(|it| it.conditional || it.path == format!("/site/{PAGES}"))
    );
}

#[test]
fn no_host_is_asked_more_often_than_its_rate_whichever_workers_are_killed() {
    let fast = Site::serve(200, Manner::Plain);
    let slow = Site::serve(20, Manner::CrawlDelay(0.1));
    let dir = tempfile::tempdir().unwrap();
    let mut crawl = crawler(&[&slow, &fast], dir.path(), &["--rate", "100/s"]);
    for milestone in [50, 100, 150] {
        eventually(PATIENCE, || fast.fetched().len() >= milestone);
        kill_worker(&crawl, milestone);
    }
    let summary = last_line(&mut crawl);
    assert_eq!(
        (&summary["pages"], &summary["errors"], &summary["queued"]),
        (&220.into(), &0.into(), &0.into())
    );
    for (site, interval) in [
        (&fast, Duration::from_millis(10)),
        (&slow, Duration::from_millis(100)),
    ] {
        // What the machine may keep a request on its way for.
        let late = Duration::from_secs(1);
        let times = site.times();
        // Not at its own pace yet: it has just said what that is.
        let times = &times[1..];
        for (i, &from) in times.iter().enumerate() {
            for (&to, intervals) in times[i..].iter().zip(0..) {
                let between = to.duration_since(from);
                assert!(
                    between + late >= interval * intervals,
                    "{intervals} requests to {} within {between:?}",
                    site.url
                );
            }
        }
    }
}

/// A host that kept all connections busy would keep the other one waiting.
#[test]
fn a_host_that_hangs_has_its_connections_and_no_more() {
    let hanging = Site::serve(30, Manner::Held);
    let other = Site::serve(100, Manner::Plain);
    let dir = tempfile::tempdir().unwrap();
    hanging.host.gate.add_permits(3); // pages 0, 1 and 2, for the links to four more
    let options = ["--per-host", "2", "--timeout", "300"];
    let mut crawl = crawler(&[&hanging, &other], dir.path(), &options);
    eventually(PATIENCE, || hanging.fetched().len() == 5);
    eventually(PATIENCE, || other.fetched().len() == 100);
    assert_eq!(hanging.fetched().len(), 5);

    hanging.host.gate.close();
    let summary = last_line(&mut crawl);
    assert_eq!(
        (&summary["pages"], &summary["errors"], &summary["queued"]),
        (&130.into(), &0.into(), &0.into())
    );
}

#[test]
fn a_host_that_asks_for_quiet_is_left_alone_by_all_workers() {
    let site = Site::serve(400, Manner::Overload(20, 2));
    let dir = tempfile::tempdir().unwrap();
    let summary = last_line(&mut crawler(&[&site], dir.path(), &["--rate", "200/s"]));
    assert_eq!(
        (&summary["pages"], &summary["errors"], &summary["queued"]),
        (&400.into(), &0.into(), &0.into())
    );
    assert_eq!(site.fetched().values().sum::<usize>(), 401);
    let times = site.times();
    let pauses = times
        .iter()
        .zip(&times[1..])
        .map(|(from, to)| to.duration_since(*from));
    let longest = pauses.max().unwrap();
    // What was on its way then, with time to arrive, came still.
    assert!(
        longest > Duration::from_secs(1),
        "a pause of {longest:?} at most"
    );
}
