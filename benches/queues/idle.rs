//! What a pool of workers costs that has nothing to do.

use std::time::Duration;

use diskette::{Queue, Stop, Store, Worker};
use diskette_benches::scaled;
use diskette_testkit::{Child, PATIENCE, Place, context_switches, cpu_time, role};

const PROCESSES: usize = scaled(8, 2);
const TIME: Duration = Duration::from_secs(scaled(10, 1));

pub(crate) fn measure(_: u32) {
    let dir = Place::new();
    let mut workers: Vec<_> = (0..PROCESSES)
        .map(|_| Child::spawn(work, &[&dir.path().display()]))
        .collect();
    for worker in &mut workers {
        assert_eq!(worker.hear(PATIENCE), "done");
    }
    let wait = |time| Stop::new().wait_timeout(time);
    wait(Duration::from_secs(1));
    let used = || {
        let cpu: Duration = workers.iter().map(|worker| cpu_time(worker.id())).sum();
        let woken: u64 = workers
            .iter()
            .map(|worker| context_switches(worker.id()))
            .sum();
        (cpu, woken)
    };
    let before = used();
    wait(TIME);
    let after = used();
    println!(
        "{PROCESSES} idle processes of 2 threads over {TIME:?}: {:?} of CPU time, {:.3} % of a core; woken {} times",
        after.0 - before.0,
        (after.0 - before.0).as_secs_f64() / TIME.as_secs_f64() * 100.0,
        after.1 - before.1
    );
}

role! {
    /// Does one job, and has nothing to do from then on.
    pub(crate) fn work(parent) {
        let store = Store::open(super::dir(parent)).unwrap();
        let queue = Queue::<u32>::new(&store, "jobs").unwrap();
        let id = queue.push(&1).unwrap();
        let waits = queue.clone();
        std::thread::spawn(move || Worker::new(&queue).threads(2).run(|_| Ok(())));
        waits.wait::<()>(id, PATIENCE).unwrap().unwrap();
        parent.say("done");
        parent.hear();
    }
}
