//! What a process has cost, from `/proc`.

use std::fs;
use std::time::Duration;

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

/// The file `name` of each thread.
fn threads(pid: u32, name: &'static str) -> impl Iterator<Item = String> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("a living process");
    tasks.filter_map(move |task| fs::read_to_string(task.ok()?.path().join(name)).ok())
}

fn number(text: Option<&str>) -> u64 {
    let number = text.and_then(|text| text.trim().parse().ok());
    number.expect("a number in /proc")
}
