//! An item in the hands of its owner.

use std::time::Duration;

use diskette_deque::Deque;
use diskette_store::Error;

use crate::{numbers, store};

#[test]
fn a_dropped_claim_returns_to_its_place() {
    let (_dir, store) = store();
    let deque = numbers(&store, 3);
    let first = deque.try_claim_front().unwrap().unwrap();
    let second = deque.try_claim_front().unwrap().unwrap();
    assert_eq!((*first, *second, deque.claimed().unwrap()), (0, 1, 2));

    deque.push_front(&9).unwrap();
    drop(second);
    assert_eq!(deque.to_vec().unwrap(), [9, 1, 2]);
    first.release().unwrap();
    assert_eq!(deque.to_vec().unwrap(), [9, 0, 1, 2]);
}

#[test]
fn completion_is_part_of_its_transaction() {
    let (_dir, store) = store();
    let deque = numbers(&store, 2);
    let claim = deque.claim_front(Duration::ZERO).unwrap().unwrap();
    let result = store.transaction(|tx| {
        claim.complete(tx)?;
        deque.within(tx).push_back(&7)?;
        assert!(deque.within(tx).claimed()? == 0);
        Err::<(), _>(deque.within(tx).set(99, &1).unwrap_err())
    });
    assert!(result.unwrap_err().is_invalid_input());
    assert_eq!(deque.to_vec().unwrap(), [0, 1]);

    let claim = deque.claim_front(Duration::ZERO).unwrap().unwrap();
    claim.complete_now().unwrap();
    assert_eq!(deque.to_vec().unwrap(), [1]);
}

#[test]
fn a_nested_transaction_takes_its_completion_back_alone() {
    let (_dir, store) = store();
    let deque = numbers(&store, 2);
    let claim = deque.try_claim_front().unwrap().unwrap();
    store
        .transaction(|tx| {
            let part = tx.transaction(|part| {
                claim.complete(part)?;
                Err::<(), _>(deque.within(part).set(99, &1).unwrap_err())
            });
            assert!(part.unwrap_err().is_invalid_input());
            deque.within(tx).push_back(&2)
        })
        .unwrap();
    assert_eq!(deque.to_vec().unwrap(), [0, 1, 2]);
}

#[test]
fn a_claim_dropped_in_a_transaction_returns_after_it() {
    let (_dir, store) = store();
    let deque = numbers(&store, 2);
    let claim = deque.try_claim_front().unwrap().unwrap();
    store
        .transaction(|tx| {
            assert!(claim.release().unwrap_err().is_misuse());
            drop(deque.within(tx).try_claim_front()?);
            assert_eq!(deque.within(tx).claimed()?, 2);
            Ok::<(), Error>(())
        })
        .unwrap();
    assert_eq!(deque.to_vec().unwrap(), [0, 1]);
}

#[test]
fn a_claim_of_a_rolled_back_transaction_is_void() {
    let (_dir, store) = store();
    let deque = numbers(&store, 2);
    let mut claim = None;
    let result = store.transaction(|tx| {
        claim = deque.within(tx).try_claim_front()?;
        Err::<(), _>(deque.within(tx).set(99, &1).unwrap_err())
    });
    assert!(result.is_err());

    assert_eq!(deque.pop_front().unwrap(), Some(0));
    assert!(claim.unwrap().complete_now().unwrap_err().is_misuse());
    assert_eq!(deque.to_vec().unwrap(), [1]);
}

#[test]
fn a_claim_keeps_its_place_when_another_deque_takes_the_rest() {
    let (_dir, store) = store();
    let (deque, other) = (numbers(&store, 4), Deque::new(&store, "other").unwrap());
    let claims = [deque.try_claim_back(), deque.try_claim_front()];
    deque.push_back(&9).unwrap();
    deque.push_front(&8).unwrap();
    other.append(&deque).unwrap();
    assert_eq!(other.to_vec().unwrap(), [8, 1, 2, 9]);
    drop(claims);
    deque.push_back(&5).unwrap();
    assert_eq!(deque.to_vec().unwrap(), [0, 3, 5]);
}
