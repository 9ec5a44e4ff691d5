use std::fs::OpenOptions;
use std::time::Duration;

use diskette_lock::RLock;

use crate::{elsewhere, in_directory, store};

#[test]
fn the_thread_that_holds_it_may_take_it_again_and_frees_it_with_the_last_guard() {
    let (_dir, store) = store();
    let lock = RLock::new(&store, "pages").unwrap();
    let other = RLock::new(&store, "pages").unwrap();
    let is_free = || elsewhere(|| lock.try_lock().unwrap().is_some());

    let first = lock.lock().unwrap();
    let second = other.try_lock().unwrap().unwrap();
    let third = lock.lock_timeout(Duration::ZERO).unwrap().unwrap();
    assert_eq!([second.token(), third.token()], [first.token(); 2]);
    assert_eq!(lock.holder().unwrap().unwrap().permits, 1);

    third.release().unwrap();
    assert!(!is_free());
    drop(first); // in any order
    assert!(second.is_held() && !is_free());
    let fourth = lock.lock().unwrap();
    second.release().unwrap();
    assert!(fourth.is_held() && !is_free());
    fourth.release().unwrap();
    assert!(is_free());
}

#[test]
fn each_lock_counts_by_itself() {
    let (_dir, store) = store();
    let (a, b) = (
        RLock::new(&store, "a").unwrap(),
        RLock::new(&store, "b").unwrap(),
    );
    let _guards = (a.lock().unwrap(), b.lock().unwrap(), a.lock().unwrap());
    b.synchronized(|_| elsewhere(|| assert!(b.try_lock().unwrap().is_none())))
        .unwrap();
    elsewhere(|| assert!(a.try_lock().unwrap().is_none()));
}

#[test]
fn a_thread_that_ends_in_the_midst_of_it_leaves_the_lock_free() {
    let (_dir, store) = store();
    let lock = RLock::new(&store, "pages").unwrap();
    for _ in 0..3 {
        let token = elsewhere(|| {
            let (first, _again) = (lock.lock().unwrap(), lock.lock().unwrap());
            first.token()
        });
        let guard = lock.try_lock().unwrap().unwrap();
        assert!(guard.token() > token);
        guard.release().unwrap(); // at the depth of 1, whatever the last one's was
    }
}

#[test]
fn a_lock_that_is_lost_in_the_midst_of_it_is_lost_to_all_its_guards() {
    let (_dir, store) = in_directory();
    let lock = RLock::new(&store, "pages").unwrap();
    let (first, second) = (lock.lock().unwrap(), lock.lock().unwrap());
    let board = OpenOptions::new()
        .write(true)
        .open(store.path().join("board"));
    board.unwrap().set_len(0).unwrap();

    let third = lock.try_lock().unwrap().unwrap(); // no look at the file is taken
    assert!(!first.is_held() && !second.is_held() && !third.is_held());
    drop((first, second));
    assert!(third.release().unwrap_err().is_overtaken());
    assert!(lock.try_lock().unwrap_err().is_removed());
}
