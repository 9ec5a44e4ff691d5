//! Every item that goes into a deque comes out exactly once, in its producer's order, whoever is killed.

use std::collections::BTreeMap;
use std::time::Duration;

use diskette::{Deque, Index, Store};
use diskette_testkit::{Child, Gate, PATIENCE, Place, on_postgres, role};

const EACH: u64 = 400;

role! {
    /// Pushes its numbers, some singly, some in batches.
    fn producer(parent) {
        let (dir, gate, me): (String, String, u64) = (parent.arg(0), parent.arg(1), parent.arg(2));
        let todo = Deque::<(u64, u64)>::new(&Store::open(&dir).unwrap(), "todo").unwrap();
        parent.say("ready");
        Gate::pass(gate);
        for n in 0..EACH / 4 {
            todo.push_back(&(me, 4 * n)).unwrap();
            todo.extend((1..4).map(|i| (me, 4 * n + i))).unwrap();
        }
        parent.say("done");
        parent.hear();
    }
}

role! {
    /// Pops until nothing has come for a while after the producers were done.
    fn consumer(parent) {
        let (dir, gate): (String, String) = (parent.arg(0), parent.arg(1));
        let todo = Deque::<(u64, u64)>::new(&Store::open(&dir).unwrap(), "todo").unwrap();
        parent.say("ready");
        Gate::pass(gate);
        while let Some((producer, n)) = todo.pop_front_timeout(PATIENCE).unwrap() {
            if n == u64::MAX {
                break;
            }
            parent.say(format!("{producer} {n}"));
        }
        parent.say("done");
        parent.hear();
    }
}

role! {
    /// Claims, records and completes until it is killed or the deque is done with.
    fn worker(parent) {
        let dir: String = parent.arg(0);
        let store = Store::open(&dir).unwrap();
        let todo = Deque::<u64>::new(&store, "todo").unwrap();
        let done = Index::<u64, u64>::new(&store, "done").unwrap();
        parent.say("ready");
        while let Some(claim) = todo.claim_front(PATIENCE).unwrap() {
            let times = done.get(&*claim).unwrap().unwrap_or(0);
            store
                .transaction(|tx| {
                    done.within(tx).insert(&*claim, &(times + 1))?;
                    claim.complete(tx)
                })
                .unwrap();
        }
    }
}

#[test]
fn producers_and_consumers_lose_and_double_nothing() {
    let place = Place::new();
    let at = place.beside("gate");
    let gate = Gate::closed(&at);
    let path = place.path().to_owned();
    let todo = Deque::<(u64, u64)>::new(&Store::open(&path).unwrap(), "todo").unwrap();
    let mut producers: Vec<_> = (0_u64..3)
        .map(|me| Child::spawn(producer, &[&path.display(), &at.display(), &me]))
        .collect();
    let mut consumers: Vec<_> = (0..3)
        .map(|_| Child::spawn(consumer, &[&path.display(), &at.display()]))
        .collect();
    for child in producers.iter_mut().chain(&mut consumers) {
        assert_eq!(child.hear(PATIENCE), "ready");
    }
    gate.open();
    for producer in &mut producers {
        assert_eq!(producer.hear(PATIENCE), "done");
    }
    todo.extend([(0, u64::MAX); 3]).unwrap();

    let mut out = BTreeMap::<(u64, u64), usize>::new();
    for consumer in &mut consumers {
        let mut last = [None; 3];
        loop {
            let line = consumer.hear(PATIENCE);
            let Some((producer, n)) = line.split_once(' ') else {
                break;
            };
            let (producer, n): (u64, u64) = (producer.parse().unwrap(), n.parse().unwrap());
            let last = &mut last[usize::try_from(producer).unwrap()];
            assert!(
                *last < Some(n),
                "producer {producer}: {n} came after {last:?}"
            );
            *last = Some(n);
            *out.entry((producer, n)).or_default() += 1;
        }
    }
    assert!(out.values().all(|&times| times == 1), "each once");
    assert_eq!(out.len() as u64, 3 * EACH);
    assert!(todo.is_empty().unwrap());
}

/// `DISKETTE_JOBS` and `DISKETTE_WORKERS` make more of it.
#[test]
fn claimed_work_is_recorded_once_although_workers_are_killed() {
    let [jobs, workers] =
        [("DISKETTE_JOBS", 1500), ("DISKETTE_WORKERS", 3)].map(|(name, usual)| {
            std::env::var(name).map_or(usual, |number| number.parse::<u64>().unwrap())
        });
    let place = Place::new();
    let path = place.path().to_owned();
    let store = Store::open(&path).unwrap();
    let todo = Deque::<u64>::new(&store, "todo").unwrap();
    let done = Index::<u64, u64>::new(&store, "done").unwrap();
    todo.extend(0..jobs).unwrap();
    let start = || {
        let mut child = Child::spawn(worker, &[&path.display()]);
        assert_eq!(child.hear(PATIENCE), "ready");
        child
    };
    let mut workers: Vec<_> = (0..workers).map(|_| start()).collect();
    let mut killed = 0;
    // Whoever starts over a network takes longer.
    let pause = Duration::from_millis(if on_postgres() { 150 } else { 15 });
    while !todo.wait_idle(pause).unwrap() {
        let victim = killed % workers.len();
        workers[victim].kill();
        workers[victim] = start();
        killed += 1;
    }
    drop(workers);
    assert!(
        killed > 0,
        "the deque was done with before anybody was killed"
    );
    assert_eq!(done.len().unwrap() as u64, jobs, "after {killed} kills");
    assert!(
        done.values().all(|times| times.unwrap() == 1),
        "after {killed} kills"
    );
    assert!(store.check().unwrap().is_sound());
}
