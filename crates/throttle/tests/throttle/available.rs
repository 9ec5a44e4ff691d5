//! What could be taken, without taking it.

use diskette_throttle::{ManualClock, Rate, Throttle};

use crate::{HOUR, SECOND, named, passed, store, throttle};

#[test]
fn what_is_available_is_what_passes() {
    let ((_dir, store), clock) = (store(), ManualClock::new());
    let calls = throttle(&store, &clock, Rate::per_second(1).burst(5));
    assert_eq!(calls.available().unwrap(), 5);
    calls.acquire_n(4).unwrap();
    assert_eq!(calls.available().unwrap(), 1);
    assert_eq!(calls.available().unwrap(), 1); // to look takes nothing
    clock.advance(2 * SECOND);
    assert_eq!(calls.available().unwrap(), 3);
    assert_eq!(passed(&calls), 3);
    assert_eq!(calls.available().unwrap(), 0);
    clock.advance(HOUR);
    assert_eq!(calls.available().unwrap(), 5); // a burst and no more

    calls.postpone(SECOND).unwrap();
    assert_eq!(calls.available().unwrap(), 0);
    clock.advance(SECOND);
    let within = store.transaction(|tx| {
        calls.within(tx).try_acquire_n(2)?.unwrap();
        calls.within(tx).available()
    });
    assert_eq!(within.unwrap(), 3);
}

#[test]
fn what_somebody_waits_for_is_not_available() {
    let ((_dir, store), clock) = (store(), ManualClock::new());
    let calls = throttle(&store, &clock, Rate::per_second(1).burst(5));
    calls.acquire_n(5).unwrap();
    clock.advance(4 * SECOND);
    assert_eq!(calls.available().unwrap(), 4);
    let whole = calls.reserve_n(5).unwrap();
    assert_eq!(calls.available().unwrap(), 0);
    whole.cancel().unwrap();
    assert_eq!(calls.available().unwrap(), 4);
}

#[test]
fn each_rate_says_its_own_and_all_must_agree() {
    let ((_dir, store), clock) = (store(), ManualClock::new());
    let (fast, daily) = (Rate::per_second(1).burst(3), Rate::per_hour(1).burst(10));
    let options = Throttle::options().clock(clock.clone());
    let calls = options.new(&store, "calls", [fast, daily]).unwrap();
    calls.acquire_n(2).unwrap();
    clock.advance(SECOND);
    let by_rate = calls.available_by_rate().unwrap();
    assert_eq!(by_rate, [(fast, 2), (daily, 8)]);
    assert_eq!(calls.available().unwrap(), 2);

    let other = named(&store, &clock, "other", Rate::per_hour(1));
    assert_eq!(calls.and(&other).available().unwrap(), 1);
    calls.and(&other).acquire().unwrap();
    assert_eq!(calls.and(&other).available().unwrap(), 0);
    assert_eq!(calls.available().unwrap(), 1);
}
