//! What becomes of locks and permits when their holder is killed, forks, starts another program, or is taken for dead.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use diskette::{BoundedSemaphore, Error, Index, Lock, RLock, RwLock, Store};
use diskette_testkit::{Child, Forked, PATIENCE, eventually, role};

use super::{Home, store};

role! {
    /// Holds something of everything, and what can be held twice, twice.
    fn holder(parent) {
        let all = All::open(&store(parent.arg::<String>(0)));
        let _lock = all.lock.lock().unwrap();
        let _again = (all.again.lock().unwrap(), all.again.lock().unwrap());
        let _readers = (all.read.read().unwrap(), all.read.read().unwrap());
        let _writer = all.written.write().unwrap();
        let _permits = all.permits.acquire_n(2).unwrap();
        parent.say("holds");
        parent.hear();
    }
}

role! {
    /// Forks while it holds a lock; its child lives on.
    fn forker(parent) {
        let store = store(parent.arg::<String>(0));
        let lock = Lock::new(&store, "lock").unwrap();
        let guard = RefCell::new(Some(lock.lock().unwrap()));
        let token = guard.borrow().as_ref().unwrap().token();

        Forked::child(|| {
            let inherited = guard.borrow_mut().take().unwrap();
            assert!(!inherited.is_held());
            let fenced = store.transaction_fenced(&inherited, |_| Ok::<_, Error>(()));
            assert!(fenced.unwrap_err().is_overtaken());
            drop(inherited);
            assert!(lock.try_lock().unwrap().is_none(), "it is its parent's");
            parent.say("the child holds nothing");
            let own = lock.lock().unwrap();
            assert!(own.token() > token);
            parent.say("the child has it now");
            loop {
                std::thread::park();
            }
        })
        .let_go();
        parent.hear();
        assert!(guard.borrow().as_ref().unwrap().is_held());
        parent.say("held all along");
        parent.hear();
    }
}

role! {
    /// Releases, in a forked child, what its parent holds.
    fn releaser(parent) {
        let lock = Lock::new(&store(parent.arg::<String>(0)), "lock").unwrap();
        let guard = RefCell::new(Some(lock.lock().unwrap()));
        let child = Forked::child(|| {
            let inherited = guard.borrow_mut().take().unwrap();
            assert!(inherited.release().unwrap_err().is_overtaken());
            assert!(lock.try_lock().unwrap().is_none());
        });
        assert!(child.ended_well());
        guard.into_inner().unwrap().release().unwrap();
        assert!(lock.try_lock().unwrap().is_some());
        parent.say("released");
    }
}

role! {
    /// Becomes another program, which reads what it is told and waits for more.
    fn changeling(parent) {
        let lock = Lock::new(&store(parent.arg::<String>(0)), "lock").unwrap();
        let _guard = lock.lock().unwrap();
        parent.say("holds");
        parent.hear();
        panic!("{}", Command::new("cat").exec());
    }
}

role! {
    /// Writes under a lock that it doesn't know it has lost.
    fn loser(parent) {
        let store = store(parent.arg::<String>(0));
        let lock = Lock::new(&store, "lock").unwrap();
        let log = Index::<String, u64>::new(&store, "log").unwrap();
        let guard = lock.lock().unwrap();
        let write = |who: &str| {
            store.transaction_fenced(&guard, |tx| log.within(tx).insert(who, &guard.token()))
        };
        write("before").unwrap();
        parent.say(guard.token());
        parent.hear();
        assert!(!guard.is_held());
        assert!(write("after").unwrap_err().is_overtaken());
        assert!(guard.release().unwrap_err().is_overtaken());
        parent.say("knows it");
    }
}

role! {
    /// Says the token with which it has the lock.
    fn teller(parent) {
        let lock = Lock::new(&store(parent.arg::<String>(0)), "lock").unwrap();
        for _ in 0..3 {
            drop(lock.lock().unwrap());
        }
        let guard = lock.lock().unwrap();
        parent.say(guard.token());
        if parent.hear() == "go in peace" {
            guard.release().unwrap();
        }
    }
}

pub(super) struct All {
    pub(super) lock: Lock,
    pub(super) again: RLock,
    pub(super) read: RwLock,
    pub(super) written: RwLock,
    pub(super) permits: BoundedSemaphore,
}

impl All {
    pub(super) fn open(store: &Store) -> Self {
        Self {
            lock: Lock::new(store, "lock").unwrap(),
            again: RLock::new(store, "again").unwrap(),
            read: RwLock::new(store, "read").unwrap(),
            written: RwLock::new(store, "written").unwrap(),
            permits: BoundedSemaphore::new(store, "permits", 3).unwrap(),
        }
    }

    /// Which of them can be taken, each by itself.
    pub(super) fn free(&self) -> [bool; 7] {
        let can_be_taken = |i| match i {
            0 => self.lock.try_lock().unwrap().is_some(),
            1 => self.again.try_lock().unwrap().is_some(),
            2 => self.read.try_write().unwrap().is_some(),
            3 => self.written.try_read().unwrap().is_some(),
            4 => self.written.try_write().unwrap().is_some(),
            5 => self.permits.try_acquire_n(2).unwrap().is_some(),
            _ => self.permits.try_acquire_n(3).unwrap().is_some(),
        };
        std::array::from_fn(can_be_taken)
    }
}

