//! What a user of a worker relies on within one process.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use diskette_queue::{Backoff, JobState, Outcome, Queue, Why, Worked, Worker};
use diskette_store::{Result, Stop, Store};
use diskette_testkit::{PATIENCE, Place, eventually};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

fn store() -> (Place, Store, Stop) {
    let place = Place::new();
    let stop = Stop::new();
    let store = Store::open(place.path()).unwrap();
    let store = store.with_stop(&stop);
    (place, store, stop)
}

/// Why jobs are dead, and what was said.
fn dead(jobs: &Queue<u32>) -> BTreeMap<u32, (Option<Why>, String)> {
    let dead = jobs.list(JobState::Dead).map(|job| {
        let job = job.unwrap();
        let said = (job.why, job.error.unwrap_or_default());
        (*job.content.job().unwrap(), said)
    });
    dead.collect()
}

#[derive(Debug)]
struct Outer(std::num::ParseIntError);

impl fmt::Display for Outer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no number")
    }
}

impl std::error::Error for Outer {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

#[test]
fn a_job_ends_as_its_handler_says() {
    let (_directory, store, _stop) = store();
    let jobs = Queue::<u32>::options()
        .max_attempts(1)
        .new(&store, "jobs")
        .unwrap();
    let results = Queue::<u32>::new(&store, "results").unwrap();
    let ids: Vec<_> = (0..8).map(|job| jobs.push(&job).unwrap()).collect();
    let (works, effects) = (store, results.clone());
    let handler = move |claim: diskette_queue::Claim<u32>| -> Worked {
        match *claim {
            0 => {}
            1 => drop(claim), // that it is done is what counts
            2 => works.transaction(|tx| claim.complete_with(tx, &"two".to_string()))?,
            3 => claim.cancel("not wanted")?,
            4 => drop("x".parse::<u8>().map_err(Outer)?),
            5 => panic!("at {}", "five"),
            6 => works.transaction(|tx| -> Result<()> {
                effects.within(tx).push(&6)?;
                claim.complete(tx)?;
                panic!("before the commit")
            })?,
            _ => works.transaction(
                |tx| -> std::result::Result<(), Box<dyn std::error::Error + Send + Sync>> {
                    effects.within(tx).push(&7)?;
                    claim.complete(tx)?;
                    Err("rolled back")?
                },
            )?,
        }
        Ok(())
    };
    Worker::new(&jobs)
        .threads(3)
        .run_until_idle(handler)
        .unwrap();
    assert_eq!(
        jobs.outcome::<String>(ids[0]).unwrap(),
        Some(Outcome::Done(None))
    );
    assert_eq!(
        jobs.outcome::<String>(ids[1]).unwrap(),
        Some(Outcome::Done(None))
    );
    assert_eq!(
        jobs.outcome(ids[2]).unwrap(),
        Some(Outcome::Done(Some("two".to_string())))
    );
    let failed = |text: &str| (Some(Why::Failed), text.to_string());
    let told = [
        (3, (Some(Why::Cancelled), "not wanted".to_string())),
        (4, failed("no number: invalid digit found in string")),
        (5, failed("panicked: at five")),
        (6, failed("panicked: before the commit")),
        (7, failed("rolled back")),
    ];
    assert_eq!(dead(&jobs), BTreeMap::from(told));
    assert_eq!(results.stats().unwrap().unfinished(), 0);
}

#[test]
fn what_fails_is_tried_again_after_its_back_off_and_counted() {
    let (_directory, store, _stop) = store();
    let jobs = Queue::<u32>::options()
        .backoff(Backoff::fixed(Duration::from_millis(5)))
        .new(&store, "jobs")
        .unwrap();
    let id = jobs.push(&1).unwrap();
    Worker::new(&jobs)
        .threads(1)
        .run_until_idle(|claim| match claim.attempt() {
            1 => Err("at first".into()),
            2 => panic!("and then"),
            _ => Ok(()),
        })
        .unwrap();
    let job = jobs.get(id).unwrap().unwrap();
    assert_eq!((job.state, job.attempts), (JobState::Done, 3));
}

#[test]
fn after_a_stop_what_runs_is_finished_and_nothing_is_begun() {
    let (_directory, store, stop) = store();
    let jobs = Queue::<u32>::new(&store, "jobs").unwrap();
    jobs.push_all(0..10).unwrap();
    let begun = Arc::new(AtomicUsize::new(0));
    let (begins, stops) = (Arc::clone(&begun), stop);
    Worker::new(&jobs)
        .threads(2)
        .grace(PATIENCE)
        .run(move |claim| {
            begins.fetch_add(1, SeqCst);
            // Both have one when it stops.
            eventually(PATIENCE, || begins.load(SeqCst) == 2);
            stops.stop();
            claim.progress(0.5, "the stop doesn't reach it")?;
            Ok(())
        })
        .unwrap();
    let stats = jobs.stats().unwrap();
    assert_eq!((begun.load(SeqCst), stats.done, stats.ready), (2, 2, 8));
}

#[test]
fn a_stop_wakes_a_worker_that_finds_nothing() {
    for has_two_queues in [false, true] {
        let (_directory, store, stop) = store();
        let [jobs, others] = ["jobs", "others"].map(|name| Queue::new(&store, name).unwrap());
        let mut worker = Worker::new(&jobs).threads(2);
        if has_two_queues {
            worker = worker.then(&others);
        }
        let (say, hear) = mpsc::channel();
        let working = thread::spawn(move || worker.run(move |claim| Ok(say.send(*claim)?)));
        for job in 1..=2 {
            jobs.push(&job).unwrap();
            assert_eq!(hear.recv_timeout(PATIENCE), Ok(job));
        }
        assert!(jobs.wait_idle(PATIENCE).unwrap());
        stop.stop();
        working.join().unwrap().unwrap();
    }
}

/// A worker that was to stop waited for a handler that never returned.
#[test]
fn what_is_not_done_within_the_grace_time_is_released_and_changes_nothing_later() {
    let (_directory, store, stop) = store();
    let jobs = Queue::<u32>::new(&store, "jobs").unwrap();
    let effects = Queue::<u32>::new(&store, "effects").unwrap();
    let id = jobs.push(&1).unwrap();
    let (say, hear) = mpsc::channel();
    let (go, wait) = mpsc::channel::<()>();
    let (stops, works, wait) = (stop, store, Mutex::new(wait));
    let late = effects.clone();
    Worker::new(&jobs)
        .threads(1)
        .grace(Duration::from_millis(20))
        .run(move |claim| {
            stops.stop();
            wait.lock().unwrap().recv()?;
            let worked = works.transaction(|tx| {
                late.within(tx).push(&1)?;
                claim.complete(tx)
            });
            say.send(worked.unwrap_err().is_overtaken())?;
            Ok(())
        })
        .unwrap();
    let job = jobs.get(id).unwrap().unwrap();
    assert_eq!((job.state, job.attempts), (JobState::Ready, 0));
    go.send(()).unwrap();
    assert_eq!(hear.recv_timeout(PATIENCE), Ok(true));
    assert_eq!(effects.stats().unwrap().unfinished(), 0);
}

#[test]
fn a_handler_that_never_returns_loses_its_job_and_its_thread_is_replaced() {
    let (_directory, store, stop) = store();
    let jobs = Queue::<u32>::new(&store, "jobs").unwrap();
    let id = jobs.push(&1).unwrap();
    let (_never, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    Worker::new(&jobs)
        .threads(1)
        .limit(Duration::from_secs(1))
        .run(move |claim| {
            if claim.attempt() == 1 {
                let _ = wait.lock().unwrap().recv_timeout(PATIENCE);
            } else {
                stop.stop();
            }
            Ok(())
        })
        .unwrap();
    let job = jobs.get(id).unwrap().unwrap();
    assert_eq!((job.state, job.attempts), (JobState::Done, 2));
}

#[test]
fn a_worker_whose_handlers_never_return_gives_up_so_that_its_process_can_end() {
    let (_directory, store, _stop) = store();
    let jobs = Queue::<u32>::new(&store, "jobs").unwrap();
    jobs.push_all(0..5).unwrap();
    let (_never, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let error = Worker::new(&jobs)
        .threads(2)
        .limit(Duration::from_millis(20))
        .run(move |_claim| {
            let _ = wait.lock().map(|wait| wait.recv());
            Ok(())
        })
        .unwrap_err();
    assert!(error.is_timeout(), "{error}");
    assert!(
        error.to_string().contains("3 jobs never came back"),
        "{error}"
    );
}

#[test]
fn who_renews_its_claim_is_not_late() {
    let (_directory, store, _stop) = store();
    let jobs = Queue::<u32>::new(&store, "jobs").unwrap();
    let id = jobs.push(&1).unwrap();
    Worker::new(&jobs)
        .threads(1)
        .limit(Duration::from_secs(1))
        .run_until_idle(|claim| {
            for _ in 0..30 {
                Stop::new().wait_timeout(Duration::from_millis(50));
                claim.renew()?;
            }
            Ok(())
        })
        .unwrap();
    assert_eq!(jobs.get(id).unwrap().unwrap().attempts, 1);
}

#[test]
fn the_queue_that_was_named_first_comes_first() {
    let (_directory, store, _stop) = store();
    let [urgent, others] =
        ["urgent", "others"].map(|name| Queue::<u32>::new(&store, name).unwrap());
    others.push_all([10, 11]).unwrap();
    urgent.push(&1).unwrap();
    let order = Arc::new(Mutex::new(Vec::new()));
    let (seen, more) = (Arc::clone(&order), urgent.clone());
    Worker::new(&urgent)
        .then(&others)
        .threads(1)
        .run_until_idle(move |claim| {
            seen.lock().unwrap().push(*claim);
            if *claim == 10 {
                more.push(&2)?;
            }
            Ok(())
        })
        .unwrap();
    assert_eq!(*order.lock().unwrap(), [1, 10, 2, 11]);
}

#[test]
fn of_weighted_queues_none_starves_and_the_last_has_what_they_leave() {
    let (_directory, store, _stop) = store();
    let [orders, reports, sweeps] =
        ["orders", "reports", "sweeps"].map(|name| Queue::<u32>::new(&store, name).unwrap());
    orders.push_all([1; 30]).unwrap();
    reports.push_all([2; 30]).unwrap();
    sweeps.push(&3).unwrap();
    let order = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&order);
    Worker::weighted([(&orders, 3), (&reports, 1)])
        .then(&sweeps)
        .threads(1)
        .run_until_idle(move |claim| {
            seen.lock().unwrap().push(*claim);
            Ok(())
        })
        .unwrap();
    let order = order.lock().unwrap();
    let reports = |jobs: &[u32]| jobs.iter().filter(|&&job| job == 2).count();
    assert_eq!(reports(&order[..40]), 10);
    assert_eq!(order[40..], [[2; 20].as_slice(), &[3]].concat());

    for worker in [Worker::weighted([(&sweeps, 0)]), Worker::weighted([])] {
        let refused = worker.run_until_idle(|_| Ok(())).unwrap_err();
        assert!(refused.is_invalid_input(), "{refused}");
    }
}

#[test]
fn layers_lie_around_the_handler_the_first_outermost() {
    let (_directory, store, _stop) = store();
    let jobs = Queue::<u32>::options()
        .max_attempts(1)
        .new(&store, "jobs")
        .unwrap();
    jobs.push_all([1, 2]).unwrap();
    let order = Arc::new(Mutex::new(Vec::new()));
    let [outer, inner, core] = [(); 3].map(|()| Arc::clone(&order));
    Worker::new(&jobs)
        .threads(1)
        .around(move |claim, next| {
            outer.lock().unwrap().push(format!("outer {}", *claim));
            let worked = next(claim);
            outer
                .lock()
                .unwrap()
                .push(format!("failed: {}", worked.is_err()));
            worked
        })
        .around(move |claim, next| {
            inner.lock().unwrap().push(format!("inner {}", *claim));
            match *claim {
                2 => Err("no further".into()),
                _ => next(claim),
            }
        })
        .run_until_idle(move |claim| {
            core.lock().unwrap().push(format!("core {}", *claim));
            Ok(())
        })
        .unwrap();
    let seen = order.lock().unwrap().join(", ");
    assert_eq!(
        seen,
        "outer 1, inner 1, core 1, failed: false, outer 2, inner 2, failed: true"
    );
    assert_eq!(dead(&jobs)[&2].1, "no further");
}

#[test]
fn an_error_of_the_store_ends_the_worker_with_it() {
    let (_directory, store, _stop) = store();
    let jobs = Queue::<u32>::new(&store, "jobs").unwrap();
    jobs.push(&1).unwrap();
    let error = Worker::new(&jobs)
        .threads(3)
        .run(move |claim| {
            drop(claim);
            store.remove_structure("jobs")?;
            Ok(())
        })
        .unwrap_err();
    assert!(error.is_removed(), "{error}");
}

#[test]
fn a_worker_without_threads_is_refused() {
    let (_directory, store, _stop) = store();
    let jobs = Queue::<u32>::new(&store, "jobs").unwrap();
    let refused = Worker::new(&jobs).threads(0).run(|_| Ok(())).unwrap_err();
    assert!(refused.is_invalid_input(), "{refused}");
}

/// Writes down what is reported of one queue.
struct Reports(Mutex<Vec<String>>);

#[derive(Default)]
struct Fields(String);

impl tracing::field::Visit for Fields {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn fmt::Debug) {
        self.0 += &format!(" {field}={value:?}");
    }
}

impl Subscriber for Reports {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("diskette_queue")
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut fields = Fields::default();
        span.record(&mut fields);
        let mut reports = self.0.lock().unwrap();
        reports.push(format!("{}{}", span.metadata().name(), fields.0));
        Id::from_u64(u64::try_from(reports.len()).unwrap())
    }

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let level = event.metadata().level();
        self.0.lock().unwrap().push(format!("{level}{}", fields.0));
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[test]
fn each_job_is_reported_in_a_span_of_its_own() {
    let (_directory, store, _stop) = store();
    let jobs = Queue::<u32>::options()
        .max_attempts(1)
        .new(&store, "reported")
        .unwrap();
    jobs.push_all([1, 2]).unwrap();
    let reports = Arc::new(Reports(Mutex::default()));
    // Of all threads, so that those of other tests are among them.
    tracing::subscriber::set_global_default(Arc::clone(&reports)).unwrap();
    let handler = |claim: diskette_queue::Claim<u32>| match *claim {
        1 => Ok(()),
        _ => Err("as it must".into()),
    };
    let worker = Worker::new(&jobs).threads(1);
    worker.run_until_idle(handler).unwrap();
    let all = reports.0.lock().unwrap();
    let has = |text: &str| assert!(all.iter().any(|report| report == text), "{text} in {all:?}");
    has(r#"job queue="reported" id=1 attempt=1"#);
    has(r#"job queue="reported" id=2 attempt=1"#);
    has("DEBUG message=done");
    has(r#"WARN message=failed error="as it must""#);
}
