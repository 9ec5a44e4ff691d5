//! What a process holds, and no thread of it: guards that went elsewhere, and guards that were forgotten.

use std::cell::RefCell;
use std::mem;
use std::sync::mpsc;
use std::thread;

use diskette::{Error, Lock, OwnedGuard};
use diskette_testkit::{Child, Forked, PATIENCE, role};

use super::losses::All;
use super::{Home, store};

role! {
    /// Holds something of everything, in a thread that took none of it; those that did have ended.
    fn owner(parent) {
        let all = All::open(&store(parent.arg::<String>(0)));
        let taker = thread::spawn(move || {
            let guards = [
                all.lock.lock(),
                all.again.lock(),
                all.read.read(),
                all.written.write(),
            ];
            let guards = guards.map(|guard| guard.unwrap().into_owned().unwrap());
            (guards, all.permits.acquire_n(2).unwrap())
        });
        let (guards, permit) = taker.join().unwrap();
        let (held, is_held) = mpsc::channel();
        let _worker = thread::spawn(move || {
            held.send(guards.iter().all(OwnedGuard::is_held) && permit.is_held()).unwrap();
            loop {
                thread::park();
            }
        });
        assert!(is_held.recv().unwrap());
        parent.say("holds");
        parent.hear();
    }
}

role! {
    /// Forgets something of everything, in a thread that ends.
    fn forgetful(parent) {
        let all = All::open(&store(parent.arg::<String>(0)));
        let forget = move || {
            mem::forget((all.lock.lock().unwrap(), all.again.lock().unwrap()));
            mem::forget((all.read.read().unwrap(), all.written.write().unwrap()));
            mem::forget(all.permits.acquire_n(2).unwrap());
        };
        thread::spawn(forget).join().unwrap();
        parent.say("holds");
        parent.hear();
    }
}

role! {
    /// Dies of a panic in a destructor that another panic runs, with something of everything in its hands.
    fn bomber(parent) {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("in a destructor, while panicking");
            }
        }
        let all = All::open(&store(parent.arg::<String>(0)));
        let _guards = (all.lock.lock().unwrap(), all.again.lock().unwrap());
        let _more = (all.read.read().unwrap(), all.written.write().unwrap());
        let _permits = all.permits.acquire_n(2).unwrap();
        parent.say("holds");
        parent.hear();
        let _bomb = Bomb;
        panic!("the first");
    }
}

role! {
    /// Forks with an owned guard, which its child drops.
    fn forker(parent) {
        let store = store(parent.arg::<String>(0));
        let lock = Lock::new(&store, "lock").unwrap();
        let owned = RefCell::new(Some(lock.lock().unwrap().into_owned().unwrap()));
        let child = Forked::child(|| {
            let inherited = owned.borrow_mut().take().unwrap();
            assert!(!inherited.is_held());
            let fenced = store.transaction_fenced(&inherited, |_| Ok::<_, Error>(()));
            assert!(fenced.unwrap_err().is_overtaken());
            assert!(inherited.release().unwrap_err().is_overtaken());
            assert!(lock.try_lock().unwrap().is_none(), "it is its parent's");
        });
        assert!(child.ended_well());
        owned.into_inner().unwrap().release().unwrap();
        parent.say("released");
    }
}

#[test]
fn who_is_killed_holds_nothing_in_whichever_thread() {
    let home = Home::new();
    let all = All::open(&home.store());
    let mut child = Child::spawn(owner, &[&home.path()]);
    assert_eq!(child.hear(PATIENCE), "holds");
    assert_eq!(all.free(), [false; 7]);
    assert_eq!(all.lock.holder().unwrap().unwrap().party.pid, child.id());
    child.kill();
    assert_eq!(all.free(), [true; 7]);
}

#[test]
fn what_was_forgotten_is_held_until_the_process_ends() {
    let home = Home::new();
    let all = All::open(&home.store());
    let mut child = Child::spawn(forgetful, &[&home.path()]);
    assert_eq!(child.hear(PATIENCE), "holds");
    assert_eq!(all.free(), [false; 7]);
    child.say("end");
    assert!(child.wait(PATIENCE).success());
    assert_eq!(all.free(), [true; 7]);
}

#[test]
fn a_panic_within_a_panic_frees_everything() {
    let home = Home::new();
    let all = All::open(&home.store());
    let mut child = Child::spawn(bomber, &[&home.path()]);
    assert_eq!(child.hear(PATIENCE), "holds");
    assert_eq!(all.free(), [false; 7]);
    child.say("go on");
    assert!(!child.wait(PATIENCE).success());
    assert_eq!(all.free(), [true; 7]);
}

#[test]
fn a_forked_child_does_not_have_its_parent_s_owned_guard() {
    let home = Home::new();
    let mut child = Child::spawn(forker, &[&home.path()]);
    assert_eq!(child.hear(PATIENCE), "released");
    assert!(child.wait(PATIENCE).success());
    let lock = Lock::new(&home.store(), "lock").unwrap();
    assert!(lock.try_lock().unwrap().is_some());
}
