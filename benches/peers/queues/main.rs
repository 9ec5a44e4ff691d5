//! Queues on SQLite beside each other: of Python, of diskette, and the raw statements that a careful user would write:
//! `benches/peers/run queues`, which installs them. Without it, of diskette and the raw statements alone.
#![allow(clippy::expect_used, reason = "a bench that fails has nothing to say")]

#[path = "../race.rs"]
mod race;
#[path = "../racer.rs"]
mod racer;
mod work;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::{env, fs};

use diskette_benches::scaled;
use diskette_testkit::Postgres;
use serde::{Deserialize, Serialize};

use crate::race::race;

const PEERS: [&str; 7] = [
    "diskette",
    "raw SQLite",
    "litequeue",
    "persist-queue",
    "huey",
    ON_POSTGRES,
    "procrastinate",
];
pub(crate) const ON_POSTGRES: &str = "diskette on PostgreSQL";
const PROCESSES: [u64; 2] = [1, scaled(8, 2)];
const BATCHES: [u64; 2] = [1, 100];
const PHASES: [&str; 2] = ["push", "claim + complete"];
/// By which factor the issue wants diskette to be ahead of the queues.
const WANTED: f64 = 5.0;

/// What a process says when it is done. Times are in seconds since 1970.
#[derive(Serialize, Deserialize)]
pub(crate) struct Done {
    pub(crate) done: u64,
    pub(crate) begin: f64,
    pub(crate) end: f64,
}

/// One cell of the tables; the best of all rounds.
#[derive(Clone, Default, Serialize)]
struct Cell {
    jobs_per_second: f64,
    /// How many jobs were given to two.
    twice: u64,
}

/// By phase, batch, and processes.
type Cells = BTreeMap<(usize, u64, u64), Cell>;

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [peer, directory, number, phase, jobs, batch] = arguments.as_slice() {
        let [number, jobs, batch] =
            [number, jobs, batch].map(|number| number.parse().expect("a number"));
        return work::work(peer, Path::new(directory), number, phase, jobs, batch);
    }
    if !diskette_benches::is_asked_for() {
        return;
    }
    let quick = arguments.iter().any(|argument| argument == "--quick");
    let (jobs, rounds) = match quick {
        true => (4_000, 3),
        false => scaled((40_000, 3), (80, 1)),
    };
    if racer::installed().is_none() {
        println!(
            "diskette and the raw statements alone; `benches/peers/run queues` installs the others\n"
        );
    }
    let mut all: BTreeMap<&str, Cells> = BTreeMap::new();
    for _ in 0..rounds {
        for peer in PEERS {
            if starter(peer).is_some() {
                let jobs = if is_on_postgres(peer) {
                    jobs / 10
                } else {
                    jobs
                };
                round(peer, jobs, all.entry(peer).or_default());
            }
        }
    }
    println!(
        "{jobs} jobs of 30 bytes, a tenth of them on PostgreSQL, the best of {rounds} round(s); jobs a second, and how often that goes into \
         diskette's. On SQLite: WAL, synchronous = NORMAL: a killed process loses nothing, a power cut may lose the last moments. On \
         PostgreSQL, as it is shipped: what was committed is on the disk\n"
    );
    for batch in BATCHES {
        table(&all, batch);
    }
    write(&all);
}

/// How a process of a peer is started; `None` if it isn't installed.
fn starter(peer: &str) -> Option<Command> {
    let mut command = match peer {
        "diskette" | "raw SQLite" | ON_POSTGRES => racer::this(),
        _ => racer::python("queues", "queues/work.py")?,
    };
    if is_on_postgres(peer) {
        command.env("PEERS_POSTGRES", server()?.url_of("diskette", "diskette"));
    }
    command.arg(peer);
    Some(command)
}

/// One of its own, which syncs to the disk as it is shipped.
fn server() -> Option<&'static Postgres> {
    static SERVER: OnceLock<Option<Postgres>> = OnceLock::new();
    let settings = [
        ("fsync", "on"),
        ("synchronous_commit", "on"),
        ("full_page_writes", "on"),
    ];
    SERVER.get_or_init(|| Postgres::private(&settings)).as_ref()
}

fn is_on_postgres(peer: &str) -> bool {
    matches!(peer, ON_POSTGRES | "procrastinate")
}

/// Beside whom a peer is.
fn beside(peer: &str) -> &str {
    match is_on_postgres(peer) {
        true => ON_POSTGRES,
        false => "diskette",
    }
}

