//! The benchmark that diskcache comes with (90 % get, 9 % set, 1 % delete of a hundred keys, by 1 and by 8 processes), of
//! diskcache, of its fork and of diskette: `benches/peers/run diskcache`, which installs them. Without it, of diskette alone.
#![allow(clippy::expect_used, reason = "a bench that fails has nothing to say")]

#[path = "../race.rs"]
mod race;
#[path = "../racer.rs"]
mod racer;
mod report;
mod work;

use std::env;
use std::path::Path;
use std::process::Command;

use diskette_benches::scaled;

use crate::race::race;
use crate::report::{Report, Reports, gather};

const PROCESSES: [u64; 2] = [1, scaled(8, 2)];
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
    if !diskette_benches::is_asked_for() {
        return;
    }
    let quick = arguments.iter().any(|argument| argument == "--quick");
    let (operations, rounds) = match quick {
        true => (10_000, 1),
        false => scaled((100_000, 3), (2_000, 1)),
    };
    if racer::installed().is_none() {
        println!("diskette alone; `benches/peers/run diskcache` installs the others\n");
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
                if starter(peer).is_some() {
                    let start = || starter(peer).expect("it is installed");
                    round(&start, processes, operations, reports);
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
fn starter(peer: &str) -> Option<Command> {
    if peer != "diskette" {
        return racer::python(peer, "diskcache/work.py");
    }
    let mut command = racer::this();
    command.arg(peer);
    Some(command)
}

fn round(start: &impl Fn() -> Command, processes: u64, operations: u64, reports: &mut Reports) {
    let directory = tempfile::tempdir().expect("a directory");
    let directory = directory.path().join("cache");
    let filled = start().arg(&directory).args(["fill", "0"]).status();
    assert!(filled.expect("a process").success());
    let work = |number: u64| {
        let mut command = start();
        command.arg(&directory);
        command.args([number.to_string(), operations.to_string()]);
        command
    };
    for line in race((0..processes).map(work)) {
        gather(reports, &line);
    }
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
