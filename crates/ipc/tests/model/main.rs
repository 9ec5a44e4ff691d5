//! All the ways in which threads can share slots, ring and wait, and hold a mutex over a fork, gone through one by one.
//!
//! Each model mirrors the code beside which it is named, with one access to shared memory to a step, and no safety poll. The
//! explorer takes every step that can be taken in every state that can be reached, and asks of each end whether anybody
//! sleeps who shouldn't.
#![allow(clippy::unwrap_used)]

mod line;
mod mutex;
mod relay;
mod slots;

use std::collections::HashSet;
use std::fmt::Debug;
use std::hash::Hash;

/// What threads do, step by step.
trait Model: Clone + Eq + Hash + Debug {
    /// The states that one step of each thread leads to, for each way in which it can go.
    fn next(&self, into: &mut Vec<Self>);

    /// What is wrong with this state, if anything is; `is_end`: no step leads on.
    fn wrong(&self, is_end: bool) -> Option<&'static str>;
}

/// Goes through all states; says how many there are, or what is wrong with the first bad one.
fn explore<M: Model>(start: M) -> Result<usize, (&'static str, M)> {
    const MOST: usize = 3_000_000;
    let mut seen = HashSet::from([start.clone()]);
    let mut open = vec![start];
    let mut next = Vec::new();
    while let Some(state) = open.pop() {
        next.clear();
        state.next(&mut next);
        if let Some(wrong) = state.wrong(next.is_empty()) {
            return Err((wrong, state));
        }
        for state in next.drain(..) {
            if seen.insert(state.clone()) {
                open.push(state);
            }
        }
        assert!(
            seen.len() <= MOST,
            "more states than this test has time for"
        );
    }
    Ok(seen.len())
}

#[track_caller]
fn holds<M: Model>(start: M) {
    let name = format!("{start:?}");
    let name = name.split_once('{').map_or("", |(name, _)| name);
    match explore(start) {
        Ok(states) => println!("{name}: {states} states"),
        Err((wrong, state)) => panic!("{wrong}: {state:#?}"),
    }
}
