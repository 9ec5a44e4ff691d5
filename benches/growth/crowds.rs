//! Ever more processes, or threads of one, that write to one store.

use std::fmt::Display;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use diskette::{Index, Store};
use diskette_benches::scaled;
use diskette_testkit::{Child, Gate, PATIENCE, role};

use crate::{Growth, Reach, directory, spread};

const TIME: Duration = Duration::from_millis(scaled(2000, 20));
const KEYS: u64 = 10_000;

/// What one who writes has done, and its longest wait.
type Done = (u32, Duration);

role! {
    /// Inserts for a while, and says how often, and how many microseconds the longest took.
    pub(crate) fn insert(parent) {
        let index = open(&parent.arg::<String>(0));
        parent.say("ready");
        Gate::pass(parent.arg::<String>(1));
        let (done, longest) = inserts(&index, parent.arg(2));
        parent.say(format!("{done} {}", longest.as_micros()));
    }
}

pub(crate) fn of_processes(reach: Reach) -> Growth {
    grow("processes that insert", reach, |writers| {
        let directory = directory();
        let path = directory.path().join("store");
        let at = directory.path().join("gate");
        // Nobody has it as new.
        let store = open(&path.display());
        let gate = Gate::closed(&at);
        let spawn = |me| Child::spawn(insert, &[&path.display(), &at.display(), &me]);
        let mut children: Vec<_> = (0..writers).map(spawn).collect();
        for child in &mut children {
            assert_eq!(child.hear(PATIENCE), "ready");
        }
        gate.open();
        let heard = children.iter_mut().map(|child| {
            let line = child.hear(PATIENCE);
            let (done, longest) = line.split_once(' ').expect("two numbers");
            let longest = Duration::from_micros(longest.parse().expect("microseconds"));
            (done.parse().expect("a number"), longest)
        });
        let all = heard.collect();
        drop(store);
        all
    })
}

pub(crate) fn of_threads(reach: Reach) -> Growth {
    grow("threads that insert", reach, |writers| {
        let directory = directory();
        let index = open(&directory.path().join("store").display());
        let start = Barrier::new(writers as usize);
        thread::scope(|scope| {
            let work = |me| {
                let (index, start) = (&index, &start);
                scope.spawn(move || {
                    start.wait();
                    inserts(index, me)
                })
            };
            let all: Vec<_> = (0..writers).map(work).collect();
            let done = all.into_iter().map(|it| it.join().expect("a thread"));
            done.collect()
        })
    })
}

fn grow(size: &'static str, reach: Reach, round: impl Fn(u64) -> Vec<Done>) -> Growth {
    let sizes: Vec<_> = (0..=reach.writers).map(|n| 1_u64 << n).collect();
    let title =
        "microseconds: from one insert of any of them to the next, and the longest that one took";
    let mut growth = Growth::new(title, size, sizes.clone());
    for writers in sizes {
        let all = round(writers);
        let inserts: u32 = all.iter().map(|(done, _)| done).sum();
        let longest = all.iter().map(|(_, longest)| *longest).max();
        growth.add("Index::insert", TIME / inserts.max(1));
        growth.add("Index::insert, the longest", longest.unwrap_or_default());
    }
    growth
}

fn open(path: &dyn Display) -> Index<u64, u64> {
    let store = Store::open(path.to_string()).expect("a store");
    Index::new(&store, "index").expect("an index")
}

fn inserts(index: &Index<u64, u64>, me: u64) -> Done {
    let (mut done, mut longest) = (0, Duration::ZERO);
    let begun = Instant::now();
    let mut before = begun;
    while before - begun < TIME {
        // Never what is there: SQLite writes nothing then.
        let value = (u64::from(done) << 8) + me;
        index
            .insert(&spread(done as usize, KEYS), &value)
            .expect("a write");
        let now = Instant::now();
        longest = longest.max(now - before);
        (before, done) = (now, done + 1);
    }
    (done, longest)
}
