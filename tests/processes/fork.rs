//! Stores over `fork`.

use diskette::{Deque, Error, Index, Store};
use diskette_testkit::{Child, Forked, PATIENCE, role};

role! {
    /// Uses a store from several threads, forks amid it, and lets both sides go on.
    fn forker(parent) {
        let dir: String = parent.arg(0);
        let store = Store::open(&dir).unwrap();
        let numbers = Deque::<u64>::new(&store, "numbers").unwrap();
        let _claimed = numbers.claim_front(PATIENCE).unwrap().unwrap();
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| (0..200).for_each(|n| numbers.push_back(&n).unwrap()));
            }
            for _ in 0..10 {
                let child = Forked::child(|| {
                    numbers.push_back(&1000).unwrap();
                    assert!(numbers.len().unwrap() > 0);
                    let own = numbers.try_claim_front().unwrap().unwrap();
                    own.release().unwrap();
                });
                assert!(child.ended_well());
                numbers.push_front(&2000).unwrap();
            }
        });
        parent.say("done");
        parent.hear();
    }
}

role! {
    /// Forks in the middle of a transaction.
    fn careless(parent) {
        let dir: String = parent.arg(0);
        let store = Store::open(&dir).unwrap();
        let entries = Index::<u64, u64>::new(&store, "entries").unwrap();
        store
            .transaction(|tx| {
                entries.within(tx).insert(&1, &1)?;
                let child = Forked::child(|| {
                    assert!(entries.insert(&2, &2).unwrap_err().is_misuse());
                    assert!(entries.get(&1).unwrap_err().is_misuse());
                });
                assert!(child.ended_well());
                entries.within(tx).insert(&3, &3)
            })
            .unwrap();
        entries.insert(&4, &4).unwrap();
        parent.say("done");
        parent.hear();
    }
}

#[test]
fn a_forked_child_and_its_parent_both_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let store = Store::open(&path).unwrap();
    let numbers = Deque::<u64>::new(&store, "numbers").unwrap();
    numbers.push_back(&7).unwrap();
    let mut child = Child::spawn(forker, &[&path.display()]);
    assert_eq!(child.hear(PATIENCE), "done");
    assert_eq!(
        (numbers.len().unwrap(), numbers.claimed().unwrap()),
        (620, 1)
    );
    child.kill();
    diskette_testkit::eventually(PATIENCE, || numbers.claimed().unwrap() == 0);
    assert_eq!(numbers.front().unwrap(), Some(2000));
    assert!(store.check().unwrap().is_sound());
}

#[test]
fn a_fork_in_the_middle_of_a_transaction_leaves_the_child_with_errors_and_the_parent_whole() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let mut child = Child::spawn(careless, &[&path.display()]);
    assert_eq!(child.hear(PATIENCE), "done");
    let store = Store::open(&path).unwrap();
    let entries = Index::<u64, u64>::new(&store, "entries").unwrap();
    let there = entries.keys().collect::<Result<Vec<_>, Error>>().unwrap();
    assert_eq!(there, [1, 3, 4]);
}
