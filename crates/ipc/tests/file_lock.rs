//! Locks between processes: who gets them, when they come back from the dead, and giving up in time.
#![allow(clippy::unwrap_used)]

use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::time::Duration;
use std::{fs, thread};

use diskette_ipc::{Deadline, FileLock, Mode, clock};
use diskette_testkit::{Child, PATIENCE, role};
use tempfile::tempdir;

role! {
    /// Holds a lock until it is killed.
    fn holder(parent) {
        let lock = FileLock::open(parent.arg::<PathBuf>(0)).unwrap();
        assert!(lock.try_lock(Mode::Exclusive).unwrap());
        parent.say("held");
        parent.hear();
    }
}

#[test]
fn sharers_exclude_only_who_wants_to_be_alone() {
    let dir = tempdir().unwrap();
    let open = || FileLock::open(dir.path().join("lock")).unwrap();
    let (one, two, three) = (open(), open(), open());

    assert!(one.try_lock(Mode::Shared).unwrap());
    assert!(two.try_lock(Mode::Shared).unwrap());
    assert!(!three.try_lock(Mode::Exclusive).unwrap());
    one.unlock().unwrap();
    drop(two);
    assert!(three.try_lock(Mode::Exclusive).unwrap());
    assert!(!one.try_lock(Mode::Shared).unwrap());
}

#[test]
fn a_lock_is_free_as_soon_as_its_holder_is_killed() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    let mut child = Child::spawn(holder, &[&path.display()]);
    child.hear(PATIENCE);

    let lock = FileLock::open(&path).unwrap();
    assert!(!lock.try_lock(Mode::Shared).unwrap());
    thread::scope(|scope| {
        for deadline in [Deadline::never(), Deadline::after(PATIENCE)] {
            let path = &path;
            scope.spawn(move || {
                let lock = FileLock::open(path).unwrap();
                assert!(lock.lock(Mode::Shared, deadline).unwrap());
            });
        }
        child.kill();
        assert!(lock.try_lock(Mode::Shared).unwrap());
    });
}

#[test]
fn a_deadline_is_kept() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    let mut child = Child::spawn(holder, &[&path.display()]);
    child.hear(PATIENCE);
    assert!(gives_up_in_time(&FileLock::open(&path).unwrap()));
}

#[test]
fn a_link_is_no_lock_file() {
    let dir = tempdir().unwrap();
    let (victim, link) = (dir.path().join("victim"), dir.path().join("lock"));
    for target in [&victim, &dir.path().join("missing")] {
        fs::write(&victim, "precious").unwrap();
        symlink(target, &link).unwrap();
        let error = FileLock::open(&link).unwrap_err();
        assert!(error.to_string().contains("remove it"), "{error}");
        fs::remove_file(&link).unwrap();
    }
    assert_eq!(fs::read(&victim).unwrap(), b"precious");
    assert!(!dir.path().join("missing").exists());
}

/// Never early; and within 50 milliseconds, in one of 20 attempts on a machine that may be busy.
fn gives_up_in_time(lock: &FileLock) -> bool {
    let timeout = Duration::from_millis(100);
    let late = Duration::from_millis(50);
    (0..20).any(|_| {
        let start = clock::now();
        assert!(
            !lock
                .lock(Mode::Exclusive, Deadline::after(timeout))
                .unwrap()
        );
        let waited = start.elapsed();
        assert!(waited >= timeout, "gave up after {waited:?}");
        waited < timeout + late
    })
}

#[test]
fn a_deleted_lock_file_is_noticed() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    let lock = FileLock::open(&path).unwrap();
    assert!(lock.is_linked().unwrap());

    fs::remove_file(&path).unwrap();
    let successor = FileLock::open(&path).unwrap();
    assert!(!lock.is_linked().unwrap());
    assert!(successor.is_linked().unwrap());
}
