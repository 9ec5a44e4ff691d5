//! A hundred thousand jobs, eight worker processes, and one of them is killed every 100 ms.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use diskette::{Deque, Index, JobState, Keep, Push, Queue, Stop, Store, Worker};
use diskette_benches::scaled;
use diskette_testkit::{Child, PATIENCE, Place, role};
use rand::Rng;

const JOBS: u32 = 100_000;
const PROCESSES: usize = scaled(8, 2);
const PAUSE: Duration = Duration::from_millis(100);
const CHUNK: u32 = 10_000;
const GROUPS: u32 = 50;

/// Of ten jobs one belongs to a group.
fn group_of(job: u32) -> Option<u32> {
    job.is_multiple_of(10).then_some(job / 10 % GROUPS)
}

struct Works {
    store: Store,
    jobs: Queue<u32>,
    /// How often each job had its effect.
    effects: Index<u32, u32>,
    /// Those of groups, in the order of their effects.
    order: Deque<u32>,
}

impl Works {
    fn open(dir: &Path) -> Self {
        let store = Store::open(dir).expect("a store");
        let options = Queue::options().max_attempts(1000).keep_done(Keep::all());
        Works {
            jobs: options.new(&store, "jobs").expect("a queue"),
            effects: Index::new(&store, "effects").expect("an index"),
            order: Deque::new(&store, "order").expect("a deque"),
            store,
        }
    }

    fn push(&self, jobs: u32) {
        for first in (0..jobs).step_by(CHUNK as usize) {
            let mut chunk = first..jobs.min(first + CHUNK);
            let push = |tx: &diskette::Transaction<'_>| {
                let queue = self.jobs.within(tx);
                chunk.try_for_each(|job| match group_of(job) {
                    Some(group) => {
                        let push = Push::new().group(group.to_string());
                        queue.push_with(&job, &push).map(drop)
                    }
                    None => queue.push(&job).map(drop),
                })
            };
            self.store.transaction(push).expect("room");
        }
    }

    /// That all is as it was promised; how many attempts there were, and how many of them ended in a death.
    fn check(&self, jobs: u32) -> (u64, u64) {
        let effects = self.effects.iter().map(|entry| entry.expect("a read"));
        let effects: BTreeMap<_, _> = effects.collect();
        assert_eq!(effects.len(), jobs as usize, "each job had its effect");
        assert!(effects.values().all(|&times| times == 1), "and had it once");
        let stats = self.jobs.stats().expect("a read");
        assert_eq!(
            (stats.done, stats.unfinished()),
            (jobs.into(), 0),
            "{stats:?}"
        );
        let (mut attempts, mut kills) = (0, 0);
        for job in self.jobs.list(JobState::Done) {
            let job = job.expect("a read");
            assert_eq!(
                job.attempts,
                job.kills + 1,
                "the attempts of job {}",
                job.id
            );
            attempts += u64::from(job.attempts);
            kills += u64::from(job.kills);
        }
        let mut last = BTreeMap::new();
        for job in self.order.iter() {
            let job = job.expect("a read");
            let before = last.insert(group_of(job), job);
            assert!(
                before < Some(job),
                "the order of a group: {before:?}, {job}"
            );
        }
        (attempts, kills)
    }
}

#[allow(clippy::disallowed_methods)]
pub(crate) fn measure(scale: u32) {
    let jobs = JOBS / scale;
    println!("{jobs} jobs, {PROCESSES} processes");
    for pause in [None, Some(PAUSE)] {
        let dir = Place::new();
        let works = Works::open(dir.path());
        works.push(jobs);
        let hire = || Child::spawn(work, &[&dir.path().display()]);
        let mut workers: Vec<_> = (0..PROCESSES).map(|_| hire()).collect();
        let (start, mut killed) = (Instant::now(), 0_u64);
        while !works.jobs.is_idle().expect("a read") {
            match pause {
                None => drop(works.jobs.wait_idle(PATIENCE).expect("a read")),
                Some(pause) => {
                    let victim = rand::rng().random_range(0..PROCESSES);
                    workers[victim].kill();
                    killed += 1;
                    workers[victim] = hire();
                    Stop::new().wait_timeout(pause);
                }
            }
        }
        let took = start.elapsed();
        drop(workers);
        let (attempts, deaths) = works.check(jobs);
        assert!(deaths <= killed && attempts == u64::from(jobs) + deaths);
        println!(
            "{killed:>5} of them killed with SIGKILL: {:>6.0} jobs/s, {:.1} s; {deaths} jobs were begun again; each effect is there once, each \
             group in its order, nothing is left claimed",
            f64::from(jobs) / took.as_secs_f64(),
            took.as_secs_f64()
        );
    }
}

role! {
    /// Works until it is killed.
    pub(crate) fn work(parent) {
        let Works { store, jobs, effects, order } = Works::open(&super::dir(parent));
        Worker::new(&jobs).threads(1).run(move |claim| {
            let job = *claim;
            store.transaction(|tx| {
                let times = effects.within(tx).get(&job)?.unwrap_or(0);
                effects.within(tx).insert(&job, &(times + 1))?;
                if group_of(job).is_some() {
                    order.within(tx).push_back(&job)?;
                }
                claim.complete(tx)
            })?;
            Ok(())
        }).unwrap();
    }
}
