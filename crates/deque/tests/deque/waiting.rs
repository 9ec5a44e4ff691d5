//! Waiting for items and for room.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use diskette_deque::{Deque, WhenFull};
use diskette_ipc::clock;
use diskette_store::{Error, Stop, wait_any};

use crate::{LONG, SHORT, bounded, numbers, store};

/// A ring that is lost is made up for by the safety poll, twice a second: too slow here.
#[test]
fn whoever_waits_is_woken() {
    let (_dir, store) = store();
    let there = Deque::<u32>::new(&store, "there").unwrap();
    let back = Deque::<u32>::new(&store, "back").unwrap();
    let (from, to) = (there.clone(), back.clone());
    let echo = thread::spawn(move || {
        for _ in 0..40 {
            let claim = from.claim_front(LONG).unwrap().unwrap();
            to.push_back(&*claim).unwrap();
            claim.complete_now().unwrap();
        }
    });
    let start = clock::now();
    for number in 0..40 {
        there.push_front(&number).unwrap();
        assert_eq!(back.pop_back_timeout(LONG).unwrap(), Some(number));
        assert!(there.wait_idle(LONG).unwrap());
    }
    assert!(start.elapsed() < Duration::from_secs(10));
    echo.join().unwrap();
}

#[test]
fn whoever_waits_in_vain_is_told_so() {
    let (_dir, store) = store();
    let deque = numbers(&store, 0);
    let start = clock::now();
    assert_eq!(deque.pop_front_timeout(SHORT).unwrap(), None);
    assert!(deque.claim_back(SHORT).unwrap().is_none());
    assert!(start.elapsed() >= 2 * SHORT);

    deque.push_back(&1).unwrap();
    let claim = deque.claim_front(Duration::ZERO).unwrap();
    assert!(!deque.wait_idle(SHORT).unwrap());
    drop(claim);
    assert_eq!(deque.pop_front_timeout(Duration::ZERO).unwrap(), Some(1));
    assert!(deque.wait_idle(Duration::ZERO).unwrap());
}

#[test]
fn a_long_transaction_of_another_thread_keeps_no_one_longer_than_his_time() {
    let (_dir, store) = store();
    let deque = numbers(&store, 1);
    let (begun, end) = (mpsc::channel(), mpsc::channel::<()>());
    let other = thread::spawn(move || {
        store.transaction(|_| {
            begun.0.send(()).unwrap();
            end.1.recv().unwrap();
            Ok::<(), Error>(())
        })
    });
    begun.1.recv().unwrap();
    assert_eq!(deque.pop_front_timeout(SHORT).unwrap(), None);
    end.0.send(()).unwrap();
    other.join().unwrap().unwrap();
    assert_eq!(deque.pop_front_timeout(LONG).unwrap(), Some(0));
}

#[test]
fn nobody_waits_within_a_transaction() {
    let (_dir, store) = store();
    let (deque, full) = (numbers(&store, 0), bounded(&store, 1, WhenFull::Wait));
    full.push_back(&1).unwrap();
    store
        .transaction(|tx| {
            assert!(deque.pop_front_timeout(LONG).unwrap_err().is_misuse());
            assert!(deque.wait_idle(LONG).unwrap_err().is_misuse());
            assert!(full.within(tx).push_back(&2).unwrap_err().is_full());
            full.within(tx).pop_front().map(drop)
        })
        .unwrap();
    assert!(full.is_empty().unwrap());
}

#[test]
fn the_first_of_several_deques_that_gets_an_item_is_named() {
    let ((_place, store), (_another, elsewhere)) = (store(), store());
    let numbers = numbers(&store, 0);
    let texts = Deque::<String>::new(&elsewhere, "texts").unwrap();
    let next = |timeout| wait_any(&[&texts, &numbers], timeout).unwrap();
    assert_eq!(next(SHORT), None);
    numbers.push_back(&1).unwrap();
    assert_eq!(next(LONG), Some(1));
    texts.push_back("before").unwrap();
    assert_eq!(next(Duration::ZERO), Some(0), "the first that has any");
    numbers.clear().unwrap();
    texts.clear().unwrap();

    // One that isn't rung for is found by the safety poll, twice a second: too slow here.
    let start = clock::now();
    thread::scope(|scope| {
        let takes = scope.spawn(|| {
            for _ in 0..40 {
                match next(LONG).unwrap() {
                    0 => drop(texts.pop_front().unwrap().unwrap()),
                    _ => drop(numbers.pop_front().unwrap().unwrap()),
                }
            }
        });
        for number in 0..20 {
            numbers.push_back(&number).unwrap();
            assert!(numbers.wait_idle(LONG).unwrap());
            texts.push_back(&number.to_string()).unwrap();
            assert!(texts.wait_idle(LONG).unwrap());
        }
        takes.join().unwrap();
    });
    assert!(start.elapsed() < Duration::from_secs(10));

    let refused = store.transaction(|_| wait_any(&[&texts, &numbers], LONG));
    assert!(refused.unwrap_err().is_misuse());
}

#[test]
fn after_a_stop_only_waiting_is_over() {
    let (_dir, store) = store();
    let stop = Stop::new();
    let deque = numbers(&store.with_stop(&stop).with_timeout(LONG), 2);
    stop.stop();
    assert_eq!(deque.pop_front_timeout(LONG).unwrap(), Some(0));
    assert_eq!(wait_any(&[&deque], LONG).unwrap(), Some(0));
    let claim = deque.claim_front(LONG).unwrap().unwrap();
    assert!(deque.wait_idle(LONG).unwrap_err().is_stopped());
    claim.complete_now().unwrap();
    assert!(deque.wait_idle(LONG).unwrap());
    let error = deque.claim_front(LONG).unwrap_err();
    assert!(error.is_stopped() && !error.is_timeout());
    assert!(wait_any(&[&deque], LONG).unwrap_err().is_stopped());
    assert_eq!(deque.pop_front_timeout(Duration::ZERO).unwrap(), None);
    // Others of the same store go on.
    assert_eq!(numbers(&store, 0).pop_front_timeout(SHORT).unwrap(), None);
}
