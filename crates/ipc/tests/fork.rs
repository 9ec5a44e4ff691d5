//! What a forked child inherits, and what it doesn't.
#![allow(unsafe_code, clippy::unwrap_used, clippy::expect_used)]

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{fs, thread};

use diskette_ipc::fork::{self, Hook};
use diskette_ipc::{Deadline, FileLock, Mode, OwnerId, Owners};
use diskette_testkit::{Child, Forked, PATIENCE, role};
use nix::libc;
use tempfile::{TempDir, tempdir};

fn home() -> TempDir {
    let home = tempdir().unwrap();
    fs::create_dir(home.path().join("owners")).unwrap();
    home
}

fn owners(home: &Path) -> Owners {
    Owners::open(&home.join("owners"), home.join("owners.lock")).unwrap()
}

role! {
    /// Holds two locks and an owner, forks, and waits to be killed. Its child waits for one of the locks.
    fn patriarch(parent) {
        let home: PathBuf = parent.arg(0);
        let [first, second] = ["first", "second"].map(|name| FileLock::open(home.join(name)).unwrap());
        assert!(first.try_lock(Mode::Exclusive).unwrap());
        assert!(second.try_lock(Mode::Exclusive).unwrap());
        let owners = owners(&home);
        let me = owners.me().unwrap();

        Forked::child(|| {
            assert!(!first.try_lock(Mode::Exclusive).unwrap(), "it is its parent's");
            first.unlock().unwrap(); // and this doesn't unlock it
            let child = owners.me().unwrap();
            assert_ne!(child, me);
            assert!(owners.is_alive(me).unwrap());
            parent.say(me.as_i64());
            parent.say(child.as_i64());
            assert!(first.lock(Mode::Exclusive, Deadline::after(PATIENCE)).unwrap());
            parent.say("inherited");
            loop {
                thread::park();
            }
        })
        .let_go();
        parent.hear();
    }
}

#[test]
fn a_child_keeps_nothing_of_its_killed_parent_s() {
    let home = home();
    let owners = owners(home.path());
    let mut process = Child::spawn(patriarch, &[&home.path().display()]);
    let mut hear = || OwnerId::from_i64(process.hear(PATIENCE).parse().unwrap());
    let (parent, child) = (hear(), hear());
    let second = FileLock::open(home.path().join("second")).unwrap();
    assert!(!second.try_lock(Mode::Exclusive).unwrap());
    assert!(owners.is_alive(parent).unwrap());
    let mut watch = owners.watch().unwrap();

    process.kill();

    assert!(second.try_lock(Mode::Exclusive).unwrap());
    assert!(!owners.is_alive(parent).unwrap());
    assert_eq!(watch.next().unwrap(), Some(parent));
    // And the child lives on.
    assert_eq!(process.hear(PATIENCE), "inherited");
    assert!(owners.is_alive(child).unwrap());
    assert_eq!(owners.dead().unwrap(), [parent]);
}

role! {
    /// Holds a lock, and forks when it has no descriptor left: the child cannot open the lock file again.
    fn exhausted(parent) {
        let lock = FileLock::open(parent.arg::<PathBuf>(0).join("lock")).unwrap();
        assert!(lock.try_lock(Mode::Exclusive).unwrap());
        let few = libc::rlimit { rlim_cur: 64, rlim_max: 64 };
        // SAFETY: a valid limit.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &few) }, 0);
        let files: Vec<_> = std::iter::from_fn(|| fs::File::open("/dev/null").ok()).collect();

        Forked::child(|| {
            parent.say(lock.try_lock(Mode::Exclusive).is_err());
            loop {
                thread::park();
            }
        })
        .let_go();
        parent.hear();
        drop(files);
    }
}

#[test]
fn a_child_out_of_descriptors_still_keeps_no_lock() {
    let home = home();
    let mut process = Child::spawn(exhausted, &[&home.path().display()]);
    assert_eq!(process.hear(PATIENCE), "true");
    let lock = FileLock::open(home.path().join("lock")).unwrap();
    assert!(!lock.try_lock(Mode::Exclusive).unwrap());
    process.kill();
    assert!(lock.try_lock(Mode::Exclusive).unwrap());
}

const FORKS: usize = 20;

role! {
    /// Forks while its threads are busy with everything that a fork must find in order.
    fn busy(parent) {
        let home: PathBuf = parent.arg(0);
        let done = AtomicBool::new(false);
        let shared = owners(&home);
        shared.me().unwrap();
        thread::scope(|scope| {
            for i in 1..=3 {
                let (home, done, shared) = (&home, &done, &shared);
                scope.spawn(move || {
                    while !done.load(Ordering::Relaxed) {
                        let lock = FileLock::open(home.join("lock")).unwrap();
                        lock.lock(Mode::Exclusive, Deadline::after(PATIENCE)).unwrap();
                        shared.bequeath(i).unwrap();
                        shared.settled(i).unwrap();
                        shared.dead().unwrap();
                    }
                });
            }
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    FileLock::open(home.join("other")).unwrap();
                }
            });
            for _ in 0..FORKS {
                let child = Forked::child(|| {
                    let lock = FileLock::open(home.join("lock")).unwrap();
                    assert!(lock.lock(Mode::Shared, Deadline::after(PATIENCE)).unwrap());
                    let before = owners(&home);
                    assert_eq!(before.me().unwrap(), shared.me().unwrap());
                    shared.bequeath(7).unwrap();
                });
                assert!(child.ended_well());
                parent.say("forked");
            }
            done.store(true, Ordering::Relaxed);
        });
    }
}

#[test]
fn a_fork_amid_busy_threads_leaves_child_and_parent_working() {
    let home = home();
    let mut process = Child::spawn(busy, &[&home.path().display()]);
    for _ in 0..FORKS {
        assert_eq!(process.hear(PATIENCE), "forked");
    }
    process.wait(PATIENCE);
    // Each child died with a will; the parent ended in good order.
    assert_eq!(owners(home.path()).dead().unwrap().len(), FORKS);
}

static CALLS: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn call(name: &str) {
    let generation = fork::generation();
    CALLS.lock().unwrap().push(format!("{name}{generation}"));
}

role! {
    /// Tells which hooks are called around a fork, in which order, in which generation.
    fn hooked(parent) {
        fork::hook(Hook {
            before: || call("before a"),
            parent: || call("parent a"),
            child: || call("child a"),
        });
        fork::hook(Hook {
            before: || call("before b"),
            parent: || call("parent b"),
            child: || call("child b"),
        });
        let calls = || CALLS.lock().unwrap().join(", ");
        let child = Forked::child(|| parent.say(calls()));
        assert!(child.ended_well());
        parent.say(calls());
    }
}

#[test]
fn hooks_nest_around_the_fork_and_the_child_is_a_new_generation() {
    let mut process = Child::spawn(hooked, &[]);
    assert_eq!(
        process.hear(PATIENCE),
        "before b0, before a0, child a1, child b1"
    );
    assert_eq!(
        process.hear(PATIENCE),
        "before b0, before a0, parent a0, parent b0"
    );
}
