//! Who holds what: slots, their order, their dead, and a board that is damaged.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod damage;
mod deaths;
mod slots;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::{self, Scope, ScopedJoinHandle};

use diskette_ipc::{Board, Deadline, Hold, Owners, Slots, Taken};
use diskette_testkit::{PATIENCE, eventually};
use tempfile::{TempDir, tempdir};

fn home() -> TempDir {
    let home = tempdir().unwrap();
    fs::create_dir(home.path().join("owners")).unwrap();
    home
}

fn owners(home: &Path) -> Arc<Owners> {
    Arc::new(Owners::open(&home.join("owners"), home.join("owners.lock")).unwrap())
}

fn create(home: &Path) -> Arc<Board> {
    Arc::new(Board::create(&home.join("board"), home.join("seats"), owners(home), 1).unwrap())
}

fn open(home: &Path) -> Option<Arc<Board>> {
    let board = Board::open(&home.join("board"), home.join("seats"), owners(home));
    board.unwrap().map(Arc::new)
}

fn soon() -> Deadline {
    Deadline::after(PATIENCE)
}

#[track_caller]
fn held(taken: std::io::Result<Taken>) -> Hold {
    match taken.unwrap() {
        Taken::Held(hold) => hold,
        other => panic!("{other:?}"),
    }
}

/// Starts a thread that waits for `slots`, all of which are held, and returns when it has fallen asleep over it.
fn asleep<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    slots: &Slots,
    wait: impl FnOnce(&Slots) -> T + Send + 'scope,
) -> ScopedJoinHandle<'scope, T> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let name = format!("waiter {}", NUMBER.fetch_add(1, Ordering::Relaxed));
    let begun = Arc::new(AtomicBool::new(false));
    let (slots, begins) = (slots.clone(), Arc::clone(&begun));
    let waits = move || {
        // It has a seat from here on, and nothing to do but to wait.
        assert!(slots.try_take(1).unwrap().is_none());
        begins.store(true, Ordering::SeqCst);
        wait(&slots)
    };
    let builder = thread::Builder::new().name(name.clone());
    let thread = builder.spawn_scoped(scope, waits).unwrap();
    eventually(PATIENCE, || begun.load(Ordering::SeqCst) && sleeps(&name));
    thread
}

fn sleeps(name: &str) -> bool {
    let is_it = |task: &PathBuf| {
        fs::read_to_string(task.join("comm")).is_ok_and(|comm| comm.trim() == name)
    };
    let mut tasks = fs::read_dir("/proc/self/task").unwrap();
    let task = tasks.find_map(|task| Some(task.ok()?.path()).filter(is_it));
    let stat = task.and_then(|task| fs::read_to_string(task.join("stat")).ok());
    stat.is_some_and(|stat| stat.contains(") S "))
}
