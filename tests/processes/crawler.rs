//! The flagship, whole: every page is recorded once, whichever of its workers are killed.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use axum::Router;
use axum::http::{StatusCode, Uri};
use axum::response::Html;
use diskette_testkit::{PATIENCE, eventually};

const PAGES: usize = 600;

/// A site of pages that link to two further ones and to earlier ones, and its log.
struct Site {
    url: String,
    fetched: Arc<Mutex<HashMap<String, usize>>>,
}

impl Site {
    fn serve() -> Self {
        let fetched = Arc::new(Mutex::new(HashMap::new()));
        let log = Arc::clone(&fetched);
        let page = move |uri: Uri| async move {
            let Some(n) = uri
                .path()
                .strip_prefix("/site/")
                .and_then(|n| n.parse::<usize>().ok())
            else {
                return Err(StatusCode::NOT_FOUND);
            };
            *log.lock()
                .unwrap()
                .entry(uri.path().to_owned())
                .or_insert(0) += 1;
            let links = [2 * n + 1, 2 * n + 2, n / 3, n / 2]
                .into_iter()
                .filter(|&to| to < PAGES);
            Ok(Html(
                links
                    .map(|to| format!("<a href='{to}'>{to}</a>"))
                    .collect::<String>(),
            ))
        };
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
                axum::serve(listener, Router::new().fallback(page))
                    .await
                    .unwrap();
            });
        });
        let address = hear.recv_timeout(PATIENCE).unwrap();
        Site {
            url: format!("http://{address}/site/0"),
            fetched,
        }
    }
}

/// The example as a program, beside the test, in the same profile: of an example with tests, `cargo test`
/// builds the tests only.
fn program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.ancestors().nth(2).unwrap();
    let built = Command::new(env!("CARGO"))
        .args([
            "build",
            "--quiet",
            "--locked",
            "--package",
            "diskette",
            "--example",
            "crawler",
        ])
        .args(profile.ends_with("release").then_some("--release"))
        .arg("--target-dir")
        .arg(profile.parent().unwrap())
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status();
    assert!(built.unwrap().success());
    profile.join("examples/crawler")
}

fn crawler(site: &Site, dir: &Path) -> Child {
    Command::new(program())
        .args([&site.url, "--workers", "3", "--json", "--data"])
        .arg(dir.join("crawl"))
        .arg("--export")
        .arg(dir.join("pages.jsonl"))
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

fn last_line(crawl: &mut Child) -> serde_json::Value {
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
    let all: Vec<_> = (0..PAGES).map(|n| n.to_string()).collect();

    let (site, dir) = (Site::serve(), tempfile::tempdir().unwrap());
    let summary = last_line(&mut crawler(&site, dir.path()));
    assert_eq!(
        (&summary["pages"], &summary["errors"], &summary["queued"]),
        (&PAGES.into(), &0.into(), &0.into())
    );
    assert_eq!(recorded(dir.path().join("pages.jsonl")), all);
    assert!(
        site.fetched
            .lock()
            .unwrap()
            .values()
            .all(|&times| times == 1),
        "each page once"
    );

    let (site, dir) = (Site::serve(), tempfile::tempdir().unwrap());
    let mut crawl = crawler(&site, dir.path());
    let mut killed = 0;
    for milestone in (PAGES / 10..PAGES).step_by(PAGES / 10) {
        eventually(PATIENCE, || site.fetched.lock().unwrap().len() >= milestone);
        if let Some(&victim) = workers_of(crawl.id()).get(killed % 3) {
            let victim = nix::unistd::Pid::from_raw(victim);
            killed +=
                usize::from(nix::sys::signal::kill(victim, nix::sys::signal::SIGKILL).is_ok());
        }
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
    // In flight when a worker died: its share of the 8 connections, and as many being recorded.
    let again: usize = site
        .fetched
        .lock()
        .unwrap()
        .values()
        .map(|times| times - 1)
        .sum();
    assert!(
        again <= killed * 8,
        "{again} pages were fetched again after {killed} kills"
    );
}