fn round(peer: &str, jobs: u64, cells: &mut Cells) {
    for batch in BATCHES {
        for processes in PROCESSES {
            let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"));
            let directory = directory.expect("a directory on the disk");
            let start = |phase: &str, number: u64, jobs: u64| {
                let mut command = starter(peer).expect("it is installed");
                command.arg(directory.path());
                command.args([
                    &number.to_string(),
                    phase,
                    &jobs.to_string(),
                    &batch.to_string(),
                ]);
                command
            };
            // Makes the tables, before several come at once.
            race([start("push", 0, 0)]);
            for (phase, name) in PHASES.iter().enumerate() {
                let some = |number| start(name, number, jobs / processes);
                let done = race((0..processes).map(some));
                let cell = cells.entry((phase, batch, processes)).or_default();
                cell.add(&done, jobs);
            }
        }
    }
}

/// What it can't do to many jobs at once.
fn one_at_a_time(peer: &str) -> &'static str {
    match peer {
        "litequeue" => " (claims one at a time)",
        "persist-queue" | "huey" => " (all one at a time)",
        "procrastinate" => " (claims and completes one at a time)",
        _ => "",
    }
}

impl Cell {
    fn add(&mut self, lines: &[String], jobs: u64) {
        let all = lines.iter().map(|line| serde_json::from_str::<Done>(line));
        let all: Vec<_> = all.collect::<Result<_, _>>().expect("a report");
        let done: u64 = all.iter().map(|it| it.done).sum();
        let begin = all.iter().map(|it| it.begin).fold(f64::INFINITY, f64::min);
        let end = all.iter().map(|it| it.end).fold(0.0, f64::max);
        assert!(done >= jobs, "{done} of {jobs} jobs");
        self.twice = self.twice.max(done - jobs);
        self.jobs_per_second = self.jobs_per_second.max(jobs as f64 / (end - begin));
    }
}

fn table(all: &BTreeMap<&str, Cells>, batch: u64) {
    let columns: Vec<_> = (0..PHASES.len())
        .flat_map(|phase| PROCESSES.map(|processes| (phase, batch, processes)))
        .collect();
    let names = columns
        .iter()
        .map(|(phase, _, processes)| format!("{}, {processes} process(es)", PHASES[*phase]));
    println!(
        "| batches of {batch} | {} |",
        names.collect::<Vec<_>>().join(" | ")
    );
    println!("|---|{}", "---:|".repeat(columns.len()));
    let none = Cells::new();
    for peer in PEERS {
        let Some(cells) = all.get(peer) else { continue };
        let ours = all.get(beside(peer)).unwrap_or(&none);
        let row = columns.iter().map(|column| {
            let (Some(cell), Some(ours)) = (cells.get(column), ours.get(column)) else {
                return "-".to_owned();
            };
            let ratio = ours.jobs_per_second / cell.jobs_per_second;
            let behind = match peer {
                "diskette" | ON_POSTGRES => return format!("{:.0}", cell.jobs_per_second),
                "raw SQLite" | "procrastinate" => "",
                _ if ratio < WANTED => " *",
                _ => "",
            };
            let twice = match cell.twice {
                0 => String::new(),
                twice => format!(", {twice} given to two"),
            };
            format!("{:.0} ({ratio:.1} x{behind}{twice})", cell.jobs_per_second)
        });
        let how = if batch == 1 { "" } else { one_at_a_time(peer) };
        println!("| {peer}{how} | {} |", row.collect::<Vec<_>>().join(" | "));
    }
    println!(
        "\n*: diskette is less than {WANTED} x as fast. huey has nothing to complete: who takes a job has lost it if he dies\n"
    );
}

/// All of it, for programs.
fn write(all: &BTreeMap<&str, Cells>) {
    #[derive(Serialize)]
    struct Line<'l> {
        peer: &'l str,
        phase: &'l str,
        batch: u64,
        processes: u64,
        #[serde(flatten)]
        cell: &'l Cell,
    }
    let lines = all.iter().flat_map(|(peer, cells)| {
        cells.iter().map(|(&(phase, batch, processes), cell)| Line {
            peer,
            phase: PHASES[phase],
            batch,
            processes,
            cell,
        })
    });
    let lines: Vec<_> = lines.collect();
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("queues.json");
    let json = serde_json::to_string_pretty(&lines).expect("numbers");
    fs::write(&path, json).expect("room");
    println!("written to {}", path.display());
}
