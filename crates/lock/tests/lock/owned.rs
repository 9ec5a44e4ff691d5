//! Guards that belong to the process.

use std::sync::mpsc;
use std::thread;

use diskette_lock::{Guard, Lock, OwnedGuard, RLock, RwLock};
use diskette_store::{Error, Result, Store};
use diskette_testkit::asleep;

use crate::{LONG, SHORT, elsewhere, in_directory, store};

/// As a spawned worker, or a future on a runtime of several threads, wants it.
const _: () = {
    const fn moves<T: Send + Sync + 'static>() {}
    moves::<OwnedGuard>();
};

/// A lock, in whichever way it can be taken.
type Take = fn(&Store) -> Result<Option<Guard>>;

const WAYS: [Take; 3] = [
    |store| Lock::new(store, "lock")?.try_lock(),
    |store| RLock::new(store, "rlock")?.try_lock(),
    |store| RwLock::new(store, "rwlock")?.try_write(),
];

#[test]
fn it_outlives_the_thread_that_took_it_and_any_other_gives_it_back() {
    let (_dir, store) = store();
    for take in WAYS {
        let guard = elsewhere(|| take(&store).unwrap().unwrap().into_owned().unwrap());
        assert!(guard.is_held());
        assert!(take(&store).unwrap().is_none());
        let token = guard.token();
        let fenced = store.transaction_fenced(&guard, |_| Ok::<_, Error>(()));
        fenced.unwrap();
        elsewhere(move || guard.release().unwrap());
        let next = take(&store).unwrap().unwrap();
        assert!(next.token() > token);
    }
}

#[test]
fn a_reader_s_too() {
    let (_dir, store) = store();
    let lock = RwLock::new(&store, "model").unwrap();
    let reader = elsewhere(|| lock.read().unwrap().into_owned().unwrap());
    assert!(lock.try_read().unwrap().is_some());
    assert!(lock.try_write().unwrap().is_none());
    elsewhere(move || drop(reader));
    assert!(lock.try_write().unwrap().is_some());
}

#[test]
fn the_holder_is_named_by_the_thread_that_took_it() {
    let (_dir, store) = store();
    let lock = Lock::new(&store, "import").unwrap();
    let taker = thread::Builder::new().name("taker".into());
    let take = {
        let lock = lock.clone();
        move || lock.lock().unwrap().into_owned().unwrap()
    };
    let guard = taker.spawn(take).unwrap().join().unwrap();
    let holder = lock.holder().unwrap().unwrap();
    assert_eq!(holder.party.thread, "taker");
    assert!(holder.is_alive && holder.token == guard.token());
    assert!(format!("{guard:?}").contains("import"));
}

#[test]
fn who_waits_for_it_is_not_told_of_a_deadlock() {
    let (_dir, store) = store();
    let [mine, its] = ["mine", "its"].map(|name| Lock::new(&store, name).unwrap());
    let guard = mine.lock().unwrap();
    let (send, owned) = mpsc::channel();
    thread::scope(|scope| {
        let begin = || {
            send.send(its.lock().unwrap().into_owned().unwrap())
                .unwrap()
        };
        let other = asleep(scope, begin, || mine.lock().map(drop));
        // The other took it, and waits for this thread; but it is here that it can be given back.
        assert!(its.lock_timeout(SHORT).unwrap().is_none());
        owned.recv().unwrap().release().unwrap();
        let its = its.lock_timeout(LONG).unwrap().unwrap();
        // What threads hold is seen as before, in the very lock that was owned.
        assert!(mine.lock().unwrap_err().is_deadlock());
        drop((its, guard));
        other.join().unwrap().unwrap();
    });
    let owned = mine.lock().unwrap().into_owned().unwrap();
    assert!(mine.lock_timeout(SHORT).unwrap().is_none());
    drop(owned);
    let _guard = mine.lock().unwrap();
    assert!(mine.lock().unwrap_err().is_deadlock());
}

#[test]
fn of_a_lock_that_was_taken_again_only_the_last_guard_can_be_owned() {
    let (_dir, store) = store();
    let lock = RLock::new(&store, "pages").unwrap();
    let (outer, inner) = (lock.lock().unwrap(), lock.lock().unwrap());
    let error = outer.into_owned().unwrap_err();
    assert!(error.is_misuse(), "{error}");
    assert!(error.to_string().contains("outermost"), "{error}");
    assert!(inner.is_held());

    let owned = inner.into_owned().unwrap();
    assert!(lock.try_lock().unwrap().is_none(), "it isn't this thread's");
    elsewhere(move || drop(owned));
    assert!(lock.try_lock().unwrap().is_some());
}

#[test]
fn what_is_lost_can_not_be_owned() {
    let (_dir, store) = in_directory();
    let lock = Lock::new(&store, "lock").unwrap();
    let guard = lock.lock().unwrap();
    std::fs::remove_file(store.path().join("board")).unwrap();
    assert!(guard.into_owned().unwrap_err().is_overtaken());
}

/// In the same room on the board.
#[test]
fn a_lock_that_is_made_where_an_owned_one_was_removed_is_a_thread_s_again() {
    let (_dir, store) = store();
    let lock = Lock::new(&store, "lock").unwrap();
    let owned = lock.lock().unwrap().into_owned().unwrap();
    store.remove_structure("lock").unwrap();

    let lock = Lock::new(&store, "lock").unwrap();
    let guard = lock.lock().unwrap();
    assert!(!owned.is_held());
    assert!(lock.lock_timeout(LONG).unwrap_err().is_deadlock());
    drop(owned);
    // Nor is it in the room of the writers' gate: who holds it may write.
    Lock::new(&store, "another").unwrap();
    assert!(guard.is_held());
}
