//! What a process has cost, from `/proc`, and what it may cost.

use std::fs::{self, File};
use std::time::Duration;

use diskette_ipc::clock;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// The processor time that all threads of a process have taken.
///
/// # Panics
///
/// If there is no such process.
#[must_use]
pub fn cpu_time(pid: u32) -> Duration {
    let nanoseconds = threads(pid, "schedstat").map(|stat| number(stat.split(' ').next()));
    Duration::from_nanos(nanoseconds.sum())
}

/// How often the threads of a process have gone to sleep. One that polls does so all the time.
///
/// # Panics
///
/// If there is no such process.
#[must_use]
pub fn context_switches(pid: u32) -> u64 {
    let times = threads(pid, "status").map(|status| {
        let mut lines = status.lines();
        number(lines.find_map(|line| line.strip_prefix("voluntary_ctxt_switches:")))
    });
    times.sum()
}

/// Processes sleep while `wait` runs, in one of a few such whiles: what they did before may not have ended in the first. Who sleeps may
/// look twice a second in case that a ring was lost, whatever a look costs; who polls is never at rest.
///
/// # Panics
///
/// If they don't, or one of them is gone.
#[track_caller]
pub fn assert_rest(pids: &[u32], mut wait: impl FnMut()) {
    let mut seen = Vec::new();
    let rest = (0..5).any(|_| {
        let (awakes, busy) = restlessness(pids, &mut wait);
        seen.push((awakes, busy));
        awakes < 12.0 && busy < 0.05
    });
    assert!(rest, "{seen:?}");
}

/// How often each of them awakes in a second, and what part of a processor it takes, on average.
fn restlessness(pids: &[u32], wait: impl FnOnce()) -> (f64, f64) {
    let each =
        |of: fn(u32) -> f64| pids.iter().map(|&pid| of(pid)).sum::<f64>() / pids.len() as f64;
    let woken = || each(|pid| context_switches(pid) as f64);
    let busy = || each(|pid| cpu_time(pid).as_secs_f64());
    let (woken_before, busy_before, begun) = (woken(), busy(), clock::now());
    wait();
    let time = begun.elapsed().as_secs_f64();
    (
        (woken() - woken_before) / time,
        (busy() - busy_before) / time,
    )
}

/// Takes all descriptors that this process may have, up to a few hundred, until what is returned is dropped.
///
/// # Panics
///
/// If their number can't be limited.
#[must_use]
pub fn take_all_descriptors() -> Vec<File> {
    const MOST: u64 = 256;
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    setrlimit(Resource::RLIMIT_NOFILE, MOST.min(hard), hard).expect("a lower limit");
    std::iter::from_fn(|| File::open("/dev/null").ok()).collect()
}

/// The file `name` of each thread.
fn threads(pid: u32, name: &'static str) -> impl Iterator<Item = String> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("a living process");
    tasks.filter_map(move |task| fs::read_to_string(task.ok()?.path().join(name)).ok())
}

fn number(text: Option<&str>) -> u64 {
    let number = text.and_then(|text| text.trim().parse().ok());
    number.expect("a number in /proc")
}
