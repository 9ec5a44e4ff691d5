use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Barrier;
use std::sync::mpsc;
use std::thread;

use super::*;

const PATIENCE: Duration = Duration::from_secs(60);

/// Numbers are written down.
struct Notes;

impl Errands for Notes {
    type Tool = RefCell<Vec<usize>>;
    type Done = usize;
    type End = &'static str;
}

fn relay() -> Relay<Notes> {
    Relay::new(Duration::from_millis(1), Duration::from_millis(20))
}

/// No turn is over by the clock: this may run on a slow machine.
fn of_long_turns() -> Relay<Notes> {
    Relay::new(PATIENCE, 8 * PATIENCE)
}

fn wait_for(relay: &Relay<Notes>, waiters: usize) {
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
                    let _baton = relay.take(Deadline::after(PATIENCE)).unwrap();
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
                let _baton = relay.take(Deadline::after(PATIENCE)).unwrap();
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
        let next = scope.spawn(|| relay.take(Deadline::after(PATIENCE)).is_some());
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

/// Leaves a number to be written down; says how that has ended, or that this thread was given the lock.
fn leave(relay: &Relay<Notes>, number: usize, patience: Duration) -> Option<Option<&'static str>> {
    let mut write_down = |notes: &RefCell<Vec<usize>>| {
        notes.borrow_mut().push(number);
        number
    };
    match relay.take_or_leave(&mut write_down, Deadline::after(patience))? {
        Served::Baton(_) => Some(Some("given the lock")),
        Served::Done(end) => Some(end),
    }
}

#[test]
fn what_is_left_is_done_as_it_came_and_all_are_told_how_it_has_ended() {
    let relay = of_long_turns();
    let baton = relay.try_take().unwrap();
    thread::scope(|scope| {
        let left = (0..4).map(|number| {
            let relay = &relay;
            let left = scope.spawn(move || leave(relay, number, PATIENCE));
            wait_for(relay, number + 1);
            left
        });
        let left: Vec<_> = left.collect();
        let notes = RefCell::default();
        let mut doing = baton.errands();
        for number in 0..4 {
            assert_eq!(doing.next(&notes), Some(number));
        }
        assert_eq!(doing.next(&notes), None);
        assert_eq!(notes.into_inner(), [0, 1, 2, 3]);
        assert!(!relay.is_waited_for() && !left.iter().any(|left| left.is_finished()));
        doing.end(&"well");
        for left in left {
            assert_eq!(left.join().unwrap(), Some(Some("well")));
        }
    });
}

#[test]
fn nothing_is_done_before_its_turn_or_after_that_of_who_does_it() {
    let relay = of_long_turns();
    let baton = relay.try_take().unwrap();
    let notes = RefCell::default();
    thread::scope(|scope| {
        let alone = scope.spawn(|| relay.take(Deadline::after(PATIENCE)).map(drop));
        wait_for(&relay, 1);
        let left = scope.spawn(|| leave(&relay, 1, PATIENCE));
        wait_for(&relay, 2);
        assert_eq!(baton.errands().next(&notes), None);
        drop(baton);
        assert!(alone.join().unwrap().is_some());
        assert_eq!(left.join().unwrap(), Some(Some("given the lock")));

        let baton = relay.try_take().unwrap();
        let left = scope.spawn(|| leave(&relay, 2, PATIENCE));
        wait_for(&relay, 1);
        relay.queue.lock().turn = Turn {
            of: me(),
            ends: clock::now(),
            returns: true,
        };
        assert_eq!(baton.errands().next(&notes), None);
        drop(baton);
        assert_eq!(left.join().unwrap(), Some(Some("given the lock")));
    });
}

#[test]
fn whose_time_is_up_takes_back_what_was_left_unless_it_is_being_done() {
    let relay = relay();
    let baton = relay.try_take().unwrap();
    let notes = RefCell::default();
    assert_eq!(leave(&relay, 0, Duration::from_millis(1)), None);
    assert_eq!(baton.errands().next(&notes), None);

    let mut write_down = |notes: &RefCell<Vec<usize>>| {
        notes.borrow_mut().push(1);
        1
    };
    // SAFETY: it is done, and gone, before `write_down` is.
    let left = unsafe { Left::new(&mut write_down) };
    let waiter = relay.take_or_queue(Some(left)).unwrap();
    let mut doing = baton.errands();
    assert_eq!(doing.next(&notes), Some(1));
    assert!(!relay.leave(&waiter));
    thread::scope(|scope| {
        let waits = scope.spawn(|| relay.wait(&waiter, Deadline::after(Duration::ZERO)));
        assert!(!waits.is_finished());
        doing.end(&"late");
        assert_eq!(waits.join().unwrap(), Some(DONE));
    });
    assert_eq!(waiter.end.get(), Some(&"late"));
}

#[test]
fn who_has_left_something_with_a_thread_that_panics_is_told() {
    let relay = relay();
    let baton = relay.try_take().unwrap();
    thread::scope(|scope| {
        let left = scope.spawn(|| leave(&relay, 1, PATIENCE));
        wait_for(&relay, 1);
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let _baton = baton;
            let mut doing = _baton.errands();
            doing.next(&RefCell::default());
            panic!("in the middle");
        }));
        assert!(panicked.is_err());
        assert_eq!(left.join().unwrap(), Some(None));
    });
    assert!(relay.try_take().is_some());
}
