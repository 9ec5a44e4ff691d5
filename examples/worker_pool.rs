//! Processes that share three permits, and a file under a lock. One of them dies with a permit in its hands, and nobody
//! has to wait for it.
//!
//! Try `cargo run --release -p diskette --example worker_pool`.

use std::path::Path;
use std::process::{self, Command};
use std::{env, fs};

use anyhow::{Result, ensure};
use diskette::{BoundedSemaphore, Lock, Store};

const WORKERS: u32 = 6;
const PERMITS: u32 = 3;
const JOBS: u32 = 4;

fn main() -> Result<()> {
    let args: Vec<_> = env::args().skip(1).collect();
    match &args[..] {
        [directory, number] => work(directory.as_ref(), number.parse()?),
        _ => watch(),
    }
}

/// One of the workers.
fn work(directory: &Path, number: u32) -> Result<()> {
    let store = Store::open(directory.join("store"))?;
    let machines = BoundedSemaphore::new(&store, "machines", PERMITS)?;
    let report = Lock::new(&store, "report")?;
    for job in 1..=JOBS {
        let permit = machines.acquire()?; // sleeps until one is free
        if number == WORKERS && job == 2 {
            println!("worker {number} dies with a permit in its hands");
            process::abort();
        }
        let answer = primes_below(50_000 * number);
        let in_use = machines.holders()?.len();
        permit.release()?;

        let guard = report.lock()?; // the others wait while the file is read and written
        let path = directory.join("report");
        let (token, mut text) = (guard.token(), fs::read_to_string(&path)?);
        text += &format!("worker {number}, job {job}: {answer:>5} primes, ");
        text += &format!("{in_use} of {PERMITS} permits in use, token {token}\n");
        fs::write(path, text)?;
        guard.release()?;
    }
    Ok(())
}

/// This program, as it is started: starts the workers, and prints their report.
fn watch() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let report = directory.path().join("report");
    fs::write(&report, "")?;

    println!("{WORKERS} workers with {JOBS} jobs each, of which {PERMITS} may work at a time");
    let worker = |number: u32| {
        let mut command = Command::new(env::current_exe()?);
        command
            .arg(directory.path())
            .arg(number.to_string())
            .spawn()
    };
    let workers = (1..=WORKERS).map(worker).collect::<Result<Vec<_>, _>>()?;
    let mut done = 0;
    for mut worker in workers {
        done += u32::from(worker.wait()?.success());
    }
    println!("{}", fs::read_to_string(report)?.trim_end());
    ensure!(done == WORKERS - 1, "{done} workers did all of their jobs");
    Ok(())
}

fn primes_below(n: u32) -> usize {
    let divisors = |n: u32| (2..).take_while(move |d| d * d <= n);
    let is_prime = |&n: &u32| !divisors(n).any(|d| n.is_multiple_of(d));
    (2..n).filter(is_prime).count()
}
