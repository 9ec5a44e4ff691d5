//! What happens when a deque is full.

use std::thread;

use diskette_deque::{Deque, WhenFull};

use crate::{SHORT, bounded, store};

#[test]
fn a_deque_that_refuses_takes_all_or_nothing() {
    let (_dir, store) = store();
    let deque = bounded(&store, 3, WhenFull::Refuse);
    deque.extend([1, 2]).unwrap();
    let error = deque.extend([3, 4]).unwrap_err();
    assert!(error.is_full());
    assert!(error.to_string().contains("max_len 3"), "{error}");
    store
        .transaction(|tx| {
            deque.within(tx).push_back(&3)?;
            assert!(deque.within(tx).push_front(&4).unwrap_err().is_full());
            deque.within(tx).pop_front().map(drop)
        })
        .unwrap();
    assert_eq!(deque.to_vec().unwrap(), [2, 3]);
}

#[test]
fn a_push_waits_for_room_which_a_claim_does_not_make() {
    let (_dir, store) = store();
    let deque = bounded(&store, 1, WhenFull::Wait);
    deque.push_back(&1).unwrap();
    let claim = deque.try_claim_front().unwrap().unwrap();
    assert!(
        deque
            .push_front_timeout(&2, SHORT)
            .unwrap_err()
            .is_timeout()
    );

    let hasty = store.with_timeout(10 * SHORT);
    let hasty = Deque::<u32>::new(&hasty, "bounded").unwrap();
    assert!(hasty.push_back(&2).unwrap_err().is_timeout());
    assert!(deque.extend([2, 3]).unwrap_err().is_full());

    let pushing = deque.clone();
    let pusher = thread::spawn(move || pushing.push_back(&2));
    claim.complete_now().unwrap();
    pusher.join().unwrap().unwrap();
    assert_eq!(deque.to_vec().unwrap(), [2]);
}

#[test]
fn a_bound_is_recorded_and_changed_by_name() {
    let (_dir, store) = store();
    let deque = bounded(&store, 2, WhenFull::DropOther);
    deque.extend(0..5).unwrap();
    let again = Deque::<u32>::new(&store, "bounded").unwrap();
    again.push_back(&5).unwrap();
    assert_eq!(deque.to_vec().unwrap(), [4, 5]);

    let other = Deque::<u32>::options().max_len(3).new(&store, "bounded");
    let error = other.unwrap_err();
    assert!(error.is_invalid_input());
    assert!(error.to_string().contains("`set_max_len`"), "{error}");
    let none = Deque::<u32>::options().max_len(0).new(&store, "none");
    assert!(none.unwrap_err().is_invalid_input());

    again.set_max_len(None).unwrap();
    deque.extend(6..9).unwrap();
    assert_eq!(deque.len().unwrap(), 5);
    again.set_max_len(Some(1)).unwrap();
    assert_eq!(deque.to_vec().unwrap(), [8]);
    again.set_when_full(WhenFull::Refuse).unwrap();
    assert!(deque.push_back(&9).unwrap_err().is_full());
    assert_eq!(deque.max_len().unwrap(), Some(1));
    assert_eq!(deque.when_full().unwrap(), WhenFull::Refuse);
}

/// Who knows by heart that there is no bound learns of one before his next push.
#[test]
fn a_bound_that_another_sets_is_kept_at_once() {
    let (_dir, store) = store();
    let [one, other] = [0, 1].map(|_| Deque::<u32>::new(&store, "todo").unwrap());
    one.push_back(&1).unwrap();
    one.push_front(&0).unwrap();
    other.set_max_len(Some(2)).unwrap();
    assert!(one.push_back(&2).unwrap_err().is_full());

    let undone = store.transaction(|tx| {
        let todo = other.within(tx);
        todo.set_max_len(None)?;
        todo.push_back(&2)?;
        one.within(tx).push_back(&3)?;
        Err::<(), _>(todo.set(99, &1).unwrap_err())
    });
    assert!(undone.is_err());
    for deque in [&one, &other] {
        assert!(deque.push_back(&4).unwrap_err().is_full());
    }
    other.set_max_len(None).unwrap();
    one.push_back(&2).unwrap();
    assert_eq!(one.to_vec().unwrap(), [0, 1, 2]);
}
