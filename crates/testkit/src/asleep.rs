//! Threads that are known to wait.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::{self, Scope, ScopedJoinHandle};

use crate::{PATIENCE, eventually};

/// Starts a thread that runs `begin` and then `wait`, and returns when it has fallen asleep in the latter.
///
/// # Panics
///
/// If it doesn't.
#[track_caller]
pub fn asleep<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    begin: impl FnOnce() + Send + 'scope,
    wait: impl FnOnce() -> T + Send + 'scope,
) -> ScopedJoinHandle<'scope, T> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let name = format!("sleeper {}", NUMBER.fetch_add(1, Ordering::Relaxed));
    let begun = Arc::new(AtomicBool::new(false));
    let begins = Arc::clone(&begun);
    let thread = thread::Builder::new()
        .name(name.clone())
        .spawn_scoped(scope, move || {
            begin();
            begins.store(true, Ordering::SeqCst);
            wait()
        });
    eventually(PATIENCE, || begun.load(Ordering::SeqCst) && sleeps(&name));
    thread.expect("a thread")
}

fn sleeps(thread: &str) -> bool {
    let is_it = |task: &PathBuf| {
        fs::read_to_string(task.join("comm")).is_ok_and(|comm| comm.trim() == thread)
    };
    let mut tasks = fs::read_dir("/proc/self/task").expect("the threads of this process");
    let task = tasks.find_map(|task| Some(task.ok()?.path()).filter(is_it));
    let stat = task.and_then(|task| fs::read_to_string(task.join("stat")).ok());
    stat.is_some_and(|stat| stat.contains(") S "))
}
