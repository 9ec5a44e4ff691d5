//! A disk that is full to the last byte.

use diskette::{Deque, Index, Queue, Store};
use diskette_testkit::{PATIENCE, SmallDisk, eventually, files_below};

/// To remove and to clear was refused, though that is how one makes room.
#[test]
fn whoever_removes_makes_room() {
    let Some(disk) = SmallDisk::mount(24) else {
        eprintln!("not tested: this user can't mount");
        return;
    };
    let store = Store::open(disk.path().join("store")).unwrap();
    let items = Deque::<u64>::new(&store, "items").unwrap();
    let small = Index::<u64, String>::new(&store, "small").unwrap();
    let large = Index::<u64, String>::new(&store, "large").unwrap();
    let jobs = Queue::<u64>::new(&store, "jobs").unwrap();
    items.extend(0..100).unwrap();
    jobs.push_all(0..100).unwrap();
    for _ in 0..3 {
        let rows = 200;
        small
            .extend((0..rows).map(|n| (n, "x".repeat(2000))))
            .unwrap();
        let value = "x".repeat(600_000);
        let mut files = 0..;
        let full = files.find_map(|n| large.insert(&n, &value).err());
        assert!(full.is_some_and(|error| error.is_disk_full()));
        let _filler = disk.fill();
        assert!(
            small
                .insert(&rows, &"x".repeat(20_000))
                .unwrap_err()
                .is_disk_full()
        );

        let claim = items.try_claim_front().unwrap().unwrap();
        claim.complete_now().unwrap();
        let claim = jobs.try_claim().unwrap().unwrap();
        let id = claim.id();
        claim.complete_now().unwrap();
        assert!(jobs.discard(id).unwrap());
        assert!(items.pop_back().unwrap().is_some());
        assert!(items.remove_value(&50).is_ok());
        assert!(small.delete(&0).unwrap());
        assert!(small.remove(&1).unwrap().is_some());
        assert_eq!(small.remove_many([&2, &3]).unwrap(), 2);
        assert!(large.delete(&0).unwrap());
        // What went is room for what comes, at once.
        large.insert(&0, &"y".repeat(600_000)).unwrap();
        small.retain(|key, _| key % 2 == 0).unwrap();
        large.clear().unwrap();
        small.clear().unwrap();
        eventually(PATIENCE, || {
            files_below(&store.path().join("values")).is_empty()
        });
    }
    small.insert(&1, &"x".repeat(2000)).unwrap();
    let _filler = disk.fill();
    assert!(store.remove_structure("small").unwrap());
    let again = Index::<u64, String>::new(&store, "small").unwrap();
    again.insert(&1, "there is room").unwrap();
    store.snapshot(|now| again.within(now).len()).unwrap();
    assert_eq!(store.check().unwrap().problems, []);
}
