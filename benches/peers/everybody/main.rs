//! Everybody who does what diskette does, beside it: the same work, at the same durability, in one run.
//!
//! `benches/peers/run`, which installs them; without it, diskette and the raw statements alone. With `--quick` a part of it in some minutes, with
//! `--long` reads and writes among ten million entries; `--seconds 0.1` for each operation and `--entries 1000` say otherwise how much,
//! `--only redis,lmdb` those who have one of these in their names, beside diskette, and `--into DIRECTORY` where to write what came of it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a bench that fails has nothing to say"
)]

mod circumstances;
mod figures;
mod group;
mod on_diskette;
mod on_sqlite;
mod page;
mod peers;
mod picture;
#[path = "../racer.rs"]
mod racer;
#[path = "../../operations/raw.rs"]
mod raw;
mod servers;
#[path = "../../../examples/landing_page/style.rs"]
mod style;
#[path = "../subject.rs"]
mod subject;
mod usage;

use std::path::Path;
use std::{env, fs};

use diskette_benches::scaled;

use crate::circumstances::Circumstances;
use crate::figures::Figures;
use crate::group::Group;
use crate::peers::{OF_VALUES, OPERATIONS};

/// How much is measured.
#[derive(Clone, Copy)]
pub(crate) struct Extent {
    /// Of a value, in bytes.
    pub(crate) sizes: &'static [usize],
    pub(crate) processes: &'static [u64],
    /// For each operation.
    pub(crate) seconds: f64,
    /// So many, and of large values a tenth.
    entries: u64,
    pub(crate) operations: &'static [&'static str],
}

const LARGE: usize = 100 << 10;
const WHOLE: Extent = Extent {
    sizes: &[30, 1 << 10, LARGE],
    processes: &[1, 8],
    seconds: 1.0,
    entries: 10_000,
    operations: &OPERATIONS,
};
const QUICK: Extent = Extent {
    sizes: &[30],
    seconds: 0.2,
    ..WHOLE
};
const LONG: Extent = Extent {
    sizes: &[30],
    processes: &[1],
    seconds: 10.0,
    entries: 10_000_000,
    operations: &["get", "set"],
};
/// What `cargo test` runs, to show that all of it works.
const SMOKE: Extent = Extent {
    sizes: &[30],
    processes: &[2],
    seconds: 0.01,
    entries: 100,
    ..WHOLE
};

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [asked, name, store, power @ ..] = arguments.as_slice()
        && asked == "subject"
    {
        let power = !power.is_empty();
        return match name.as_str() {
            "raw" => on_sqlite::open(power).serve(),
            name => on_diskette::open(store, power, name != "no-memory").serve(),
        };
    }
    if !diskette_benches::is_asked_for() {
        return;
    }
    let asked = |name: &str| arguments.iter().any(|argument| argument == name);
    let after = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1)
    };
    let mut extent = match () {
        () if asked("--quick") => QUICK,
        () if asked("--long") => LONG,
        () => scaled(WHOLE, SMOKE),
    };
    if let Some(seconds) = after("--seconds") {
        extent.seconds = seconds.parse().expect("seconds");
    }
    if let Some(entries) = after("--entries") {
        extent.entries = entries.parse().expect("a number");
    }
    let only = after("--only").map(|names| names.split(',').collect::<Vec<_>>());
    let by_itself = concat!(env!("CARGO_TARGET_TMPDIR"), "/peers");
    let into = after("--into").map_or(by_itself, String::as_str);
    let into = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(into);
    if racer::installed().is_none() {
        println!("diskette and the raw statements alone; benches/peers/run installs the others\n");
    }

    let mut all = Figures::default();
    for &size in extent.sizes {
        for &processes in extent.processes {
            for peer in peers::all() {
                let name = peer.name.to_lowercase();
                let wanted = only.as_ref().is_none_or(|only| {
                    peer.is_ours() || only.iter().any(|it| name.contains(&it.to_lowercase()))
                });
                if wanted && processes <= peer.most && extent.has_work_for(&peer, size) {
                    if scaled(true, false) {
                        eprintln!("{}, {size} bytes, {processes} process(es)", peer.name);
                    }
                    Group::of(&peer, &extent, size, processes).measure(&mut all);
                }
            }
        }
    }
    fs::create_dir_all(&into).expect("a directory for the results");
    let circumstances = Circumstances::now(&extent);
    page::write(&into, &extent, &circumstances, &all);
    picture::write(&into, &extent, &all);
    println!("written to {}", into.display());
    assert!(scaled(true, all.failures.is_empty()), "see above");
}

impl Extent {
    pub(crate) fn entries(&self, size: usize) -> u64 {
        match size {
            LARGE => self.entries / 10,
            _ => self.entries,
        }
    }

    /// What doesn't depend on the size of a value is measured with the smallest.
    pub(crate) fn measures(&self, operation: &str, size: usize) -> bool {
        self.operations.contains(&operation)
            && (size == self.sizes[0] || OF_VALUES.contains(&operation))
    }

    fn has_work_for(&self, peer: &peers::Peer, size: usize) -> bool {
        let mut operations = peer.operations.iter();
        operations.any(|operation| self.measures(operation, size))
    }
}
