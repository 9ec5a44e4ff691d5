//! A page that is slow to make, asked for by several processes at once, and again each time its copy has expired: what that costs
//! without a cache, with one, with one that lets one compute while the others wait, and with one that is refreshed in time.
//!
//! Try `cargo run --release -p diskette --example landing_page`. After diskcache's study of the same name.
#![allow(unreachable_pub, reason = "a program has no public API")]
#![allow(
    clippy::disallowed_methods,
    reason = "diskette's clock is diskette's, this is its user"
)]

mod figures;
mod picture;
mod style;
mod visitor;

use std::env;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::{Parser, ValueEnum, value_parser};
use diskette::{Index, Store};

use figures::{Figures, Visits};

/// Shows what becomes of a slow page that many ask for, with four ways to keep it.
#[derive(Parser)]
#[command(name = "landing_page")]
pub struct Options {
    /// Processes that ask for the page
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = value_parser!(u32).range(1..=64))]
    processes: u32,
    /// Threads of each of them
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = value_parser!(u32).range(1..=64))]
    threads: u32,
    /// For how long they ask, each way
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// How long it takes to make the page
    #[arg(long, value_name = "MS", default_value_t = 200, value_parser = value_parser!(u64).range(1..=10_000))]
    page_ms: u64,
    /// How long a copy is good
    #[arg(long, value_name = "MS", default_value_t = 1000, value_parser = value_parser!(u64).range(1..=3_600_000))]
    expiry_ms: u64,
    /// How early to refresh: less computes less often, and 0 not before the copy has expired
    #[arg(long, value_name = "BETA", default_value_t = 1.0)]
    beta: f64,
    /// Where to draw the picture
    #[arg(long, value_name = "FILE.svg", default_value = "landing_page.svg")]
    output: PathBuf,
    /// One of the processes
    #[arg(long, hide = true, requires = "store")]
    visitor: Option<Strategy>,
    #[arg(long, hide = true)]
    store: Option<PathBuf>,
}

/// What is done about the page's slowness.
#[derive(Clone, Copy, PartialEq, ValueEnum)]
pub enum Strategy {
    /// It is made for each call.
    None,
    /// It is kept, and made by all who find none: `get`, and `insert`.
    Memoize,
    /// It is kept, and made by one of those who find none: `Cache::memoize`.
    SingleFlight,
    /// It is kept, and made anew by one before the others find none: `Memoized`.
    EarlyRefresh,
}

impl Strategy {
    const fn name(self) -> &'static str {
        match self {
            Strategy::None => "none",
            Strategy::Memoize => "memoize",
            Strategy::SingleFlight => "single flight",
            Strategy::EarlyRefresh => "early refresh",
        }
    }
}

/// What each of the processes has seen.
type Seen = Index<u32, Visits>;

fn main() -> Result<()> {
    let options = Options::parse();
    match (options.visitor, &options.store) {
        (Some(strategy), Some(store)) => visitor::visit(strategy, store, &options),
        _ => compare(&options),
    }
}

/// This program, as it is started: tries each strategy with processes of its own.
fn compare(options: &Options) -> Result<()> {
    let output = options.output.display();
    let cannot_write = || format!("cannot write {output}");
    let mut picture = File::create(&options.output).with_context(cannot_write)?;
    println!(
        "{} processes x {} threads ask for a page that takes {} ms and is good for {} ms, {} s for each line:\n",
        options.processes, options.threads, options.page_ms, options.expiry_ms, options.seconds
    );
    println!("{}", Figures::HEADER);
    let mut all = Vec::new();
    for strategy in Strategy::value_variants() {
        let visits = try_out(*strategy, options).context(strategy.name())?;
        let figures = Figures::of(&visits);
        println!("{:<14}{figures}", strategy.name());
        all.push((*strategy, visits, figures));
    }
    let drawn = picture::draw(&all, options)?;
    picture
        .write_all(drawn.as_bytes())
        .with_context(cannot_write)?;
    println!("\nThe picture: {output}");
    Ok(())
}

fn try_out(strategy: Strategy, options: &Options) -> Result<Visits> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("store");
    let seen = Seen::new(&Store::open(&path)?, "seen")?;
    let processes = (0..options.processes).map(|_| start(strategy, &path));
    for mut process in processes.collect::<Result<Vec<_>>>()? {
        ensure!(process.wait()?.success(), "a process failed");
    }
    let mut all = Visits::default();
    for visits in seen.values() {
        all.extend(visits?);
    }
    Ok(all)
}

fn start(strategy: Strategy, store: &Path) -> Result<std::process::Child> {
    let mut command = Command::new(env::current_exe()?);
    command.args(env::args_os().skip(1));
    let strategy = strategy.to_possible_value().context("a strategy")?;
    command.args(["--visitor", strategy.get_name()]);
    Ok(command.arg("--store").arg(store).spawn()?)
}

/// Milliseconds, as the command line has them.
const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}
