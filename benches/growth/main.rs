//! How cost grows: with entries, with structures in a store, with processes and with threads that write to it.
//!
//! `cargo bench --bench growth`, or with the names of some: `-- entries structures processes threads`; `--most 7` goes on to ten million
//! entries, `--quick` ends at ten thousand, a hundred structures and eight who write. What was measured is also drawn, into
//! `growth.svg` in the target directory.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a bench that fails has nothing to say, and it measures time"
)]

mod crowds;
mod entries;
mod openings;
mod picture;
mod structures;
#[path = "../../examples/landing_page/style.rs"]
mod style;

use std::env;
use std::path::Path;
use std::time::{Duration, Instant};

use diskette_benches::{is_asked_for, scaled};
use diskette_testkit::is_child;

/// How each operation's cost depends on a size.
struct Growth {
    title: &'static str,
    /// What is counted.
    size: &'static str,
    sizes: Vec<u64>,
    curves: Vec<Curve>,
}

struct Curve {
    operation: &'static str,
    /// Microseconds, for each size.
    cost: Vec<f64>,
}

/// How far to go.
#[derive(Clone, Copy)]
struct Reach {
    /// Entries and structures as powers of ten, those who write as one of two.
    entries: u32,
    structures: u32,
    writers: u32,
}

fn main() {
    if is_child() {
        crowds::insert();
        return openings::open();
    }
    if !is_asked_for() {
        return;
    }
    let is_quick = scaled(false, true) || env::args().any(|argument| argument == "--quick");
    let reach = match is_quick {
        true => Reach {
            entries: 4,
            structures: 2,
            writers: 3,
        },
        false => Reach {
            entries: option("--most").map_or(6, |most| most.parse().expect("a power of ten")),
            structures: 4,
            writers: 6,
        },
    };
    type Measure = fn(Reach) -> Growth;
    let all: [(&str, Measure); 4] = [
        ("entries", entries::measure),
        ("structures", structures::measure),
        ("processes", crowds::of_processes),
        ("threads", crowds::of_threads),
    ];
    let named = |name: &str| env::args().skip(1).any(|argument| argument == name);
    let any = all.iter().any(|(name, _)| named(name));
    let mut drawn = Vec::new();
    for (name, measure) in all {
        if !any || named(name) {
            let growth = measure(reach);
            growth.print();
            drawn.push(growth);
        }
    }
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("growth.svg");
    std::fs::write(&path, picture::draw(&drawn).expect("a picture")).expect("a file");
    println!("drawn in {}", path.display());
}

/// What follows `name` on the command line.
fn option(name: &str) -> Option<String> {
    env::args().skip_while(|argument| argument != name).nth(1)
}

impl Growth {
    fn new(title: &'static str, size: &'static str, sizes: Vec<u64>) -> Self {
        Growth {
            title,
            size,
            sizes,
            curves: Vec::new(),
        }
    }

    fn add(&mut self, operation: &'static str, cost: Duration) {
        let cost = cost.as_nanos() as f64 / 1000.0;
        match self.curves.iter_mut().find(|it| it.operation == operation) {
            Some(curve) => curve.cost.push(cost),
            None => self.curves.push(Curve {
                operation,
                cost: vec![cost],
            }),
        }
    }

    fn print(&self) {
        println!("{}", self.title);
        print!("{:<34}", self.size);
        self.sizes.iter().for_each(|size| print!(" {size:>10}"));
        println!("  last / first");
        for curve in &self.curves {
            print!("{:<34}", curve.operation);
            curve.cost.iter().for_each(|cost| print!(" {cost:>10.2}"));
            let ends = curve.cost.first().zip(curve.cost.last());
            println!("  {:>12.2}", ends.map_or(1.0, |(first, last)| last / first));
        }
        println!();
    }
}

/// The median of so many calls, of which each is given its number.
fn median(calls: usize, mut call: impl FnMut(usize)) -> Duration {
    let mut took: Vec<_> = (0..calls).map(|n| time(|| call(n)).1).collect();
    took.sort_unstable();
    took[calls / 2]
}

fn time<R>(work: impl FnOnce() -> R) -> (R, Duration) {
    let start = Instant::now();
    let result = work();
    (result, start.elapsed())
}

/// Ones that are spread over `below`, always the same.
fn spread(n: usize, below: u64) -> u64 {
    (n as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) % below
}

fn directory() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory on the disk")
}
