//! Threads of one process that all write to one store: what they do together, the longest wait of any, how evenly they share.
//!
//! `cargo bench --bench threads`; with `-- --sync 100` a sync of the disk takes 100 microseconds more than it does, with
//! `--below /dev/shm` next to nothing; `--threads 8` measures nothing else.
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    reason = "it measures time, and ends at the first error"
)]

mod slow_sync;

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use diskette::{Durability, Index, Store};
use diskette_benches::scaled;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::{TimeVal, TimeValLike};

const THREADS: [usize; 4] = [1, 2, 8, 32];
const TIME: Duration = Duration::from_millis(scaled(2000, 20));
const ROUNDS: usize = scaled(3, 1);
const KEYS: usize = 10_000;

fn main() {
    if !diskette_benches::is_asked_for() {
        return;
    }
    slow_sync::begin_anew_if_asked();
    let asked: Option<usize> =
        argument("--threads").map(|number| number.parse().expect("a number of threads"));
    let below = argument("--below").unwrap_or_else(|| env!("CARGO_TARGET_TMPDIR").to_owned());
    println!(
        "inserts of 30 bytes; medians of {ROUNDS} rounds; for each insert the processor's microseconds, and how often a thread slept\n"
    );
    println!(
        "{:<10} {:>8} {:>9} {:>9} {:>12} {:>7} {:>9} {:>9}",
        "", "threads", "ops/s", "x of one", "longest ms", "share", "CPU", "sleeps"
    );
    for durability in [Durability::Process, Durability::Power] {
        let mut alone = None;
        for threads in THREADS
            .into_iter()
            .filter(|threads| asked.is_none_or(|asked| asked == *threads))
        {
            let mut rounds: Vec<_> = (0..ROUNDS)
                .map(|_| Round::of(&below, threads, durability))
                .collect();
            rounds.sort_by(|a, b| a.throughput.total_cmp(&b.throughput));
            let middle = &rounds[ROUNDS / 2];
            let alone = *alone.get_or_insert(middle.throughput);
            println!(
                "{:<10} {threads:>8} {:>9.0} {:>9.2} {:>12.1} {:>7.2} {:>9.1} {:>9.3}",
                format!("{durability:?}"),
                middle.throughput,
                middle.throughput / alone,
                middle.longest.as_secs_f64() * 1000.0,
                middle.share,
                middle.processor,
                middle.sleeps,
            );
        }
    }
}

/// What follows `name` on the command line.
pub(crate) fn argument(name: &str) -> Option<String> {
    std::env::args()
        .skip_while(|argument| argument != name)
        .nth(1)
}

struct Round {
    throughput: f64,
    longest: Duration,
    /// The smallest number of operations of a thread by the largest.
    share: f64,
    /// Microseconds of the processor for each operation.
    processor: f64,
    /// For each operation.
    sleeps: f64,
}

impl Round {
    fn of(below: &str, threads: usize, durability: Durability) -> Self {
        let dir = tempfile::tempdir_in(below).expect("a directory");
        let store = Store::options()
            .durability(durability)
            .open(dir.path().join("store"))
            .expect("a store");
        let index = Index::<String, String>::new(&store, "index").expect("an index");
        let start = Barrier::new(threads);
        let insert = |thread: usize| {
            let (mut done, mut longest) = (0, Duration::ZERO);
            start.wait();
            let begun = Instant::now();
            let mut before = begun;
            while before - begun < TIME {
                let key = format!("{:08}", (done * 7919 + thread * 104_729) % KEYS);
                // Never what is there: SQLite writes nothing then.
                let value = format!("{thread:02} {done:027}");
                index.insert(&key, &value).expect("a write");
                let now = Instant::now();
                longest = longest.max(now - before);
                before = now;
                done += 1;
            }
            (done, longest)
        };
        let before = used();
        let all: Vec<_> = thread::scope(|scope| {
            let insert = &insert;
            let all: Vec<_> = (0..threads)
                .map(|thread| scope.spawn(move || insert(thread)))
                .collect();
            all.into_iter()
                .map(|thread| thread.join().expect("a thread"))
                .collect()
        });
        let after = used();
        let done = || all.iter().map(|&(done, _)| done as f64);
        let total: f64 = done().sum();
        Round {
            throughput: total / TIME.as_secs_f64(),
            longest: all
                .iter()
                .map(|&(_, longest)| longest)
                .max()
                .unwrap_or_default(),
            share: done().fold(f64::MAX, f64::min) / done().fold(0.0, f64::max),
            processor: (after.0 - before.0) as f64 / total,
            sleeps: (after.1 - before.1) as f64 / total,
        }
    }
}

/// Microseconds of the processor, and how often a thread has gone to sleep.
fn used() -> (i64, i64) {
    let usage = getrusage(UsageWho::RUSAGE_SELF).expect("what this process has used");
    let [user, system] = [usage.user_time(), usage.system_time()];
    let microseconds = |time: TimeVal| time.num_microseconds();
    (
        microseconds(user) + microseconds(system),
        usage.voluntary_context_switches(),
    )
}
