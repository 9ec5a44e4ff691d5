//! What a user of one process relies on; `tests/` at the top has what takes several.
#![allow(clippy::unwrap_used)]

mod available;
mod chains;
mod changing;
mod clocks;
mod notation;
mod opening;
mod passing;
mod reservations;

use std::time::Duration;

use diskette_store::Store;
use diskette_testkit::Place;
use diskette_throttle::{ManualClock, Rate, RetryAfter, Throttle};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

fn store() -> (Place, Store) {
    Place::new().with(|path| Store::open(path))
}

/// A throttle by a clock that stands still.
fn throttle(store: &Store, clock: &ManualClock, rate: Rate) -> Throttle {
    named(store, clock, "calls", rate)
}

fn named(store: &Store, clock: &ManualClock, name: &str, rate: Rate) -> Throttle {
    let options = Throttle::options().clock(clock.clone());
    options.new(store, name, rate).unwrap()
}

/// How many pass at once.
fn passed(throttle: &Throttle) -> usize {
    let tries = std::iter::repeat_with(|| throttle.try_acquire().unwrap());
    tries.take_while(Result::is_ok).count()
}

fn retry_after(throttle: &Throttle) -> Duration {
    let RetryAfter(wait) = throttle.try_acquire().unwrap().unwrap_err();
    wait
}
