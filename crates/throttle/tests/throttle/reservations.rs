//! Slots that are booked ahead, kept, or given back.

use diskette_store::Error;
use diskette_throttle::{Clock, ManualClock, Rate, Reservation, RetryAfter};

use crate::{SECOND, passed, retry_after, store, throttle};

/// As a future on a runtime of several threads wants it.
const _: () = {
    const fn moves<T: Send + Sync + 'static>() {}
    moves::<Reservation>();
};

#[test]
fn a_dropped_reservation_gives_its_slot_to_the_next_and_moves_nobody() {
    let ((_dir, store), clock) = (store(), ManualClock::new());
    let calls = throttle(&store, &clock, Rate::per_second(1));
    let reserved: Vec<_> = (0..4).map(|_| calls.reserve().unwrap()).collect();
    let [now, first, second, third] = reserved.try_into().unwrap();
    assert!(now.remaining().is_zero());
    assert_eq!(
        [&first, &second, &third].map(|next| next.remaining()),
        [1, 2, 3].map(|n| n * SECOND)
    );

    drop(second);
    drop(now); // its time has come: it counts
    assert_eq!(retry_after(&calls), 2 * SECOND);
    let again = calls.reserve().unwrap();
    let last = calls.reserve().unwrap();
    assert_eq!(
        (again.remaining(), last.remaining()),
        (2 * SECOND, 4 * SECOND)
    );
    for reservation in [first, again, third, last] {
        let at = reservation.at();
        reservation.wait().unwrap();
        assert_eq!(clock.read().uptime, at);
    }
}

#[test]
fn a_reservation_that_is_past_its_time_counts_whether_it_is_kept_or_not() {
    let ((_dir, store), clock) = (store(), ManualClock::new());
    let calls = throttle(&store, &clock, Rate::per_second(1));
    calls.acquire().unwrap();
    let next = calls.reserve().unwrap();
    clock.advance(SECOND);
    next.cancel().unwrap();
    assert_eq!(retry_after(&calls), SECOND);
}

#[test]
fn a_light_call_doesnt_delay_a_heavy_one_that_came_first() {
    let ((_dir, store), clock) = (store(), ManualClock::new());
    let calls = throttle(&store, &clock, Rate::per_second(1).burst(10));
    calls.acquire_n(5).unwrap();
    let heavy = calls.reserve_n(10).unwrap();
    assert_eq!(heavy.remaining(), 5 * SECOND);
    assert_eq!(retry_after(&calls), 6 * SECOND);
    heavy.cancel().unwrap();
    assert_eq!(passed(&calls), 5);
}

#[test]
fn in_a_transaction_nobody_waits_and_a_slot_is_given_back_after_its_end() {
    let ((_dir, store), clock) = (store(), ManualClock::new());
    let calls = throttle(&store, &clock, Rate::per_second(1));
    calls.acquire().unwrap();
    let (kept, cancelled) = (calls.reserve().unwrap(), calls.reserve().unwrap());
    store
        .transaction(|tx| {
            assert!(kept.wait().unwrap_err().is_misuse());
            assert!(cancelled.cancel().unwrap_err().is_misuse());
            assert!(calls.reserve().unwrap_err().is_misuse());
            let refused = calls.within(tx).try_acquire()?;
            assert_eq!(refused, Err(RetryAfter(3 * SECOND)));
            Ok::<(), Error>(())
        })
        .unwrap();
    assert_eq!(retry_after(&calls), SECOND);
}

/// In a trial `wait`, the only way to keep a reservation, put a thread of an async runtime to sleep for 399 ms: the slot had been
/// postponed, and nothing but `wait` knew.
#[test]
fn asking_for_a_slot_never_sleeps_whatever_became_of_it() {
    let ((_dir, store), clock) = (store(), ManualClock::new());
    let calls = throttle(&store, &clock, Rate::per_second(1));
    let mut now = calls.reserve().unwrap();
    assert_eq!(now.try_wait().unwrap(), Ok(()));

    let mut next = calls.reserve().unwrap();
    assert_eq!(next.try_wait().unwrap(), Err(RetryAfter(SECOND)));
    calls.postpone(10 * SECOND).unwrap();
    clock.advance(SECOND);
    let start = clock.read().uptime;
    assert_eq!(next.try_wait().unwrap(), Err(RetryAfter(9 * SECOND)));
    assert_eq!(next.remaining(), 9 * SECOND);
    assert_eq!(clock.read().uptime, start);

    clock.advance(9 * SECOND);
    assert_eq!(next.try_wait().unwrap(), Ok(()));
    assert_eq!(next.try_wait().unwrap(), Ok(()));
    drop(next); // it was kept
    assert_eq!(retry_after(&calls), SECOND);
}

#[test]
fn a_slot_that_was_asked_for_in_vain_is_still_given_back_or_waited_for() {
    let ((_dir, store), clock) = (store(), ManualClock::new());
    let calls = throttle(&store, &clock, Rate::per_second(1));
    calls.acquire().unwrap();
    let mut given_up = calls.reserve().unwrap();
    assert!(given_up.try_wait().unwrap().is_err());
    drop(given_up); // as when a future is cancelled
    assert_eq!(retry_after(&calls), SECOND);

    let mut kept = calls.reserve().unwrap();
    assert!(kept.try_wait().unwrap().is_err());
    let start = clock.read().uptime;
    kept.wait().unwrap();
    assert_eq!(clock.read().uptime, start + SECOND);
}
