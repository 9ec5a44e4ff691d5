//! Promises of time, on machines that have other things to do.

use std::time::Duration;

const ATTEMPTS: usize = 20;

/// Takes attempts until one takes less time than promised. A loaded machine keeps a promise now and then, what breaks it never does.
///
/// # Panics
///
/// If none of twenty does.
#[track_caller]
pub fn at_best_within(promise: Duration, mut attempt: impl FnMut() -> Duration) {
    let mut fastest = Duration::MAX;
    for _ in 0..ATTEMPTS {
        fastest = fastest.min(attempt());
        if fastest < promise {
            return;
        }
    }
    panic!("{fastest:?} is the best of {ATTEMPTS} times, {promise:?} was promised");
}
