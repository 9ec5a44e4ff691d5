//! Processes under one rate limit. They share a directory and nothing else; together they make as many calls a second as
//! the limit lets them, and no more.
//!
//! Try `cargo run --release -p diskette --example rate_limit`.
#![allow(
    clippy::disallowed_methods,
    reason = "diskette's clock is diskette's, this is its user"
)]

use std::env;
use std::process::Command;
use std::time::{Duration, SystemTime};

use anyhow::{Result, ensure};
use diskette::{Index, Rate, Store, Throttle};

const PROCESSES: usize = 4;
const LIMIT: Rate = Rate::per_second(100).burst(20);
const TIME: Duration = Duration::from_secs(5);

/// Calls by second and process.
type Calls = Index<(u64, usize), u32>;

fn main() -> Result<()> {
    let args: Vec<_> = env::args().skip(1).collect();
    match &args[..] {
        [store, number, start] => call(store, number.parse()?, start.parse()?),
        _ => watch(),
    }
}

/// One of the processes: calls as often as it may, until the time is up.
fn call(store: &str, number: usize, start: u64) -> Result<()> {
    let start = SystemTime::UNIX_EPOCH + Duration::from_millis(start);
    let left = || TIME.saturating_sub(start.elapsed().unwrap_or_default());

    let store = Store::open(store)?;
    let calls = Calls::new(&store, "calls")?;
    let throttle = Throttle::new(&store, "calls a second", LIMIT)?;
    // Sleeps until it is its turn; at once an `Err`, when that would be too late.
    while !left().is_zero() && throttle.acquire_timeout(left())?.is_ok() {
        let second = start.elapsed().unwrap_or_default().as_secs();
        let count = calls.entry(&(second, number));
        count.and_modify(|count| *count += 1).or_insert(1)?;
    }
    Ok(())
}

/// This program, as it is started: starts the others, and counts.
fn watch() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let store = Store::open(directory.path().join("store"))?;
    let calls = Calls::new(&store, "calls")?;

    println!("{PROCESSES} processes under one limit: {LIMIT}");
    let start = SystemTime::UNIX_EPOCH.elapsed()?.as_millis().to_string();
    let process = |number: usize| {
        let mut command = Command::new(env::current_exe()?);
        command.arg(store.path());
        command.args([&number.to_string(), &start]).spawn()
    };
    let processes = (0..PROCESSES).map(process).collect::<Result<Vec<_>, _>>()?;
    for mut process in processes {
        ensure!(process.wait()?.success(), "a process failed");
    }

    println!("second   calls   by process");
    for second in 0..TIME.as_secs() {
        let count = |number| Ok(calls.get(&(second, number))?.unwrap_or(0));
        let counts = (0..PROCESSES).map(count).collect::<Result<Vec<u32>>>()?;
        let together: u32 = counts.iter().sum();
        println!("{second:>6} {together:>7}   {counts:?}");
    }
    Ok(())
}
