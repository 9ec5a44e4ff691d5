//! A limit that changes while it is in use.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use diskette_throttle::{Clock, ManualClock, Rate, Reading, RetryAfter, Throttle};

use crate::{HOUR, SECOND, passed, retry_after, store, throttle};

#[test]
fn a_slower_rate_holds_for_those_who_wait_and_floods_nobody() {
    let ((_dir, store), clock) = (store(), ManualClock::new());
    let calls = throttle(&store, &clock, Rate::per_second(100).burst(100));
    assert_eq!(passed(&calls), 100);
    let (first, second) = (calls.reserve().unwrap(), calls.reserve().unwrap());
    calls.set_rates(Rate::per_second(1)).unwrap();
    assert_eq!(calls.rates().unwrap(), [Rate::per_second(1)]);
    let start = clock.read().uptime;
    first.wait().unwrap();
    assert_eq!(clock.read().uptime, start + SECOND);
    second.wait().unwrap();
    assert_eq!(clock.read().uptime, start + 2 * SECOND);
    assert_eq!(retry_after(&calls), SECOND);
}

#[test]
fn a_faster_rate_blocks_no_longer_than_it_says() {
    let ((_dir, store), clock) = (store(), ManualClock::new());
    let calls = throttle(&store, &clock, Rate::per_hour(1));
    assert_eq!((passed(&calls), retry_after(&calls)), (1, HOUR));
    let (slow, fast) = (
        Rate::per_minute(600).burst(4),
        Rate::per_second(100).burst(4),
    );
    calls.set_rates([slow, fast]).unwrap();
    assert_eq!((passed(&calls), retry_after(&calls)), (3, SECOND / 10));
}

#[test]
fn the_same_rates_again_change_nothing() {
    let ((_dir, store), clock) = (store(), ManualClock::new());
    let rates = [Rate::per_second(3).burst(2), Rate::per_hour(100).burst(100)];
    let options = Throttle::options().clock(clock);
    let calls = options.new(&store, "calls", rates).unwrap();
    assert_eq!(passed(&calls), 2);
    let wait = retry_after(&calls);
    (0..5).for_each(|_| calls.set_rates(rates).unwrap());
    assert_eq!(retry_after(&calls), wait);
    // Neither does going there and back.
    calls
        .set_rates([Rate::per_second(5).burst(7), rates[1]])
        .unwrap();
    calls.set_rates(rates).unwrap();
    assert_eq!(retry_after(&calls), wait);
}

#[test]
fn a_heavier_reservation_than_the_new_burst_still_gets_its_turn() {
    let ((_dir, store), clock) = (store(), ManualClock::new());
    let calls = throttle(&store, &clock, Rate::per_second(10).burst(10));
    calls.acquire_n(10).unwrap();
    let heavy = calls.reserve_n(10).unwrap();
    calls.set_rates(Rate::per_second(10).burst(2)).unwrap();
    calls.postpone(2 * SECOND).unwrap();
    let start = clock.read().uptime;
    heavy.wait().unwrap();
    assert_eq!(clock.read().uptime, start + 2 * SECOND);
    assert_eq!(retry_after(&calls), 9 * SECOND / 10);
}

#[test]
fn nobody_departs_before_a_postponement_and_all_keep_their_order_and_spacing() {
    let ((_dir, store), clock) = (store(), ManualClock::new());
    let calls = throttle(&store, &clock, Rate::per_second(1));
    calls.acquire().unwrap();
    let start = clock.read().uptime;
    let reserved: Vec<_> = (0..3).map(|_| calls.reserve().unwrap()).collect();
    calls.postpone(30 * SECOND).unwrap();
    calls.postpone(10 * SECOND).unwrap(); // brings nothing forward
    assert_eq!(calls.try_acquire().unwrap(), Err(RetryAfter(33 * SECOND)));
    for (reservation, number) in reserved.into_iter().zip(0..) {
        reservation.wait().unwrap();
        assert_eq!(clock.read().uptime, start + (30 + number) * SECOND);
    }
    let error = calls.postpone(Duration::MAX).unwrap_err();
    assert!(error.is_invalid_input(), "{error}");
}

#[test]
fn a_slot_that_was_postponed_is_given_back_too() {
    let ((_dir, store), clock) = (store(), ManualClock::new());
    let calls = throttle(&store, &clock, Rate::per_second(1));
    calls.acquire().unwrap();
    let next = calls.reserve().unwrap();
    calls.postpone(10 * SECOND).unwrap();
    clock.advance(5 * SECOND);
    drop(next);
    assert_eq!(retry_after(&calls), 5 * SECOND);
}

/// `acquire_timeout` books a slot in time, and while it sleeps another postpones it beyond.
#[test]
fn a_timeout_is_kept_although_the_slot_is_postponed() {
    let ((_dir, store), clock) = (store(), PostponingClock::default());
    let options = Throttle::options().clock(clock.clone());
    let calls = options.new(&store, "calls", Rate::per_second(1)).unwrap();
    calls.acquire().unwrap();
    *clock.0.postpones.lock().unwrap() = Some((calls.clone(), 10 * SECOND));
    let start = clock.read().uptime;
    let refused = calls.acquire_timeout(5 * SECOND).unwrap();
    assert_eq!(refused, Err(RetryAfter(9 * SECOND)));
    assert_eq!(clock.read().uptime, start + SECOND);
    assert_eq!(retry_after(&calls), 9 * SECOND);
}

/// A clock that postpones a throttle when somebody goes to sleep.
#[derive(Clone, Debug, Default)]
struct PostponingClock(Arc<Postponing>);

#[derive(Debug, Default)]
struct Postponing {
    clock: ManualClock,
    postpones: Mutex<Option<(Throttle, Duration)>>,
}

impl Clock for PostponingClock {
    fn read(&self) -> Reading {
        self.0.clock.read()
    }

    fn sleep_until(&self, uptime: Duration) {
        if let Some((throttle, by)) = self.0.postpones.lock().unwrap().take() {
            throttle.postpone(by).unwrap();
        }
        self.0.clock.sleep_until(uptime);
    }
}
