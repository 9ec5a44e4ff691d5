//! Items that are files.

use diskette_deque::Deque;
use diskette_store::{Problem, Store};
use diskette_testkit::{PATIENCE, eventually, files_below, on_postgres};

use crate::{in_directory, store};

/// They are unlinked in the background.
#[track_caller]
fn files_become(store: &Store, left: usize) {
    eventually(PATIENCE, || {
        let files = match on_postgres() {
            true => store.stats().unwrap().value_files as usize,
            false => files_below(&store.path().join("values")).len(),
        };
        files == left
    });
}

fn large(fill: u8) -> Vec<u8> {
    vec![fill; diskette_store::INLINE + 1]
}

#[test]
fn each_is_a_file_that_goes_with_its_item() {
    let (_dir, store) = store();
    let deque = Deque::<Vec<u8>>::new(&store, "blobs").unwrap();
    for fill in 0..8 {
        deque.push_back(&large(fill)).unwrap();
    }
    deque.insert(1, &vec![99]).unwrap();
    files_become(&store, 8);
    assert!(deque.iter().nth(2).unwrap().unwrap() == large(1));

    assert!(deque.pop_front().unwrap().unwrap() == large(0));
    deque.set(0, &large(98)).unwrap();
    deque.set(1, &vec![1]).unwrap();
    files_become(&store, 7);
    assert!(deque.remove(0).unwrap().unwrap() == large(98));
    assert!(deque.remove_value(&large(2)).unwrap());
    files_become(&store, 5);

    let claim = deque.try_claim_back().unwrap().unwrap();
    assert!(*claim == large(7));
    claim.complete_now().unwrap();
    drop(deque.try_claim_back().unwrap());
    deque.retain(|value| *value != large(5)).unwrap();
    files_become(&store, 3);
    deque.truncate(3).unwrap();
    files_become(&store, 2);

    let other = Deque::<Vec<u8>>::new(&store, "others").unwrap();
    other.append(&deque).unwrap();
    assert!(other.back().unwrap().unwrap() == large(4));
    other.clear().unwrap();
    files_become(&store, 0);
    assert!(store.check().unwrap().is_sound());
}

#[test]
fn none_is_left_by_what_did_not_happen() {
    let (_dir, store) = store();
    let options = Deque::<Vec<u8>>::options().max_len(1);
    let deque = options.new(&store, "blobs").unwrap();
    deque.push_back(&large(1)).unwrap();
    assert!(deque.push_back(&large(2)).unwrap_err().is_full());
    let result = store.transaction(|tx| {
        let deque = deque.within(tx);
        deque.pop_front()?;
        deque.push_back(&large(3))?;
        Err::<(), _>(deque.push_back(&large(4)).unwrap_err())
    });
    assert!(result.is_err());
    files_become(&store, 1);
    assert!(deque.front().unwrap().unwrap() == large(1));
}

/// `check` gave the number of the file, and nobody could tell whose it is.
#[test]
fn a_damaged_one_is_reported_with_its_place() {
    let (_dir, store) = in_directory();
    let deque = Deque::<Vec<u8>>::new(&store, "blobs").unwrap();
    deque.extend([large(1), vec![2], large(3)]).unwrap();
    let claim = deque.try_claim_front().unwrap();
    for file in files_below(&store.path().join("values")) {
        std::fs::write(file, b"rotten").unwrap();
    }
    let problems = store.check().unwrap().problems;
    let mut places: Vec<_> = problems
        .iter()
        .map(|problem| match problem {
            Problem::ValueFile {
                structure, place, ..
            } => (structure.as_deref(), place.as_deref()),
            other => panic!("{other}"),
        })
        .collect();
    places.sort_unstable();
    assert_eq!(
        places,
        [
            (Some("blobs"), Some("at index 1")),
            (Some("blobs"), Some("claimed"))
        ]
    );
    drop(claim);
}
