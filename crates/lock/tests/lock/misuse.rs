//! Guards in bad company: panics, `forget`, any order, and a store whose handles are gone.

use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};

use diskette_lock::{Guard, Lock, RLock, RwLock};
use diskette_store::{Result, Store};

use crate::{elsewhere, store};

/// A lock, in whichever way it can be taken.
type Take = fn(&Store) -> Result<Option<Guard>>;

const WAYS: [Take; 4] = [
    |store| Lock::new(store, "lock")?.try_lock(),
    |store| RLock::new(store, "rlock")?.try_lock(),
    |store| RwLock::new(store, "rwlock")?.try_write(),
    |store| RwLock::new(store, "rwlock of readers")?.try_read(),
];

/// Whether others could take all of it.
fn is_free(store: &Store, take: Take) -> bool {
    elsewhere(|| {
        let readers = RwLock::new(store, "rwlock of readers").unwrap();
        take(store).unwrap().is_some() && readers.try_write().unwrap().is_some()
    })
}

struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("in a destructor");
    }
}

#[test]
fn a_panic_in_a_destructor_frees_the_lock() {
    let (_dir, store) = store();
    for take in WAYS {
        let work = || {
            let guard = take(&store).unwrap().unwrap();
            let _bomb = Bomb; // goes off while the guard is held
            assert!(guard.is_held());
        };
        catch_unwind(AssertUnwindSafe(work)).unwrap_err();
        assert!(is_free(&store, take));
        // The panic drops what belongs to the process as well.
        let work = || {
            let _owned = take(&store).unwrap().unwrap().into_owned().unwrap();
            drop(Bomb);
        };
        catch_unwind(AssertUnwindSafe(work)).unwrap_err();
        assert!(is_free(&store, take));
    }
}

#[test]
fn a_forgotten_guard_holds_on_beyond_its_thread_and_its_store() {
    let (_dir, store) = store();
    for take in WAYS {
        elsewhere(|| mem::forget(take(&store).unwrap().unwrap()));
        assert!(!is_free(&store, take));
    }
    let path = store.path().to_owned();
    drop(store);
    let store = Store::open(path).unwrap();
    assert!(WAYS.into_iter().all(|take| !is_free(&store, take)));
}

#[test]
fn the_thread_that_forgot_a_guard_is_told_that_it_waits_for_itself() {
    let (_dir, store) = store();
    let (once, again) = (
        Lock::new(&store, "lock").unwrap(),
        RLock::new(&store, "rlock").unwrap(),
    );
    mem::forget((once.lock().unwrap(), again.lock().unwrap()));
    assert!(once.lock().unwrap_err().is_deadlock());
    again.lock().unwrap().release().unwrap(); // it is still this thread's
    elsewhere(|| assert!(again.try_lock().unwrap().is_none()));
}

#[test]
fn guards_may_be_dropped_in_any_order() {
    let (_dir, store) = store();
    for first in 0..WAYS.len() {
        let mut guards = WAYS.map(|take| Some(take(&store).unwrap().unwrap()));
        for n in 0..WAYS.len() {
            let next = (first + 3 * n) % WAYS.len();
            guards[next].take().unwrap().release().unwrap();
            let held = guards.iter().flatten();
            assert!(held.clone().all(Guard::is_held));
            assert_eq!(held.count(), WAYS.len() - n - 1);
        }
        assert!(WAYS.into_iter().all(|take| is_free(&store, take)));
    }
}

#[test]
fn a_guard_keeps_its_store_open() {
    let (_dir, store) = store();
    for take in WAYS {
        let path = store.path();
        let (guard, owned) = {
            let handle = Store::open(path).unwrap();
            let guard = take(&handle).unwrap().unwrap();
            (guard, Lock::new(&handle, "owned").unwrap().lock().unwrap())
        };
        let owned = owned.into_owned().unwrap();
        assert!(guard.is_held() && owned.is_held());
        guard.release().unwrap();
        owned.release().unwrap();
        assert!(is_free(&store, take));
    }
}
