//! What a new process pays before its first call.

use std::path::Path;
use std::time::Duration;

use diskette::{Deque, Store};
use diskette_benches::scaled;
use diskette_testkit::{Child, PATIENCE, role};

use crate::time;

const OPENINGS: usize = scaled(11, 1);

role! {
    /// Opens a store, and a deque in it; says how many nanoseconds either took.
    pub(crate) fn open(parent) {
        let (store, opened) = time(|| Store::open(parent.arg::<String>(0)).expect("a store"));
        let (_deque, found) = time(|| Deque::<u64>::new(&store, &parent.arg::<String>(1)).expect("a deque"));
        parent.say(format!("{} {}", opened.as_nanos(), found.as_nanos()));
    }
}

/// Opening the store, and then a deque in it: medians.
pub(crate) fn medians(path: &Path, deque: &str) -> [Duration; 2] {
    let mut took = [Vec::new(), Vec::new()];
    for _ in 0..OPENINGS {
        let mut child = Child::spawn(open, &[&path.display(), &deque]);
        let line = child.hear(PATIENCE);
        for (number, took) in line.split(' ').zip(&mut took) {
            took.push(Duration::from_nanos(number.parse().expect("nanoseconds")));
        }
        assert!(child.wait(PATIENCE).success());
    }
    took.map(|mut took| {
        took.sort_unstable();
        took[OPENINGS / 2]
    })
}
