//! Restarts, and clocks that are set.

use diskette_store::Store;
use diskette_throttle::{ManualClock, Rate};

use crate::{HOUR, SECOND, passed, retry_after, store, throttle};

#[test]
fn a_restart_of_the_program_refills_nothing() {
    let (dir, store) = store();
    let clock = ManualClock::new();
    let rate = Rate::per_second(1).burst(5);
    let calls = throttle(&store, &clock, rate);
    assert_eq!(passed(&calls), 5);
    let ahead = calls.reserve().unwrap();
    ahead.cancel().unwrap();
    drop((calls, store));

    let store = Store::open(dir.path()).unwrap();
    let calls = throttle(&store, &clock, rate);
    assert_eq!(retry_after(&calls), SECOND);
    clock.advance(2 * SECOND);
    assert_eq!(passed(&calls), 2);
}

#[test]
fn a_step_of_the_time_of_day_has_no_effect() {
    for step in [3600, -3600, 1_000_000_000, -1_000_000_000] {
        let ((_dir, store), clock) = (store(), ManualClock::new());
        let calls = throttle(&store, &clock, Rate::per_second(1).burst(5));
        assert_eq!(passed(&calls), 5);
        clock.step_wall(step);
        assert_eq!((passed(&calls), retry_after(&calls)), (0, SECOND));
        clock.advance(SECOND);
        assert_eq!((passed(&calls), retry_after(&calls)), (1, SECOND));
        clock.step_wall(-step);
        clock.advance(3 * SECOND);
        assert_eq!((passed(&calls), retry_after(&calls)), (3, SECOND));
    }
}

#[test]
fn over_a_restart_of_the_system_time_goes_on_by_the_time_of_day() {
    let ((_dir, store), clock) = (store(), ManualClock::new());
    let calls = throttle(&store, &clock, Rate::per_second(1).burst(5));
    assert_eq!(passed(&calls), 5);
    clock.reboot();
    clock.step_wall(2);
    assert_eq!((passed(&calls), retry_after(&calls)), (2, SECOND));
    clock.advance(SECOND);
    assert_eq!(passed(&calls), 1);
}

#[test]
fn a_time_of_day_that_was_lost_over_a_restart_neither_frees_a_flood_nor_blocks_for_hours() {
    for step in [-3600, -1_000_000_000] {
        let ((_dir, store), clock) = (store(), ManualClock::new());
        let calls = throttle(&store, &clock, Rate::per_minute(1).burst(2));
        assert_eq!(passed(&calls), 2);
        clock.reboot();
        clock.step_wall(step);
        assert_eq!((passed(&calls), retry_after(&calls)), (0, 60 * SECOND));
        clock.advance(60 * SECOND);
        assert_eq!(passed(&calls), 1);
    }
    // A step forward is time like any other: one burst, not more.
    let ((_dir, store), clock) = (store(), ManualClock::new());
    let calls = throttle(&store, &clock, Rate::per_minute(1).burst(2));
    assert_eq!(passed(&calls), 2);
    clock.reboot();
    clock.step_wall(1_000_000_000);
    assert_eq!((passed(&calls), retry_after(&calls)), (2, 60 * SECOND));
}

#[test]
fn appointments_of_before_a_restart_of_the_system_are_void() {
    let ((_dir, store), clock) = (store(), ManualClock::new());
    let calls = throttle(&store, &clock, Rate::per_second(1));
    calls.acquire().unwrap();
    let ahead: Vec<_> = (0..100).map(|_| calls.reserve().unwrap()).collect();
    std::mem::forget(ahead);
    assert_eq!(retry_after(&calls), 101 * SECOND);
    clock.reboot();
    assert_eq!(retry_after(&calls), SECOND);
}

#[test]
fn appointments_that_came_due_while_the_system_restarted_count() {
    let ((_dir, store), clock) = (store(), ManualClock::new());
    let calls = throttle(&store, &clock, Rate::per_second(1));
    calls.acquire().unwrap();
    std::mem::forget([calls.reserve().unwrap(), calls.reserve().unwrap()]);
    clock.reboot();
    clock.step_wall(2);
    assert_eq!(retry_after(&calls), SECOND);
}

#[test]
fn a_clock_that_is_behind_counts_as_no_time_passed() {
    let ((_dir, store), clock) = (store(), ManualClock::new());
    clock.advance(10 * HOUR);
    let rate = Rate::per_second(1).burst(2);
    let calls = throttle(&store, &clock, rate);
    calls.postpone(5 * SECOND).unwrap();
    let behind = ManualClock::new();
    let calls = throttle(&store, &behind, rate);
    assert_eq!(retry_after(&calls), 5 * SECOND);
    behind.advance(5 * SECOND);
    assert_eq!((passed(&calls), retry_after(&calls)), (2, SECOND));
}
