//! From `kill -9` of a worker to its job in the hands of another, which was idle.

use std::path::Path;
use std::time::Duration;

use diskette::{Keep, Queue, Store};
use diskette_testkit::{Child, PATIENCE, Place, eventually, role};

const KILLS: u32 = 200;
const PROCESSES: usize = 3;
const WANTED: Duration = Duration::from_millis(100);

fn open(dir: &Path) -> Queue<u32> {
    let store = Store::open(dir).expect("a store");
    let options = Queue::options().keep_done(Keep::none());
    options.new(&store, "jobs").expect("a queue")
}

pub(crate) fn measure(scale: u32) {
    let dir = Place::new();
    let queue = open(dir.path());
    let hire = || {
        let mut worker = Child::spawn(work, &[&dir.path().display()]);
        assert_eq!(worker.hear(PATIENCE), "ready");
        worker
    };
    let mut workers: Vec<_> = (0..PROCESSES).map(|_| hire()).collect();
    let mut took = super::latencies();
    for job in 0..(KILLS / scale).max(2) {
        queue.push(&job).expect("a write");
        let (first, _) = who_began(&mut workers);
        let mut victim = workers.swap_remove(first);
        let killed = super::now();
        victim.kill();
        let (next, began) = who_began(&mut workers);
        super::record(
            &mut took,
            Duration::from_micros(began.saturating_sub(killed)),
        );
        workers[next].say("complete");
        assert_eq!(workers[next].hear(PATIENCE), "completed");
        workers.push(hire());
    }
    super::header("from kill -9 to the job elsewhere, ms");
    super::print(&format!("{} kills, others idle", took.len()), &took, 1e6);
    println!("p99 wanted: {WANTED:?}");
}

/// Which worker has begun a job, and when.
fn who_began(workers: &mut [Child]) -> (usize, u64) {
    let mut found = None;
    eventually(PATIENCE, || {
        let mut heard = workers.iter_mut().map(Child::heard).enumerate();
        found = heard.find_map(|(worker, began)| Some((worker, began?.parse().expect("a time"))));
        found.is_some()
    });
    found.expect("one who has begun")
}

role! {
    /// Begins a job, says when, and completes it when it is told to.
    pub(crate) fn work(parent) {
        let queue = open(&super::dir(parent));
        // All that a worker does when it finds nothing, before somebody looks at how fast it is.
        assert!(queue.try_claim().unwrap().is_none());
        parent.say("ready");
        loop {
            let claim = queue.claim().unwrap();
            parent.say(super::now());
            parent.hear();
            claim.complete_now().unwrap();
            parent.say("completed");
        }
    }
}