#[test]
fn the_killed_hold_nothing() {
    let home = Home::new();
    let all = All::open(&home.store());
    let mut child = Child::spawn(holder, &[&home.path()]);
    assert_eq!(child.hear(PATIENCE), "holds");
    assert_eq!(all.free(), [false; 7]);
    assert!(all.read.try_read().unwrap().is_some());
    assert_eq!(all.permits.available().unwrap(), 1);
    assert_eq!(all.permits.holders().unwrap()[0].party.pid, child.id());
    child.kill();
    assert_eq!(all.free(), [true; 7]);
    assert!(all.permits.holders().unwrap().is_empty());
}

#[test]
fn a_forked_child_holds_nothing_and_keeps_nothing_held() {
    let home = Home::new();
    let lock = Lock::new(&home.store(), "lock").unwrap();
    let mut child = Child::spawn(forker, &[&home.path()]);
    assert_eq!(child.hear(PATIENCE), "the child holds nothing");
    assert!(lock.try_lock().unwrap().is_none());
    assert_eq!(lock.holder().unwrap().unwrap().party.pid, child.id());
    child.say("go on");
    assert_eq!(child.hear(PATIENCE), "held all along");
    child.kill(); // its child lives on
    assert_eq!(child.hear(PATIENCE), "the child has it now");
    let holder = lock.holder().unwrap().unwrap();
    assert!(holder.is_alive && holder.party.pid != child.id());
}

#[test]
fn what_a_forked_child_releases_is_still_held() {
    let home = Home::new();
    let mut child = Child::spawn(releaser, &[&home.path()]);
    assert_eq!(child.hear(PATIENCE), "released");
    assert!(child.wait(PATIENCE).success());
}

#[test]
fn who_starts_another_program_in_its_place_holds_nothing() {
    let home = Home::new();
    let lock = Lock::new(&home.store(), "lock").unwrap();
    let mut child = Child::spawn(changeling, &[&home.path()]);
    assert_eq!(child.hear(PATIENCE), "holds");
    assert!(lock.try_lock().unwrap().is_none());
    child.say("go on");
    assert!(lock.lock_timeout(PATIENCE).unwrap().is_some());
    let comm = format!("/proc/{}/comm", child.id());
    eventually(PATIENCE, || fs::read_to_string(&comm).unwrap() == "cat\n");
}

#[test]
fn who_is_taken_for_dead_writes_nothing_more() {
    let home = Home::new();
    let store = home.store();
    let lock = Lock::new(&store, "lock").unwrap();
    let owners = || -> BTreeSet<PathBuf> {
        let entries = fs::read_dir(home.0.path().join("store/owners")).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    };
    let before = owners();
    let mut child = Child::spawn(loser, &[&home.path()]);
    let token: u64 = child.hear(PATIENCE).parse().unwrap();
    assert!(lock.holder().unwrap().unwrap().is_alive);
    let its_file = owners().difference(&before).next().cloned();
    fs::remove_file(its_file.unwrap()).unwrap();

    let guard = lock.lock_timeout(PATIENCE).unwrap().unwrap();
    assert!(guard.token() > token);
    child.say("go on");
    assert_eq!(child.hear(PATIENCE), "knows it");
    assert!(child.wait(PATIENCE).success());
    let log = Index::<String, u64>::new(&store, "log").unwrap();
    assert!(guard.is_held());
    let fenced =
        store.transaction_fenced(&guard, |tx| log.within(tx).insert("next", &guard.token()));
    fenced.unwrap();
    let written = log.keys().collect::<Result<Vec<_>, _>>().unwrap();
    assert_eq!(written, ["before", "next"]);
}

#[test]
fn tokens_grow_when_all_processes_have_ended_and_when_the_board_is_new() {
    let home = Home::new();
    let board = home.0.path().join("store/board");
    let mut last = 0;
    let mut next_is_greater = |end: &str| {
        let mut child = Child::spawn(teller, &[&home.path()]);
        let token: u64 = child.hear(PATIENCE).parse().unwrap();
        assert!(token > last, "{token} after {last}");
        last = token;
        match end {
            "be killed" => child.kill(),
            _ => {
                child.say(end);
                assert!(child.wait(PATIENCE).success());
            }
        }
    };
    next_is_greater("go in peace");
    next_is_greater("be killed");
    next_is_greater("be killed");
    fs::remove_file(&board).unwrap();
    next_is_greater("be killed");
    // As if it were of an earlier run of the system.
    let file = fs::OpenOptions::new().write(true).open(&board).unwrap();
    file.write_all_at(&[0; 8], 8).unwrap();
    next_is_greater("go in peace");
    // And with an era to which nothing can be added.
    let file = fs::OpenOptions::new().write(true).open(&board).unwrap();
    file.write_all_at(&[0; 8], 8).unwrap();
    file.write_all_at(&[0xff; 8], 16).unwrap();
    next_is_greater("go in peace");
    fs::write(&board, "rotten").unwrap();
    next_is_greater("go in peace");
}
