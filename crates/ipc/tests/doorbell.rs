//! Wake-ups between processes: that they come, that nobody polls for them, and what happens to a lost one.
#![allow(clippy::unwrap_used)]

use std::fs::{self, OpenOptions};
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use diskette_ipc::{Deadline, Doorbell, clock};
use diskette_testkit::{Child, PATIENCE, context_switches, role};
use tempfile::tempdir;

const PING: usize = 1;
const PONG: usize = 2;
const SILENT: usize = 3;

role! {
    /// Answers each ring of one line by ringing another.
    fn echo(parent) {
        let bell = Doorbell::open(parent.arg::<PathBuf>(0)).unwrap();
        let mut seen = bell.seen(PING);
        parent.say("waiting");
        loop {
            while bell.seen(PING) == seen {
                assert!(bell.wait(PING, seen, Deadline::never()));
            }
            seen = bell.seen(PING);
            bell.ring(PONG);
        }
    }
}

role! {
    /// Waits at a line for a file to be there.
    fn expectant(parent) {
        let bell = Doorbell::open(parent.arg::<PathBuf>(0)).unwrap();
        let file: PathBuf = parent.arg(1);
        loop {
            let seen = bell.seen(SILENT);
            if file.exists() {
                break;
            }
            parent.say("waiting");
            assert!(bell.wait(SILENT, seen, Deadline::after(PATIENCE)));
        }
        parent.say("noticed");
    }
}

#[test]
fn a_waiter_is_woken_by_the_ring_and_sleeps_until_then() {
    const ROUNDS: u32 = 200;
    let dir = tempdir().unwrap();
    let path = dir.path().join("bell");
    let bell = Doorbell::open(&path).unwrap();
    let mut child = Child::spawn(echo, &[&path.display()]);
    child.hear(PATIENCE);

    let start = clock::now();
    for _ in 0..ROUNDS {
        let seen = bell.seen(PONG);
        bell.ring(PING);
        while bell.seen(PONG) == seen {
            assert!(
                bell.wait(PONG, seen, Deadline::after(PATIENCE)),
                "no answer"
            );
        }
    }
    let by_safety_polls = Doorbell::SAFETY_POLL * ROUNDS;
    assert!(
        start.elapsed() < by_safety_polls / 2,
        "the rings wake nobody"
    );

    // Within three safety polls the child wakes three times, and no more.
    let before = context_switches(child.id());
    let (seen, end) = (
        bell.seen(SILENT),
        Deadline::after(Doorbell::SAFETY_POLL * 3),
    );
    while bell.wait(SILENT, seen, end) {}
    let woken = context_switches(child.id()) - before;
    assert!(woken <= 6, "{woken} times awake within three safety polls");
}

#[test]
fn a_lost_ring_is_made_good_by_the_safety_poll() {
    let dir = tempdir().unwrap();
    let (path, file) = (dir.path().join("bell"), dir.path().join("file"));
    let mut child = Child::spawn(expectant, &[&path.display(), &file.display()]);
    assert_eq!(child.hear(PATIENCE), "waiting");

    fs::write(&file, "").unwrap(); // and no ring

    while child.hear(PATIENCE * 2) != "noticed" {}
}

#[test]
fn a_killed_waiter_takes_no_one_else_s_ring_away() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("bell");
    let bell = Doorbell::open(&path).unwrap();
    let mut killed = Child::spawn(echo, &[&path.display()]);
    let mut spared = Child::spawn(echo, &[&path.display()]);
    killed.hear(PATIENCE);
    spared.hear(PATIENCE);
    killed.kill();

    let seen = bell.seen(PONG);
    bell.ring(PING);
    while bell.seen(PONG) == seen {
        assert!(
            bell.wait(PONG, seen, Deadline::after(PATIENCE)),
            "no answer"
        );
    }
}

#[test]
fn a_deadline_is_not_passed_early_nor_does_it_hide_a_ring() {
    let dir = tempdir().unwrap();
    let bell = Doorbell::open(dir.path().join("bell")).unwrap();
    let seen = bell.seen(SILENT);

    let start = clock::now();
    let deadline = Deadline::after(Duration::from_millis(20));
    while bell.wait(SILENT, seen, deadline) {}
    assert!(start.elapsed() >= Duration::from_millis(20));

    bell.ring(SILENT + Doorbell::LINES); // the same line
    assert!(bell.wait(SILENT, seen, deadline), "rung, though it is late");
}

#[test]
fn all_who_create_it_at_once_get_the_same_doorbell() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("bell");
    let barrier = Barrier::new(8);
    let bells: Vec<_> = thread::scope(|scope| {
        let open = || {
            barrier.wait();
            let bell = Doorbell::open(&path).unwrap();
            bell.ring(PING);
            bell
        };
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(open)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });

    let silent = bells[0].seen(SILENT);
    assert_ne!(bells[0].seen(PING), silent);
    assert!(
        bells
            .iter()
            .all(|bell| bell.seen(PING) == bells[0].seen(PING))
    );
}

#[test]
fn a_longer_file_is_refused_and_any_content_accepted() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("bell");
    fs::write(&path, vec![b'?'; 64 * Doorbell::LINES + 1]).unwrap();
    let error = Doorbell::open(&path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData);

    fs::write(&path, vec![0xff; 64 * Doorbell::LINES - 1]).unwrap();
    let bell = Doorbell::open(&path).unwrap();
    let seen = bell.seen(PING);
    bell.ring(PING);
    assert!(bell.wait(PING, seen, Deadline::at_once()));
}

role! {
    /// Waits and rings at a bell that it cuts short, which may kill nobody.
    fn vandal(parent) {
        let path: PathBuf = parent.arg(0);
        let bell = Doorbell::open(&path).unwrap();
        let cut = || OpenOptions::new().write(true).open(&path).unwrap().set_len(0).unwrap();
        let seen = bell.seen(PING);
        cut();
        bell.ring(PING);
        assert_ne!(bell.seen(PING), seen);
        let seen = bell.seen(PING);
        cut();
        assert!(bell.wait(PING, seen, Deadline::after(PATIENCE)));
        cut();
        parent.say(bell.seen(PING) == seen);
    }
}

/// A page that isn't there any more is a SIGBUS for whoever looks at it.
#[test]
fn a_bell_that_is_cut_short_kills_nobody() {
    let dir = tempdir().unwrap();
    let mut child = Child::spawn(vandal, &[&dir.path().join("bell").display()]);
    child.hear(PATIENCE);
    assert!(child.wait(PATIENCE).success());
}
