//! Structures that come and go while others use them.

use std::path::PathBuf;
use std::time::Duration;

use diskette::{Barrier, BoundedSemaphore, Deque, Index, Lock, Rate, Store, Throttle};
use diskette_testkit::{Child, PATIENCE, eventually, files_below, role};

role! {
    /// Has structures open, and says what becomes of each call.
    fn user(parent) {
        let store = Store::open(parent.arg::<PathBuf>(0)).unwrap();
        let deque = Deque::<u64>::new(&store, "deque").unwrap();
        let index = Index::<u64, u64>::new(&store, "index").unwrap();
        let lock = Lock::new(&store, "lock").unwrap();
        let semaphore = BoundedSemaphore::new(&store, "semaphore", 2).unwrap();
        let throttle = Throttle::new(&store, "throttle", [Rate::per_second(1000)]).unwrap();
        let barrier = Barrier::new(&store, "barrier", 1).unwrap();
        parent.say("open");
        while parent.hear() == "go on" {
            let errors = [
                deque.push_back(&1).err(),
                deque.pop_front().err(),
                deque.len().err(),
                deque.try_claim_front().err(),
                index.insert(&1, &1).err(),
                index.get(&1).err(),
                index.update(&1, |_| Some(2)).err(),
                index.iter().next().and_then(Result::err),
                lock.try_lock().err(),
                semaphore.try_acquire().err(),
                semaphore.resize(3).err(),
                throttle.try_acquire().err(),
                barrier.wait().err(),
            ];
            let refused = errors.iter().flatten().filter(|error| error.is_removed());
            parent.say(format!("{} of {}", refused.count(), errors.len()));
        }
    }
}

const NAMES: [&str; 6] = ["deque", "index", "lock", "semaphore", "throttle", "barrier"];

/// Structures could be made and not removed: who made one for each of his users kept them for ever.
#[test]
fn who_has_a_removed_structure_open_is_told_so() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let mut child = Child::spawn(user, &[&path.display()]);
    assert_eq!(child.hear(PATIENCE), "open");
    let mut ask = || {
        child.say("go on");
        child.hear(PATIENCE)
    };
    assert_eq!(ask(), "0 of 13");
    let store = Store::open(&path).unwrap();
    for name in NAMES {
        assert!(store.remove_structure(name).unwrap());
        assert!(!store.remove_structure(name).unwrap());
    }
    assert_eq!(ask(), "13 of 13");
    assert!(store.stats().unwrap().structures.is_empty());

    // Of the same names, and others.
    let deque = Deque::<u64>::new(&store, "deque").unwrap();
    let _index = Index::<u64, u64>::new(&store, "index").unwrap();
    let _lock = Lock::new(&store, "lock").unwrap();
    let _semaphore = BoundedSemaphore::new(&store, "semaphore", 2).unwrap();
    assert_eq!(ask(), "13 of 13");
    assert!(deque.is_empty().unwrap());
    assert_eq!(store.check().unwrap().problems, []);
}

#[test]
fn a_large_one_goes_with_its_files_and_its_claims_while_others_write() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let store = Store::open(&path).unwrap();
    let todo = Deque::<Vec<u8>>::new(&store, "todo").unwrap();
    let other = Deque::<u64>::new(&store, "other").unwrap();
    other.extend(0..1000).unwrap();
    todo.extend((0..3000).map(|n| vec![7; n % 10])).unwrap();
    todo.push_front(&vec![7; 600_000]).unwrap();
    let claim = todo.claim_front(Duration::ZERO).unwrap().unwrap();
    todo.push_front(&vec![7; 600_000]).unwrap();
    let stats = &store.stats().unwrap().structures[0];
    assert_eq!((stats.len, stats.value_files), (3002, 2));
    assert!(stats.bytes > 1_200_000, "{stats:?}");

    assert!(store.remove_structure("todo").unwrap());
    assert!(claim.complete_now().is_err());
    eventually(PATIENCE, || files_below(&path.join("values")).is_empty());
    assert_eq!(other.len().unwrap(), 1000);
    let stats = store.stats().unwrap();
    assert_eq!(stats.structures.len(), 1);
    assert_eq!(stats.structures[0].len, 1000);
    assert_eq!(store.check().unwrap().problems, []);
}

role! {
    /// Removes a structure, until it is killed.
    fn remover(parent) {
        let store = Store::open(parent.arg::<PathBuf>(0)).unwrap();
        parent.say("ready");
        store.remove_structure("large").unwrap();
    }
}

#[test]
fn what_a_killed_remover_leaves_goes_when_the_store_is_opened() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    for kill_after in [
        Duration::ZERO,
        Duration::from_millis(3),
        Duration::from_millis(9),
    ] {
        let store = Store::open(&path).unwrap();
        let large = Index::<u64, u64>::new(&store, "large").unwrap();
        large.extend((0..20_000).map(|n| (n, n))).unwrap();
        drop((large, store));
        let mut child = Child::spawn(remover, &[&path.display()]);
        assert_eq!(child.hear(PATIENCE), "ready");
        diskette_ipc::clock::sleep(kill_after);
        child.kill();
        let store = Store::open(&path).unwrap();
        // Either it is all there still, or it goes.
        match Index::<u64, u64>::find(&store, "large").unwrap() {
            Some(large) => assert_eq!(large.len().unwrap(), 20_000),
            None => eventually(PATIENCE, || {
                let stats = store.stats().unwrap();
                stats.free_bytes * 2 > stats.database_bytes
            }),
        }
        store.remove_structure("large").unwrap();
    }
}

#[test]
fn another_name_is_taken_by_all() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("store")).unwrap();
    let todo = Deque::<u64>::new(&store, "todo").unwrap();
    todo.push_back(&1).unwrap();
    let _taken = Index::<u64, u64>::new(&store, "taken").unwrap();
    for (from, to) in [("none", "new"), ("todo", "taken"), ("todo", "")] {
        assert!(
            store
                .rename_structure(from, to)
                .unwrap_err()
                .is_invalid_input()
        );
    }
    store.rename_structure("todo", "done").unwrap();
    todo.push_back(&2).unwrap();
    assert!(Deque::<u64>::find(&store, "todo").unwrap().is_none());
    let done = Deque::<u64>::find(&store, "done").unwrap().unwrap();
    assert_eq!(done.to_vec().unwrap(), [1, 2]);
}
