//! Being told who dies.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use diskette_ipc::{OwnerId, Owners, clock};
use diskette_testkit::{Child, PATIENCE, role};
use tempfile::{TempDir, tempdir};

role! {
    /// Lives until it is killed, or told to end in good order.
    fn mortal(parent) {
        let owners = open(&parent.arg::<PathBuf>(0));
        parent.say(owners.me().unwrap().as_i64());
        parent.hear();
    }
}

fn home() -> TempDir {
    let home = tempdir().unwrap();
    fs::create_dir(home.path().join("owners")).unwrap();
    home
}

fn open(home: &Path) -> Owners {
    Owners::open(&home.join("owners"), home.join("lock")).unwrap()
}

fn spawn(home: &Path) -> (Child, OwnerId) {
    let mut child = Child::spawn(mortal, &[&home.display()]);
    let id = child.hear(PATIENCE).parse().unwrap();
    (child, OwnerId::from_i64(id))
}

#[test]
fn each_death_is_told_once_however_and_whenever_it_came() {
    let home = home();
    let owners = open(home.path());
    owners.me().unwrap();

    let (mut dead_before, before) = spawn(home.path());
    let (mut there_before, there) = spawn(home.path());
    dead_before.kill();

    let mut watch = owners.watch().unwrap();
    assert_eq!(watch.next().unwrap(), Some(before));

    let (mut came_later, later) = spawn(home.path());
    came_later.kill();
    assert_eq!(watch.next().unwrap(), Some(later));

    owners.bury(before).unwrap(); // which is no second death
    there_before.kill();
    assert_eq!(watch.next().unwrap(), Some(there));

    let (mut orderly, in_order) = spawn(home.path());
    orderly.say("end");
    assert_eq!(watch.next().unwrap(), Some(in_order));
    orderly.wait(PATIENCE);

    watch.stopper().stop();
    assert_eq!(watch.next().unwrap(), None);
}

#[test]
fn a_death_is_told_long_before_the_safety_poll() {
    let home = home();
    let mut watch = open(home.path()).watch().unwrap();
    let mut delays: Vec<_> = (0..9)
        .map(|_| {
            let (mut child, id) = spawn(home.path());
            child.kill();
            let start = clock::now();
            assert_eq!(watch.next().unwrap(), Some(id));
            start.elapsed()
        })
        .collect();
    delays.sort();
    assert!(delays[4] < Duration::from_millis(100), "{delays:?}");
}

#[test]
fn a_stopped_watch_is_over_at_once_and_for_ever() {
    let home = home();
    let owners = open(home.path());
    let mut watch = owners.watch().unwrap();
    let stopper = watch.stopper();
    thread::scope(|scope| {
        let watcher = scope.spawn(|| watch.next().unwrap());
        stopper.stop();
        assert_eq!(watcher.join().unwrap(), None);
    });
    stopper.stop();
    assert_eq!(watch.next().unwrap(), None);
}

#[test]
fn a_directory_that_is_removed_is_an_error() {
    let home = home();
    let owners = open(home.path());
    let mut watch = owners.watch().unwrap();
    fs::remove_dir(home.path().join("owners")).unwrap();
    assert!(watch.next().is_err());
}
