//! Who is on a roster, and what the dead leave on it.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::{fs, thread};

use diskette_ipc::Roster;
use diskette_testkit::{Child, Forked, PATIENCE, eventually, role};

role! {
    /// Shows a number and holds a word.
    fn somebody(parent) {
        let roster = Roster::open(&parent.arg::<PathBuf>(0)).unwrap();
        let mut member = roster.join().unwrap();
        member.show(parent.arg(1));
        let holds = member.hold(parent.arg(2));
        parent.say(holds);
        parent.hear();
    }
}

fn spawn(path: &Path, shows: u64, word: usize) -> (Child, bool) {
    let mut child = Child::spawn(somebody, &[&path.display(), &shows, &word]);
    let holds = child.hear(PATIENCE).parse().unwrap();
    (child, holds)
}

#[test]
fn who_is_killed_shows_and_holds_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("roster");
    let roster = Roster::open(&path).unwrap();
    let mut member = roster.join().unwrap();
    let (mut child, holds) = spawn(&path, 7, 3);
    assert!(holds);
    assert!(!member.hold(3) && member.is_held(3).unwrap());
    assert_eq!(member.least_shown(|_| true).unwrap(), Some(7));
    assert_eq!(member.least_shown(|shown| shown > 7).unwrap(), None);
    child.kill();
    assert_eq!(member.least_shown(|_| true).unwrap(), None);
    assert!(!member.is_held(3).unwrap());
    assert!(member.hold(3));
    // Also whoever has taken what the dead had.
    let (_child, holds) = spawn(&path, 9, 3);
    assert!(!holds);
    member.release(3);
    assert!(spawn(&path, 9, 3).1);
}

#[test]
fn a_copy_is_another() {
    let dir = tempfile::tempdir().unwrap();
    let [path, copy] = ["roster", "copy"].map(|name| dir.path().join(name));
    let id = Roster::open(&path).unwrap().id();
    fs::copy(&path, &copy).unwrap();
    assert_ne!(Roster::open(&copy).unwrap().id(), id);
    assert_eq!(Roster::open(&path).unwrap().id(), id);
}

#[test]
fn the_places_of_the_dead_are_taken_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("roster");
    let roster = Roster::open(&path).unwrap();
    let size = || fs::metadata(&path).unwrap().len();
    let before = size();
    for _ in 0..4 {
        let members: Vec<_> = (0..300).map(|_| roster.join().unwrap()).collect();
        assert!(size() > before);
        drop(members);
        spawn(&path, 1, 0).0.kill();
    }
    assert!(size() < before + 300 * 64);
    let all: Vec<_> = (0..4096).map(|_| roster.join().unwrap()).collect();
    assert!(roster.join().is_err());
    drop(all);
    let mut member = roster.join().unwrap();
    member.show(1);
    assert_eq!(member.least_shown(|_| true).unwrap(), Some(1));
}

#[test]
fn a_forked_child_is_nobody_and_keeps_nobody_alive() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("roster");
    let watching = Roster::open(&path).unwrap().join().unwrap();
    let roster = Roster::open(&path).unwrap();
    let mut member = roster.join().unwrap();
    member.show(5);
    assert!(member.hold(1));
    let Some(child) = Forked::both() else {
        drop((member, roster)); // as it has inherited them
        Forked::end(true)
    };
    assert!(child.ended_well());
    assert_eq!(watching.least_shown(|_| true).unwrap(), Some(5));
    assert!(watching.is_held(1).unwrap());

    let mut parent = Child::spawn(forking, &[&path.display()]);
    assert_eq!(parent.hear(PATIENCE), "forked");
    assert!(watching.is_held(2).unwrap());
    parent.kill();
    eventually(PATIENCE, || !watching.is_held(2).unwrap());
}

role! {
    /// Holds a word, and has a child that lives on.
    fn forking(parent) {
        let roster = Roster::open(&parent.arg::<PathBuf>(0)).unwrap();
        let mut member = roster.join().unwrap();
        assert!(member.hold(2));
        Forked::child(|| loop {
            thread::park();
        })
        .let_go();
        parent.say("forked");
        parent.hear();
    }
}
