//! Ten thousand structures in one store: what making one costs, its first use, opening the store, removing a large one.
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    reason = "it measures time, and ends at the first error"
)]

use std::time::{Duration, Instant};

use diskette::{Deque, Index, Store};
use diskette_benches::scaled;

const STRUCTURES: usize = scaled(10_000, 10);
const LARGE: u64 = scaled(200_000, 1_000);

fn main() {
    if !diskette_benches::is_asked_for() {
        return;
    }
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory on the disk");
    let store = Store::open(dir.path().join("store")).expect("a store");
    let name = |n: usize| format!("deque {n}");

    let (deques, made) = timed(|| {
        let make = |n| Deque::<u64>::new(&store, &name(n)).expect("a new deque");
        (0..STRUCTURES).map(make).collect::<Vec<_>>()
    });
    say("making a deque", made / STRUCTURES as u32);
    let mut uses = [Vec::new(), Vec::new()];
    for deque in &deques {
        for time in 1..=100 {
            let ((), took) = timed(|| deque.push_back(&time).expect("a push"));
            match time {
                1 => uses[0].push(took),
                100 => uses[1].push(took),
                _ => {}
            }
        }
    }
    for (what, uses) in ["its first push, median", "its hundredth push, median"]
        .iter()
        .zip(&mut uses)
    {
        uses.sort_unstable();
        say(what, uses[uses.len() / 2]);
    }

    let (stats, took) = timed(|| store.stats().expect("stats"));
    say("stats of all", took);
    let items: u64 = stats.structures.iter().map(|it| it.len).sum();
    assert_eq!(
        (stats.structures.len(), items),
        (STRUCTURES, 100 * STRUCTURES as u64)
    );

    let path = store.path().to_owned();
    drop((deques, store));
    let (store, took) = timed(|| Store::open(&path).expect("the store"));
    say("opening the store", took);
    let (_one, took) = timed(|| Deque::<u64>::new(&store, &name(STRUCTURES / 2)).expect("one"));
    say("and one of them", took);

    let large = Index::<u64, u64>::new(&store, "large").expect("an index");
    large.extend((0..LARGE).map(|n| (n, n))).expect("entries");
    let (removed, took) = timed(|| store.remove_structure("large").expect("removing"));
    assert!(removed);
    say("removing an index of 200,000", took);
}

fn timed<R>(work: impl FnOnce() -> R) -> (R, Duration) {
    let start = Instant::now();
    let result = work();
    (result, start.elapsed())
}

fn say(what: &str, took: Duration) {
    println!("{what:<30} {:>12.1} us", took.as_nanos() as f64 / 1000.0);
}
