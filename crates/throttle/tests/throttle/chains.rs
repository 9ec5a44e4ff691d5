//! Several throttles at once.

use diskette_throttle::{Chain, Clock, ManualClock, Rate, RetryAfter};

use crate::{SECOND, named, passed, retry_after, store};

#[test]
fn a_chain_debits_all_or_none() {
    let ((_dir, store), clock) = (store(), ManualClock::new());
    let host = named(&store, &clock, "host", Rate::per_second(1));
    let global = named(&store, &clock, "global", Rate::per_second(1).burst(3));
    let chain = host.and(&global).and(&host);
    assert_eq!(chain.try_acquire().unwrap(), Ok(()));
    assert_eq!(chain.try_acquire().unwrap(), Err(RetryAfter(SECOND)));
    assert_eq!(
        chain.acquire_timeout(SECOND / 2).unwrap(),
        Err(RetryAfter(SECOND))
    );
    assert_eq!(passed(&global), 2);
    let within = store.transaction(|tx| chain.within(tx).try_acquire());
    assert_eq!(within.unwrap(), Err(RetryAfter(SECOND)));
    assert!(chain.try_acquire_n(2).unwrap_err().is_invalid_input());
}

#[test]
fn who_waits_for_a_slow_host_holds_nobody_up_on_the_fast_global_one() {
    let ((_dir, store), clock) = (store(), ManualClock::new());
    let slow = named(&store, &clock, "slow", Rate::per_minute(1));
    let fast = named(&store, &clock, "fast", Rate::per_second(10));
    let global = named(&store, &clock, "global", Rate::per_second(10));
    slow.and(&global).acquire().unwrap();
    let waiting = slow.and(&global).reserve().unwrap();
    assert_eq!(waiting.remaining(), 60 * SECOND);
    clock.advance(SECOND);
    assert_eq!(passed(&global), 1);
    clock.advance(SECOND);
    assert_eq!(fast.and(&global).try_acquire().unwrap(), Ok(()));
    // Both of these leave the slot at 60 s to the one that has it.
    clock.advance(58 * SECOND - SECOND / 20);
    assert_eq!(retry_after(&global), 3 * SECOND / 20);
    waiting.cancel().unwrap();
    assert_eq!(passed(&global), 1);
}

#[test]
fn the_time_suits_all() {
    let ((_dir, store), clock) = (store(), ManualClock::new());
    let [a, b, c] = [("a", 2), ("b", 3), ("c", 6)]
        .map(|(name, rate)| named(&store, &clock, name, Rate::per_minute(rate)));
    let chain = Chain::new(&[a, b, c]).unwrap();
    let start = clock.read().uptime;
    for number in 0..4 {
        chain.acquire().unwrap();
        assert_eq!(clock.read().uptime, start + number * 30 * SECOND);
    }
}

/// Once the slot on `global` has passed unused, the call needs another there.
#[test]
fn one_that_is_postponed_on_one_throttle_takes_a_new_slot_on_the_others() {
    let ((_dir, store), clock) = (store(), ManualClock::new());
    let host = named(&store, &clock, "host", Rate::per_second(1));
    let global = named(&store, &clock, "global", Rate::per_second(1));
    let chain = host.and(&global);
    chain.acquire().unwrap();
    let start = clock.read().uptime;
    let first = chain.reserve().unwrap();
    host.postpone(10 * SECOND).unwrap();
    let others: Vec<_> = (2..=10).map(|_| global.reserve().unwrap()).collect();
    assert_eq!(others[8].at(), start + 10 * SECOND);
    first.wait().unwrap();
    assert_eq!(clock.read().uptime, start + 11 * SECOND);
    std::mem::forget(others);
}
