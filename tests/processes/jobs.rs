//! The jobs in examples/, whole: each file is compressed once, whichever processes are killed, and what can't be done is told.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use diskette::{Index, JobState, Queue, Store};
use diskette_testkit::{PATIENCE, Random, eventually, files_below};
use flate2::read::GzDecoder;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use crate::crawler::example;

const SMALL: usize = 300;
/// Of those that are long in hand, so that a worker can be killed with one.
const LARGE: usize = 3;
const LARGE_BYTES: usize = 1 << 20;
/// For what takes its time on a machine that is slow and busy.
const LONG: Duration = PATIENCE.saturating_mul(10);

/// A tree of files, and what is made of it.
struct Tree {
    directory: tempfile::TempDir,
    program: PathBuf,
}

/// The beginning and the end of an attempt, as the example notes them.
#[derive(Debug, Serialize, Deserialize)]
struct Attempt {
    path: String,
    end: Option<End>,
}

#[derive(Debug, Serialize, Deserialize)]
struct End {
    succeeded: bool,
}

impl Tree {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let tree = Tree {
            directory,
            program: example("jobs"),
        };
        let mut random = Random::new(12);
        for number in 0..SMALL {
            let place = tree.source().join(format!("{}/{}", number % 7, number % 3));
            fs::create_dir_all(&place).unwrap();
            let bytes = random.below(8_000) as usize;
            fs::write(
                place.join(format!("{number}.txt")),
                text(&mut random, bytes),
            )
            .unwrap();
        }
        for number in 0..LARGE {
            let place = tree.source().join(format!("{number}/large {number}"));
            fs::write(place, text(&mut random, LARGE_BYTES)).unwrap();
        }
        std::os::unix::fs::symlink("mended", tree.source().join("leads nowhere")).unwrap();
        tree
    }

    fn source(&self) -> PathBuf {
        self.directory.path().canonicalize().unwrap().join("source")
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn report(&self) -> PathBuf {
        self.directory.path().join("report.html")
    }

    fn run(&self, options: &[&str]) -> Child {
        Command::new(&self.program)
            .arg(self.source())
            .args(["--workers", "3", "--level", "9"])
            .args(options)
            .arg("--data")
            .arg(self.data())
            .arg("--report")
            .arg(self.report())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    /// What the processes share, once they have made it.
    fn store(&self) -> Store {
        let attempts = || -> diskette::Result<_> {
            let store = Store::options()
                .create(false)
                .open(self.data().join("store"))?;
            let made = Index::<(u64, u32, u32), Attempt>::find(&store, "attempts")?;
            Ok(made.map(|_| store))
        };
        let mut found = None;
        eventually(LONG, || {
            found = attempts().ok().flatten();
            found.is_some()
        });
        found.unwrap()
    }
}

fn text(random: &mut Random, bytes: usize) -> String {
    let words = ["deque ", "index ", "cache ", "queue ", "lock\n"];
    let mut text = String::new();
    while text.len() < bytes {
        match random.below(6) as usize {
            5 => text += &random.number().to_string(),
            word => text += words[word],
        }
    }
    text
}

fn attempts(store: &Store) -> Vec<((u64, u32, u32), Attempt)> {
    let attempts = Index::new(store, "attempts").unwrap();
    attempts.iter().map(Result::unwrap).collect()
}

/// Kills the worker that has this file in hand, as soon as there is one; unless it was too fast.
fn kill_who_has(store: &Store, file: &str) {
    let killed = |pid: u32| kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL).is_ok();
    eventually(LONG, || {
        let attempts = attempts(store);
        let mut of_file = attempts.iter().filter(|(_, it)| it.path.ends_with(file));
        of_file.any(|((_, _, pid), attempt)| match &attempt.end {
            Some(end) => end.succeeded,
            None => killed(*pid),
        })
    });
}

fn ended(mut run: Child) -> (ExitStatus, String) {
    let mut out = String::new();
    run.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    (run.wait().unwrap(), out)
}

fn unpacked(file: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    GzDecoder::new(File::open(file).unwrap())
        .read_to_end(&mut bytes)
        .unwrap();
    bytes
}

/// How many bars of the first drawing have the colour of those that were cut off.
fn red_bars(report: &str) -> usize {
    let first = report.split("</svg>").next().unwrap();
    first
        .lines()
        .filter(|line| line.contains("<rect") && line.contains("#D01428"))
        .count()
}

#[test]
fn each_file_is_compressed_once_whoever_is_killed() {
    let tree = Tree::new();
    let mut run = tree.run(&["--fail-rate", "0.05"]);
    let store = tree.store();
    let jobs = Queue::<()>::new(&store, "jobs").unwrap();
    kill_who_has(&store, "large 0");
    kill_who_has(&store, "large 1");
    run.kill().unwrap();
    assert!(!ended(run).0.success());

    // It goes on, and is told to stop.
    let before = attempts(&store).len();
    let mut run = tree.run(&[]);
    eventually(LONG, || {
        attempts(&store).len() > before || run.try_wait().unwrap().is_some()
    });
    kill(Pid::from_raw(run.id().cast_signed()), Signal::SIGTERM).unwrap();
    let (status, _) = ended(run);
    // It may have had nothing left to do by then.
    assert!(matches!(status.code(), Some(130 | 1)), "{status}");
    assert_eq!(jobs.stats().unwrap().claimed, 0);

    let (status, out) = ended(tree.run(&[]));
    assert_eq!(status.code(), Some(1), "{out}");
    let letter = "leads nowhere: No such file or directory";
    assert!(out.contains(letter), "{out}");
    assert_eq!(jobs.list(JobState::Dead).count(), 1);

    fs::write(tree.source().join("mended"), "at last").unwrap();
    let (status, out) = ended(tree.run(&["--retry-dead"]));
    assert!(status.success(), "{out}");

    let files = files_below(&tree.source());
    let mended = |file: &&PathBuf| !file.ends_with("mended");
    let files: Vec<_> = files.iter().filter(mended).collect();
    assert_eq!(files.len(), SMALL + LARGE + 1);
    let output = tree.data().join("files");
    assert_eq!(files_below(&output).len(), files.len(), "and nothing else");
    let effects = Index::<u64, HashMap<String, u64>>::new(&store, "files").unwrap();
    let read = effects.values().map(|effect| effect.unwrap()["bytes_in"]);
    let sizes = files.iter().map(|file| fs::metadata(file).unwrap().len());
    assert_eq!(read.sum::<u64>(), sizes.sum::<u64>());
    assert_eq!(effects.len().unwrap(), files.len());
    let attempts = attempts(&store);
    let mut successes = HashMap::new();
    for (_, attempt) in &attempts {
        let success = attempt.end.as_ref().is_some_and(|end| end.succeeded);
        *successes.entry(&attempt.path).or_insert(0) += u32::from(success);
    }
    for file in files {
        assert_eq!(successes[&file.display().to_string()], 1, "{file:?}");
        let mut packed = output
            .join(file.strip_prefix("/").unwrap())
            .into_os_string();
        packed.push(".gz");
        assert!(
            unpacked(packed.as_ref()) == fs::read(file).unwrap(),
            "{file:?}"
        );
    }

    let report = fs::read_to_string(tree.report()).unwrap();
    let cut_off = attempts.iter().filter(|(_, it)| it.end.is_none()).count();
    let told = format!("{} attempts, {cut_off} of them cut off.", attempts.len());
    assert!(report.contains(&told), "{told}");
    assert_eq!(red_bars(&report), cut_off);
}
