//! The benchmark that diskcache comes with (90 % get, 9 % set, 1 % delete of a hundred keys, by 1 and by 8 processes), of
//! diskcache, of its fork and of diskette: `benches/peers/diskcache`, which installs them. Without it, of diskette alone.
#![allow(clippy::expect_used, reason = "a bench that fails has nothing to say")]

mod report;
mod work;

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::report::{Report, Reports, gather};

const PROCESSES: [u64; 2] = [1, 8];
const PEERS: [&str; 3] = ["diskcache", "diskcache-community", "diskette"];
/// By which factors the issue wants diskette to be ahead: at the median; and at the p99 with several processes.
const WANTED: [(&str, f64); 3] = [("get", 2.0), ("set", 4.0), ("delete", 4.0)];
const WANTED_P99: f64 = 20.0;

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [peer, directory, number, operations] = arguments.as_slice()
        && peer == "diskette"
    {
        let directory = Path::new(directory);
        return match number.parse() {
            Ok(number) => work::work(directory, number, operations.parse().expect("a number")),
            Err(_) => work::fill(directory),
        };
    }
    let quick = arguments.iter().any(|argument| argument == "--quick");
    let (operations, rounds) = if quick { (10_000, 1) } else { (100_000, 3) };
    let installed = env::var_os("PEERS").map(PathBuf::from);
    if installed.is_none() {
        println!("diskette alone; benches/peers/diskcache installs the others\n");
    }
    for processes in PROCESSES {
        println!(
            "{processes} process(es), {operations} operations each, {rounds} round(s); microseconds\n"
        );
        println!("| | call | count | misses | median | p90 | p99 | p99.9 | longest |");
        println!("|---|---|---:|---:|---:|---:|---:|---:|---:|");
        let mut all = PEERS.map(|_| Reports::new());
        for _ in 0..rounds {
            for (peer, reports) in PEERS.iter().zip(&mut all) {
                if let Some(mut start) = starter(peer, installed.as_deref()) {
                    round(&mut start, processes, operations, reports);
                }
            }
        }
        for (peer, reports) in PEERS.iter().zip(&all) {
            for (call, report) in reports {
                report.row(peer, call);
            }
        }
        println!();
        let [diskcache, fork, ours] = &all;
        for (peer, theirs) in PEERS.iter().zip([diskcache, fork]) {
            compare(peer, processes, theirs, ours);
        }
        println!();
    }
}

/// How a process of a peer is started; `None` if it isn't installed.
fn starter(peer: &str, installed: Option<&Path>) -> Option<impl FnMut() -> Command> {
    let ours = peer == "diskette";
    let python = installed.map(|peers| peers.join(peer).join("bin/python"));
    if !ours && python.is_none() {
        return None;
    }
    Some(move || match &python {
        Some(python) if !ours => {
            let mut command = Command::new(python);
            command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/on_diskcache.py"));
            command
        }
        _ => {
            let mut command = Command::new(env::current_exe().expect("this program"));
            command.arg("diskette");
            command
        }
    })
}

fn round(
    start: &mut impl FnMut() -> Command,
    processes: u64,
    operations: u64,
    reports: &mut Reports,
) {
    let directory = tempfile::tempdir().expect("a directory");
    let directory = directory.path().join("cache");
    let filled = start().arg(&directory).args(["fill", "0"]).status();
    assert!(filled.expect("a process").success());
    let spawn = |number: u64| {
        let mut command = start();
        command.arg(&directory);
        command.args([number.to_string(), operations.to_string()]);
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = child.expect("a process");
        let out = BufReader::new(child.stdout.take().expect("a pipe"));
        (child, out)
    };
    let mut workers: Vec<_> = (0..processes).map(spawn).collect();
    let line = |out: &mut dyn BufRead| {
        let mut line = String::new();
        out.read_line(&mut line).expect("a line");
        line
    };
    for (_, out) in &mut workers {
        assert_eq!(line(out), "ready\n");
    }
    for (child, _) in &mut workers {
        begin(child);
    }
    for (child, out) in &mut workers {
        gather(reports, &line(out));
        assert!(child.wait().expect("its end").success());
    }
}

fn begin(child: &mut Child) {
    let pipe = child.stdin.as_mut().expect("a pipe");
    pipe.write_all(b"\n").expect("a process that listens");
}

fn compare(peer: &str, processes: u64, theirs: &Reports, ours: &Reports) {
    for (call, wanted) in WANTED {
        let (Some(theirs), Some(ours)) = (theirs.get(call), ours.get(call)) else {
            continue;
        };
        let ratio = |at: fn(&Report) -> f64| at(theirs) / at(ours);
        let (median, p99) = (ratio(|it| it.at(0.5)), ratio(|it| it.at(0.99)));
        print!("{call}: {peer} takes {median:.1} x as long at the median (wanted {wanted})");
        match processes {
            1 => println!(),
            _ => println!(", {p99:.1} x at the p99 (wanted {WANTED_P99})"),
        }
    }
}
