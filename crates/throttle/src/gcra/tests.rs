//! The arithmetic against what the rates promise, and against brute force.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::rate::check;

const TICKET: Ticket = Ticket {
    owner: 1,
    number: 1,
};

/// Rates of a few in a few nanoseconds, so that brute force gets through all times.
fn rates() -> impl Strategy<Value = Vec<Rate>> {
    let rate = (1..6_u32, 1..40_u64, 1..6_u32).prop_map(|(n, per, burst)| {
        Rate::new(n, Duration::from_nanos(per.max(n.into()))).burst(burst)
    });
    vec(rate, 1..3)
}

#[derive(Clone, Debug)]
enum Op {
    Advance(u64),
    /// With a weight, from so much later on.
    Book(u32, u64),
    /// One of those ahead.
    Cancel(usize),
    Postpone(u64),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        3 => (0..30_u64).prop_map(Op::Advance),
        8 => (1..4_u32, prop_oneof![3 => Just(0), 1 => 0..100_u64]).prop_map(|(weight, later)| Op::Book(weight, later)),
        2 => (0..8_usize).prop_map(Op::Cancel),
        1 => (0..40_u64).prop_map(Op::Postpone),
    ];
    vec(op, 1..40)
}

/// What the invariant says, from the definition of GCRA.
fn all_conform(rates: &[Rate], meter: &Meter) -> bool {
    let mut tats = meter.tats.clone();
    meter.ahead.is_sorted_by_key(|next| next.at)
        && meter.ahead.iter().all(|next| {
            count(rates, &mut tats, next.at, next.weight);
            let mut each = rates.iter().zip(&tats);
            each.all(|(rate, tat)| tat - fine(next.at) <= rate.cost(rate.max_weight()))
        })
}

fn brute_force(rates: &[Rate], meter: &Meter, from: u64, weight: u32) -> u64 {
    let fits = |at| {
        let mut with = meter.clone();
        with.book(appointment(at, weight));
        all_conform(rates, &with)
    };
    let mut times = from.max(meter.closed_until)..;
    times.find(|&at| fits(at)).unwrap()
}

fn appointment(at: u64, weight: u32) -> Appointment {
    Appointment {
        at,
        weight,
        ticket: TICKET,
    }
}

fn smallest_burst(rates: &[Rate]) -> u32 {
    rates.iter().map(Rate::max_weight).min().unwrap()
}

proptest! {
    #[test]
    fn each_gets_the_earliest_time_and_no_window_has_too_many(rates in rates(), ops in ops()) {
        prop_assert!(check(&rates).is_ok());
        let (mut meter, mut now, mut passed) = (Meter::new(&rates), 1000, vec![]);
        for op in ops {
            match op {
                Op::Advance(by) => {
                    now += by;
                    let due = meter.ahead.iter().take_while(|next| next.at <= now);
                    passed.extend(due.map(|next| (next.at, next.weight)));
                    meter.advance(&rates, now);
                }
                Op::Book(weight, later) => {
                    let weight = weight.min(smallest_burst(&rates));
                    let at = meter.earliest(&rates, now + later, weight);
                    prop_assert_eq!(at, brute_force(&rates, &meter, now + later, weight));
                    meter.book(appointment(at, weight));
                }
                Op::Cancel(i) if i < meter.ahead.len() => drop(meter.ahead.remove(i)),
                Op::Cancel(_) => {}
                Op::Postpone(by) => {
                    let before = meter.ahead.clone();
                    meter.postpone(now + by);
                    let shift = |after: &Appointment, before: &Appointment| after.at - before.at;
                    let mut shifts = meter.ahead.iter().zip(&before).map(|(a, b)| shift(a, b));
                    let first = shifts.next();
                    prop_assert!(shifts.all(|shift| Some(shift) == first));
                    prop_assert!(meter.ahead.iter().all(|next| next.at >= now + by));
                }
            }
            prop_assert!(all_conform(&rates, &meter), "{:?}", meter);
            assert_available(&rates, meter.clone(), now)?;
        }
        passed.extend(meter.ahead.iter().map(|next| (next.at, next.weight)));
        for rate in &rates {
            assert_bound(rate, &passed)?;
        }
    }

    #[test]
    fn other_rates_move_nobody_forward_and_demand_no_more_than_a_burst(
        old in rates(), new in rates(), weights in vec(1..4_u32, 0..12), now in 0..60_u64,
    ) {
        let mut meter = Meter::new(&old);
        for weight in weights {
            let at = meter.earliest(&old, 0, weight.min(smallest_burst(&old)));
            meter.book(appointment(at, weight.min(smallest_burst(&old)).min(smallest_burst(&new))));
        }
        meter.advance(&old, now);
        let before = meter.clone();
        meter.change_rates(&old, &new, now);
        prop_assert!(all_conform(&new, &meter));
        prop_assert!(meter.ahead.iter().zip(&before.ahead).all(|(after, before)| after.at >= before.at));

        meter.ahead.clear();
        let burst = new.iter().map(|rate| rounded_up(rate.cost(rate.max_weight()))).max().unwrap();
        let wait = meter.earliest(&new, now, smallest_burst(&new)) - now;
        prop_assert!(wait <= burst);
    }
}

/// What is said to be available passes at once, and no more.
fn assert_available(rates: &[Rate], mut meter: Meter, now: u64) -> Result<(), TestCaseError> {
    meter.advance(rates, now);
    let most = meter.available(rates, now).into_iter().min().unwrap();
    for weight in 1..=smallest_burst(rates) {
        let passes = meter.earliest(rates, now, weight) == now;
        prop_assert_eq!(
            passes,
            weight <= most,
            "{} of {}: {:?}",
            weight,
            most,
            meter
        );
    }
    Ok(())
}

/// Any window has less than `n * window / period + burst`.
fn assert_bound(rate: &Rate, passed: &[(u64, u32)]) -> Result<(), TestCaseError> {
    for first in 0..passed.len() {
        let mut weight = 0;
        for &(at, its) in &passed[first..] {
            weight += its;
            let window = at - passed[first].0 + 1;
            let (n, period, burst): (u128, _, u128) =
                (rate.n.into(), rate.per.as_nanos(), rate.burst.into());
            prop_assert!(
                u128::from(weight) * period < n * u128::from(window) + burst * period,
                "{weight} at {rate} in {window} ns: {passed:?}"
            );
        }
    }
    Ok(())
}

#[test]
fn under_saturation_the_rate_is_reached_but_for_a_nanosecond_a_call() {
    let (second, heavy) = (1_000_000_000_u64, 65_536);
    for (rate, n, weight) in [
        (Rate::per_second(50), 50, 1),
        (Rate::per_second(50).burst(7), 50, 1),
        (Rate::per_second(3), 3, 1),
        (Rate::per_second(7).burst(3), 7, 1),
        (
            Rate::per_second(150_000_000).burst(heavy),
            150_000_000,
            heavy,
        ),
    ] {
        let mut meter = Meter::new(&[rate]);
        for number in 1..=10_000_u64 {
            let at = meter.earliest(&[rate], 0, weight);
            meter.book(appointment(at, weight));
            meter.advance(&[rate], at);
            let beyond_burst =
                (number * u64::from(weight)).saturating_sub(rate.max_weight().into());
            let ideal = (beyond_burst * second).div_ceil(n);
            assert!(
                (ideal..=ideal + number).contains(&at),
                "{number} at {rate}: {at}"
            );
        }
    }
}
