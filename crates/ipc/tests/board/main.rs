//! Who holds what: slots, their order, their dead, and a board that is damaged.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod damage;
mod deaths;
mod slots;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::thread::{Scope, ScopedJoinHandle};

use diskette_ipc::{Board, Deadline, Hold, Owners, Slots, Taken};
use diskette_testkit::PATIENCE;
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
    let (held, slots) = (slots.clone(), slots.clone());
    // Then it has a seat, and nothing to do but to wait.
    let begin = move || assert!(held.try_take(1).unwrap().is_none());
    diskette_testkit::asleep(scope, begin, move || wait(&slots))
}
