//! Whether what several processes were answered could have been answered to one, call by call.

use std::collections::HashSet;
use std::hash::Hash;

/// A call, between two moments of a history. Only that they are in order counts; the lines of a log will do.
#[derive(Clone, Debug)]
pub struct Call<O> {
    /// What was done, and what was answered.
    pub what: O,
    /// It took place after this.
    pub begun: usize,
    /// And before this, if at all.
    pub ended: usize,
    /// It was answered; else whoever made it was killed, and it may not have taken place.
    pub answered: bool,
}

/// Looks for an order of the calls in which each finds what the ones before have left: `then` gives what a call makes of a state,
/// or `None` if its answer would have been another one there.
///
/// What concerns different keys is to be looked at key by key: then it is quick. Source: Wing and Gong, *Testing and Verifying
/// Concurrent Objects* (1993), with what Lowe added in *Testing for Linearizability* (2017): no state is looked at twice.
///
/// # Errors
///
/// There is no such order; so many calls could be put in one at most.
pub fn linearizable<O, S: Clone + Eq + Hash>(
    calls: &[Call<O>],
    first: S,
    then: impl Fn(&S, &O) -> Option<S>,
) -> Result<(), usize> {
    let mut most = 0;
    let mut seen = HashSet::new();
    let mut to_try = vec![(vec![false; calls.len()], first)];
    while let Some((done, state)) = to_try.pop() {
        let of = |is_done: bool| {
            calls
                .iter()
                .zip(&done)
                .filter(move |(_, done)| **done == is_done)
        };
        let next_end = of(false)
            .filter(|(call, _)| call.answered)
            .map(|(call, _)| call.ended)
            .min();
        let Some(next_end) = next_end else {
            return Ok(());
        };
        let last_begin = of(true).map(|(call, _)| call.begun).max();
        most = most.max(of(true).count());
        for (i, call) in calls.iter().enumerate() {
            let may_be_next = !done[i] && call.begun < next_end && Some(call.ended) > last_begin;
            if may_be_next && let Some(state) = then(&state, &call.what) {
                let mut done = done.clone();
                done[i] = true;
                if seen.insert((done.clone(), state.clone())) {
                    to_try.push((done, state));
                }
            }
        }
    }
    Err(most)
}
