//! Where, when and with what it was measured.

use std::fs::{self, File};
use std::io::{Seek, Write};
use std::process::Command;
use std::time::Instant;

use serde::Serialize;

use crate::{Extent, racer, servers};

#[derive(Serialize)]
pub(crate) struct Circumstances {
    pub(crate) machine: String,
    pub(crate) versions: Vec<String>,
    /// Of a look at the clock, which is in each figure, and of a sync of 4 KiB; medians, in microseconds.
    pub(crate) clock: f64,
    pub(crate) sync: f64,
    pub(crate) seconds: f64,
}

impl Circumstances {
    pub(crate) fn now(extent: &Extent) -> Self {
        Circumstances {
            machine: machine(),
            versions: versions(),
            clock: median(|| ()),
            sync: sync(),
            seconds: extent.seconds,
        }
    }
}

fn machine() -> String {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let (cpu, memory) = (read("/proc/cpuinfo"), read("/proc/meminfo"));
    let value = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        let value = line.and_then(|line| Some(line.split_once(':')?.1.trim().to_owned()));
        value.unwrap_or_else(|| "?".to_owned())
    };
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kilobytes: u64 = value(&memory, "MemTotal")
        .trim_end_matches(" kB")
        .parse()
        .unwrap_or_default();
    format!(
        "{cores} cores of {}, {} GiB, {} {}, files on {}, {}",
        value(&cpu, "model name"),
        (kilobytes + (1 << 19)) >> 20,
        said("uname", &["-s"]),
        said("uname", &["-r"]),
        said("stat", &["-f", "-c", "%T", env!("CARGO_TARGET_TMPDIR")]),
        said("date", &["--iso-8601"]),
    )
}

fn versions() -> Vec<String> {
    let mut all = vec![
        format!(
            "diskette {} ({})",
            env!("CARGO_PKG_VERSION"),
            said("git", &["describe", "--always", "--dirty"])
        ),
        format!("SQLite {} (ours and raw)", rusqlite::version()),
        said("rustc", &["--version"]),
    ];
    let programs = ["redis-server", "memcached", "psql"];
    all.extend(programs.into_iter().filter_map(servers::version));
    let Some(peers) = racer::installed() else {
        return all;
    };
    let lock = include_str!("../others/Cargo.lock");
    let locked = |name: &str| {
        let (_, after) = lock.split_once(&format!("name = \"{name}\"\nversion = \""))?;
        Some(format!("{name} {}", after.split('"').next()?))
    };
    let crates = ["heed", "redb", "fjall", "redis"];
    all.extend(crates.into_iter().filter_map(locked));
    let python = peers.join("everybody/bin/python");
    let python = python.to_str().unwrap_or_default();
    all.push(said(python, &["--version"]));
    let sqlite = "import sqlite3; print('SQLite', sqlite3.sqlite_version, '(of Python)')";
    all.push(said(python, &["-c", sqlite]));
    let packages = said(python, &["-m", "pip", "freeze"]);
    all.extend(packages.lines().map(|line| line.replace("==", " ")));
    all
}

fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let said = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    said.unwrap_or_else(|_| format!("{program}: ?"))
}

fn sync() -> f64 {
    let mut file = tempfile::tempfile_in(env!("CARGO_TARGET_TMPDIR")).expect("a file");
    let write = |file: &mut File, n: u8| {
        file.rewind().expect("a file");
        file.write_all(&[n; 4096]).expect("room");
        file.sync_data().expect("a sync");
    };
    write(&mut file, 0);
    let mut n = 0;
    median(|| {
        n ^= 1;
        write(&mut file, n);
    })
}

#[allow(clippy::disallowed_methods)]
fn median(mut run: impl FnMut()) -> f64 {
    let mut took = [(); 101].map(|()| {
        let start = Instant::now();
        run();
        start.elapsed()
    });
    took.sort_unstable();
    took[50].as_nanos() as f64 / 1000.0
}
