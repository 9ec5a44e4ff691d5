//! Who passes, and when.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use diskette_store::Error;
use diskette_throttle::{Clock, ManualClock, Rate, RetryAfter, SystemClock, Throttle};

use crate::{HOUR, SECOND, passed, retry_after, store, throttle};

#[test]
fn a_burst_passes_at_once_and_then_one_after_the_other() {
    let ((_dir, store), clock) = (store(), ManualClock::new());
    let calls = throttle(&store, &clock, Rate::per_second(2).burst(3));
    assert_eq!(passed(&calls), 3);
    assert_eq!(retry_after(&calls), SECOND / 2);
    clock.advance(SECOND / 2 - Duration::from_nanos(1));
    assert_eq!(retry_after(&calls), Duration::from_nanos(1));
    clock.advance(Duration::from_nanos(1));
    assert_eq!(passed(&calls), 1);
    clock.advance(HOUR);
    assert_eq!(passed(&calls), 3);
}

#[test]
fn a_weight_counts_as_so_many() {
    let ((_dir, store), clock) = (store(), ManualClock::new());
    let calls = throttle(&store, &clock, Rate::per_second(1).burst(10));
    assert_eq!(calls.try_acquire_n(8).unwrap(), Ok(()));
    assert_eq!(calls.try_acquire_n(5).unwrap(), Err(RetryAfter(3 * SECOND)));
    assert_eq!(calls.try_acquire_n(2).unwrap(), Ok(()));
    calls.acquire_n(10).unwrap();
    assert_eq!(
        clock.read().uptime,
        ManualClock::new().read().uptime + 10 * SECOND
    );
}

#[test]
fn all_rates_hold() {
    let ((_dir, store), clock) = (store(), ManualClock::new());
    let rates = [Rate::per_second(1).burst(2), Rate::per_minute(3).burst(3)];
    let options = Throttle::options().clock(clock.clone());
    let calls = options.new(&store, "calls", rates).unwrap();
    assert_eq!((passed(&calls), retry_after(&calls)), (2, SECOND));
    clock.advance(SECOND);
    assert_eq!((passed(&calls), retry_after(&calls)), (1, 19 * SECOND));
}

#[test]
fn whoever_acquires_sleeps_exactly_until_its_slot() {
    let ((_dir, store), clock) = (store(), ManualClock::new());
    let calls = throttle(&store, &clock, Rate::per_minute(60));
    let start = clock.read().uptime;
    for number in 0..5 {
        calls.acquire().unwrap();
        assert_eq!(clock.read().uptime, start + number * SECOND);
    }
}

#[test]
fn a_deadline_that_the_slot_lies_beyond_is_refused_at_once() {
    let ((_dir, store), clock) = (store(), ManualClock::new());
    let calls = throttle(&store, &clock, Rate::per_second(1));
    let start = clock.read().uptime;
    assert_eq!(calls.acquire_timeout(Duration::ZERO).unwrap(), Ok(()));
    for timeout in [Duration::ZERO, SECOND - Duration::from_nanos(1)] {
        let refused = calls.acquire_timeout(timeout).unwrap();
        assert_eq!(refused, Err(RetryAfter(SECOND)));
    }
    assert_eq!(clock.read().uptime, start);
    assert_eq!(calls.acquire_timeout(SECOND).unwrap(), Ok(()));
    assert_eq!(calls.acquire_n_timeout(1, Duration::MAX).unwrap(), Ok(()));
    assert_eq!(clock.read().uptime, start + 2 * SECOND);
}

#[test]
fn a_refusal_after_another_takes_no_turn_to_write() {
    let ((_dir, store), clock) = (store(), ManualClock::new());
    let calls = throttle(&store, &clock, Rate::per_second(1));
    calls.acquire().unwrap();
    assert_eq!(calls.try_acquire().unwrap(), Err(RetryAfter(SECOND)));
    store
        .transaction(|_| {
            let ask = || assert_eq!(calls.try_acquire().unwrap(), Err(RetryAfter(SECOND)));
            thread::scope(|scope| scope.spawn(ask).join()).unwrap();
            Ok::<(), Error>(())
        })
        .unwrap();
}

#[test]
fn what_passes_in_a_transaction_is_debited_with_it() {
    let ((_dir, store), clock) = (store(), ManualClock::new());
    let calls = throttle(&store, &clock, Rate::per_second(1));
    let undone = store.transaction(|tx| {
        assert!(calls.within(tx).try_acquire()?.is_ok());
        assert!(calls.within(tx).try_acquire()?.is_err());
        assert!(calls.acquire().unwrap_err().is_misuse());
        Err::<(), _>(calls.within(tx).try_acquire_n(2).unwrap_err())
    });
    assert!(undone.unwrap_err().is_invalid_input());
    assert_eq!(passed(&calls), 1);
    let in_snapshot = store.snapshot(|snapshot| calls.within(snapshot).try_acquire());
    assert_eq!(in_snapshot.unwrap(), Err(RetryAfter(SECOND)));
}

#[test]
fn threads_share_a_limit_in_virtual_time() {
    let ((_dir, store), clock) = (store(), ManualClock::new());
    let calls = throttle(&store, &clock, Rate::per_second(100));
    let start = clock.read().uptime;
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..25).for_each(|_| calls.acquire().unwrap()));
        }
    });
    assert!(clock.read().uptime >= start + 99 * SECOND / 100);
}

#[test]
fn nobody_returns_before_its_slot_by_the_systems_clock() {
    let (_dir, store) = store();
    let clock = Arc::new(SystemClock::new().unwrap());
    let options = Throttle::options().clock(Arc::clone(&clock));
    let calls = options.new(&store, "calls", Rate::per_second(500)).unwrap();
    let first = calls.reserve().unwrap();
    let start = first.at();
    first.wait().unwrap();
    let echo = calls.wrap(|number: u32| number);
    for number in 1..20 {
        assert_eq!(echo(number).unwrap(), number);
        assert!(clock.read().uptime >= start + number * SECOND / 500);
    }
}
