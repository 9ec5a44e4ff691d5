//! Locks and permits, and the processes that hold them, wait for them, and die.

mod chaos;
mod circles;
mod losses;
mod owned;
mod waiting;

use std::path::Path;
use std::thread::{Scope, ScopedJoinHandle};
use std::time::Duration;

use diskette::{Lock, Store};
use diskette_ipc::{Clock, SystemClock};
use tempfile::TempDir;

/// A directory for a test: the store in it, and what else its processes share.
struct Home(TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> std::path::Display<'_> {
        self.0.path().display()
    }

    fn store(&self) -> Store {
        store(self.0.path())
    }
}

fn store(home: impl AsRef<Path>) -> Store {
    Store::open(home.as_ref().join("store")).unwrap()
}

/// Starts a thread that waits for a lock, which is held, and returns when it has fallen asleep over it.
fn asleep<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    lock: &Lock,
    wait: impl FnOnce(&Lock) -> T + Send + 'scope,
) -> ScopedJoinHandle<'scope, T> {
    let (held, lock) = (lock.clone(), lock.clone());
    // Then all is there that it needs, and nothing is left to do but to wait.
    let begin = move || assert!(held.try_lock().unwrap().is_none());
    diskette_testkit::asleep(scope, begin, move || wait(&lock))
}

/// The time since the system was started, which all processes count alike.
fn uptime() -> Duration {
    SystemClock::new().unwrap().read().uptime
}
