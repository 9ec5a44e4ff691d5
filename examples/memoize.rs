//! Processes that want the same slow values. Of those who ask for one a single process computes it, the others wait, asleep, and
//! who comes later gets it at once. With `--kill` one is killed in the middle of it, and another takes over.
//!
//! Try `cargo run --release -p diskette --example memoize -- --kill`.
#![allow(
    clippy::disallowed_methods,
    reason = "diskette's clock is diskette's, this is its user"
)]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use std::{env, fmt, thread};

use anyhow::{Context, Result, anyhow, ensure};
use clap::Parser;
use diskette::{Cache, Deque, Fresh, Store};
use serde::{Deserialize, Serialize};

const CITIES: [&str; 3] = ["Lima", "Oslo", "Rome"];
const SLOW: Duration = Duration::from_secs(1);

/// Shows how several processes share slow values.
#[derive(Parser)]
#[command(name = "memoize")]
struct Options {
    /// Processes that want the values
    #[arg(long, value_name = "N", default_value_t = 4)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=8))]
    processes: u32,
    /// Kill the first that computes (SIGKILL), in the middle of it
    #[arg(long)]
    kill: bool,
    /// One of the processes
    #[arg(long, hide = true, num_args = 2, value_names = ["STORE", "NUMBER"])]
    process: Option<Vec<String>>,
}

/// What a process has to tell.
#[derive(Serialize, Deserialize)]
enum News {
    Asks(String),
    Computes(String),
    Has(String, Duration),
    Killed,
    Goes,
}

type Forecasts = Cache<String, String>;
type Told = Deque<(u32, News)>;

fn main() -> Result<()> {
    let options = Options::parse();
    match options.process.as_deref() {
        Some([store, number]) => ask(store.as_ref(), number.parse()?),
        _ => watch(&options),
    }
}

/// One of the processes: asks for all of them, two processes at a time for the same one first.
fn ask(store: &Path, number: u32) -> Result<()> {
    let store = Store::open(store)?;
    let forecasts = Forecasts::new(&store, "forecasts")?;
    let told = Told::new(&store, "told")?;
    let tell = |news| told.push_back(&(number, news));
    for step in 0..CITIES.len() {
        let city = CITIES[(number as usize / 2 + step) % CITIES.len()];
        tell(News::Asks(city.into()))?;
        let asked = Instant::now();
        forecasts.try_memoize(city, Fresh::forever(), || {
            tell(News::Computes(city.into()))?;
            thread::sleep(SLOW); // a server far away, a model that thinks
            diskette::Ok("sunny".into())
        })?;
        tell(News::Has(city.into(), asked.elapsed()))?;
    }
    Ok(tell(News::Goes)?)
}

/// This program, as it is started: starts the others, and prints what they tell, each in its column.
fn watch(options: &Options) -> Result<()> {
    let directory = tempfile::tempdir()?;
    let store = Store::open(directory.path().join("store"))?;
    let told = Told::new(&store, "told")?;

    let names = (1..=options.processes).map(|number| format!("process {number:<9}"));
    println!("Each forecast takes {SLOW:?} to compute.\n");
    println!("           {}", names.collect::<String>());
    let start = Instant::now();
    let process = |number| Ok((number, start_process(store.path(), number)?));
    let processes = (0..options.processes).map(process);
    let mut processes: BTreeMap<_, _> = processes.collect::<Result<_>>()?;

    let (mut killer, mut ended) = (None, 0);
    while ended < options.processes {
        let news = told.pop_front_timeout(10 * SLOW)?;
        let (number, news) = news.context("nobody has told anything for a while")?;
        let column = 18 * number as usize;
        let seconds = start.elapsed().as_secs_f64();
        println!("{seconds:>7.3} s  {:column$}{news}", "");
        match news {
            News::Computes(_) if options.kill && killer.is_none() => {
                let victim = processes.remove(&number).context("one of them")?;
                killer = Some(kill_midway(victim, number, told.clone()));
            }
            News::Goes | News::Killed => ended += 1,
            _ => {}
        }
    }
    if let Some(killer) = killer {
        killer.join().map_err(|_| anyhow!("a panic"))??;
    }
    for (number, mut process) in processes {
        ensure!(process.wait()?.success(), "process {} failed", number + 1);
    }
    Ok(())
}

fn start_process(store: &Path, number: u32) -> Result<Child> {
    let mut command = Command::new(env::current_exe()?);
    command.arg("--process").arg(store).arg(number.to_string());
    Ok(command.spawn()?)
}

fn kill_midway(mut victim: Child, number: u32, told: Told) -> JoinHandle<Result<()>> {
    thread::spawn(move || {
        thread::sleep(SLOW / 2);
        told.push_back(&(number, News::Killed))?;
        victim.kill()?; // by SIGKILL
        victim.wait()?;
        Ok(())
    })
}

impl fmt::Display for News {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            News::Asks(city) => write!(f, "{city}?"),
            News::Computes(city) => write!(f, "{city}: computes"),
            News::Has(city, waited) if *waited < SLOW / 20 => write!(f, "{city}: at once"),
            News::Has(city, waited) => write!(f, "{city}: {:.2} s", waited.as_secs_f64()),
            News::Killed => write!(f, "is killed"),
            News::Goes => write!(f, "goes"),
        }
    }
}
