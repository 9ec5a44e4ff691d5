//! Ten thousand scheduled jobs, at times that nobody chose: how late are they? Beside a thread that sleeps until times like these, and does nothing
//! else: what the machine is late by itself.

use std::time::{Duration, SystemTime};

use diskette::{Keep, Push, Queue, Stop, Store, Worker};
use diskette_benches::scaled;
use diskette_testkit::{Child, PATIENCE, Place, role};
use rand::Rng;

const JOBS: u32 = 10_000;
/// Over which they are spread.
const SPREAD: Duration = Duration::from_secs(20);
const PROCESSES: usize = 2;
const WANTED: Duration = Duration::from_millis(50);

/// Jobs are their times.
fn open(dir: &std::path::Path) -> Queue<u64> {
    let store = Store::open(dir).expect("a store");
    let options = Queue::options().keep_done(Keep::none());
    options.new(&store, "jobs").expect("a queue")
}

pub(crate) fn measure(scale: u32) {
    let (jobs, spread) = (JOBS / scale, SPREAD / scale);
    let dir = Place::new();
    let queue = open(dir.path());
    let mut workers: Vec<_> = (0..PROCESSES)
        .map(|_| Child::spawn(work, &[&dir.path().display()]))
        .collect();
    for worker in &mut workers {
        assert_eq!(worker.hear(PATIENCE), "ready");
    }
    let first = super::now() + 2_000_000;
    let mut bare = Child::spawn(sleep, &[&first, &spread.as_micros(), &jobs]);
    let push = |tx: &diskette::Transaction<'_>| {
        times(first, spread.as_micros() as u64, jobs).try_for_each(|time| {
            let at = SystemTime::UNIX_EPOCH + Duration::from_micros(time);
            queue
                .within(tx)
                .push_with(&time, &Push::new().at(at))
                .map(drop)
        })
    };
    queue.store().transaction(push).expect("room");
    let in_time = super::now() < first;
    assert!(scaled(in_time, true), "the machine is too slow for this");
    assert!(queue.wait_idle(PATIENCE + spread).expect("a read"));

    let (mut lateness, mut earliest) = (super::latencies(), i64::MAX);
    let mut alone = super::latencies();
    let add = |latencies: &mut _, late: i64| {
        super::record(latencies, Duration::from_micros(late.max(0).unsigned_abs()));
    };
    for late in workers.iter_mut().flat_map(report) {
        earliest = earliest.min(late);
        add(&mut lateness, late);
    }
    for late in report(&mut bare) {
        add(&mut alone, late);
    }
    super::header(&format!("{jobs} scheduled over {spread:?}, lateness in ms"));
    super::print(
        &format!("{PROCESSES} processes of 2 threads"),
        &lateness,
        1e6,
    );
    super::print("a thread that sleeps until then", &alone, 1e6);
    let late = lateness.len() - lateness.count_between(0, WANTED.as_nanos() as u64);
    println!(
        "{late} of {} later than {WANTED:?} (wanted 0); the earliest by {earliest} µs",
        lateness.len()
    );
}

/// In microseconds since 1970.
fn times(first: u64, spread: u64, number: u32) -> impl Iterator<Item = u64> {
    let mut random = rand::rng();
    (0..number).map(move |_| first + random.random_range(0..spread))
}

fn report(worker: &mut Child) -> Vec<i64> {
    worker.say("report");
    serde_json::from_str(&worker.hear(PATIENCE)).expect("numbers")
}

role! {
    pub(crate) fn sleep(parent) {
        let mut times: Vec<_> = times(parent.arg(0), parent.arg(1), parent.arg(2)).collect();
        times.sort_unstable();
        let stop = Stop::new();
        let late = times.into_iter().map(|time| {
            stop.wait_timeout(Duration::from_micros(time.saturating_sub(super::now())));
            super::now().cast_signed() - time.cast_signed()
        });
        let late: Vec<_> = late.collect();
        parent.hear();
        parent.say(serde_json::to_string(&late).unwrap());
        parent.hear();
    }
}

role! {
    /// Writes down how late each job is.
    pub(crate) fn work(parent) {
        let queue = open(&super::dir(parent));
        let (say, hear) = std::sync::mpsc::channel();
        let say = std::sync::Mutex::new(say);
        std::thread::spawn(move || {
            Worker::new(&queue).threads(2).run(move |claim| {
                let late = super::now().cast_signed() - claim.cast_signed();
                say.lock().unwrap().send(late)?;
                Ok(())
            })
        });
        parent.say("ready");
        parent.hear();
        let late: Vec<i64> = hear.try_iter().collect();
        parent.say(serde_json::to_string(&late).unwrap());
        parent.hear();
    }
}
