//! Being told who dies.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;
use std::{fs, io, thread};

use diskette_ipc::{DeathWatch, OwnerId, Owners, clock};
use diskette_testkit::{Child, PATIENCE, at_best_within, role};
use tempfile::{TempDir, tempdir};

role! {
    /// Lives until it is killed, or told to end in good order.
    fn mortal(parent) {
        let owners = open(&parent.arg::<PathBuf>(0));
        parent.say(owners.me().unwrap().as_i64());
        parent.hear();
    }
}

const LIVES: usize = 200;

role! {
    /// Lives many short lives.
    fn mayfly(parent) {
        let home: PathBuf = parent.arg(0);
        for life in 0..LIVES {
            let owners = open(&home);
            parent.say(owners.me().unwrap().as_i64());
            if life % 2 == 0 {
                owners.bequeath(1).unwrap(); // so that its file stays
            }
        }
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

/// What the watch tells next, in time.
fn next(watch: &mut DeathWatch) -> io::Result<Option<OwnerId>> {
    let stopper = watch.stopper();
    let (told, hear) = mpsc::channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            if hear.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                stopper.stop();
            }
        });
        let news = watch.next();
        drop(told);
        news
    })
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
    assert_eq!(next(&mut watch).unwrap(), Some(before));

    let (mut came_later, later) = spawn(home.path());
    came_later.kill();
    assert_eq!(next(&mut watch).unwrap(), Some(later));

    owners.bury(before).unwrap();
    there_before.kill();
    assert_eq!(next(&mut watch).unwrap(), Some(there));

    let (mut orderly, in_order) = spawn(home.path());
    orderly.say("end");
    assert_eq!(next(&mut watch).unwrap(), Some(in_order));
    orderly.wait(PATIENCE);

    watch.stopper().stop();
    assert_eq!(next(&mut watch).unwrap(), None);
}

#[test]
fn in_a_storm_of_short_lives_each_death_is_told_once() {
    let home = home();
    let owners = open(home.path());
    let mut watch = owners.watch().unwrap();
    let spawn = |_| Child::spawn(mayfly, &[&home.path().display()]);
    let mut children: Vec<_> = (0..3).map(spawn).collect();

    let told: BTreeSet<_> = (0..3 * LIVES)
        .map(|_| {
            let id = next(&mut watch).unwrap().unwrap();
            owners.bury(id).unwrap();
            id.as_i64().to_string()
        })
        .collect();
    let lived: BTreeSet<_> = children
        .iter_mut()
        .flat_map(|child| (0..LIVES).map(|_| child.hear(PATIENCE)))
        .collect();
    assert!(told == lived, "{} of {} were told", told.len(), lived.len());
}

#[test]
fn a_death_is_told_long_before_the_safety_poll() {
    let home = home();
    let mut watch = open(home.path()).watch().unwrap();
    at_best_within(Duration::from_millis(100), || {
        let (mut child, id) = spawn(home.path());
        child.kill();
        let start = clock::now();
        assert_eq!(next(&mut watch).unwrap(), Some(id));
        start.elapsed()
    });
}

#[test]
fn a_stopped_watch_is_over_at_once_and_for_ever() {
    let home = home();
    let owners = open(home.path());
    let mut watch = owners.watch().unwrap();
    let stopper = watch.stopper();
    thread::scope(|scope| {
        let watcher = scope.spawn(|| next(&mut watch).unwrap());
        stopper.stop();
        assert_eq!(watcher.join().unwrap(), None);
    });
    stopper.stop();
    assert_eq!(next(&mut watch).unwrap(), None);
}

#[test]
fn a_directory_that_is_removed_is_an_error() {
    let home = home();
    let owners = open(home.path());
    let mut watch = owners.watch().unwrap();
    fs::remove_dir(home.path().join("owners")).unwrap();
    let error = next(&mut watch).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
}
