use std::sync::Barrier;
use std::sync::mpsc;

use super::*;

const PATIENCE: Duration = Duration::from_secs(60);

fn relay() -> Relay {
    Relay::new(Duration::from_millis(1), Duration::from_millis(20))
}

fn wait_for(relay: &Relay, waiters: usize) {
    let deadline = Deadline::after(PATIENCE);
    while relay.queue.lock().waiters.len() < waiters {
        assert!(!deadline.is_past());
        thread::yield_now();
    }
}

#[test]
fn threads_exclude_each_other_and_none_is_left_waiting() {
    let relay = relay();
    let count = AtomicU64::new(0);
    let start = Barrier::new(8);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                start.wait();
                for _ in 0..5_000 {
                    let _baton = relay.take(false, Deadline::after(PATIENCE)).unwrap();
                    count.store(count.load(Relaxed) + 1, Relaxed);
                }
            });
        }
    });
    assert_eq!(count.into_inner(), 40_000);
    assert_eq!(relay.word.into_inner(), FREE);
}

#[test]
fn those_who_wait_are_served_as_they_came() {
    let relay = relay();
    let (said, heard) = mpsc::channel();
    let baton = relay.try_take().unwrap();
    thread::scope(|scope| {
        for number in 0..4 {
            let (relay, said) = (&relay, said.clone());
            scope.spawn(move || {
                let _baton = relay.take(false, Deadline::after(PATIENCE)).unwrap();
                said.send(number).unwrap();
            });
            wait_for(relay, number + 1);
        }
        drop(baton);
    });
    drop(said);
    assert_eq!(heard.iter().collect::<Vec<_>>(), [0, 1, 2, 3]);
}

/// It is left free for the thread that is expected back, and that one doesn't come.
#[test]
fn the_first_who_waits_takes_what_lies_idle() {
    let relay = relay();
    let baton = relay.try_take().unwrap();
    thread::scope(|scope| {
        let next = scope.spawn(|| relay.take(false, Deadline::after(PATIENCE)).is_some());
        wait_for(&relay, 1);
        let mut queue = relay.queue.lock();
        queue.turn = Turn {
            of: me(),
            ends: clock::now() + PATIENCE,
            returns: true,
        };
        drop(queue);
        drop(baton);
        assert!(next.join().unwrap());
    });
}

#[test]
fn only_who_joins_is_handed_what_is_under_way() {
    let relay = relay();
    let baton = relay.try_take().unwrap().hand_on().unwrap_err();
    thread::scope(|scope| {
        let alone = scope.spawn(|| relay.take(false, Deadline::after(PATIENCE)).map(drop));
        wait_for(&relay, 1);
        let joins = scope.spawn(|| relay.take(true, Deadline::after(PATIENCE)).map(drop));
        wait_for(&relay, 2);
        let baton = baton.hand_on().unwrap_err();
        assert_eq!(relay.queue.lock().waiters.len(), 2);
        drop(baton);
        assert!(alone.join().unwrap().is_some() && joins.join().unwrap().is_some());

        let baton = relay.take(false, Deadline::after(PATIENCE)).unwrap();
        let joins = scope.spawn(|| relay.take(true, Deadline::after(PATIENCE)).map(drop));
        wait_for(&relay, 1);
        drop(baton.hand_on().unwrap());
        assert!(joins.join().unwrap().is_some());
    });
}
