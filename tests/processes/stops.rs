//! Who waits ends by itself when it is told to, in the handler of a real signal, and nothing is lost by it.

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use diskette::deque::WhenFull;
use diskette::{
    Barrier, BoundedSemaphore, Deque, Error, Index, JobId, Lock, Push, Queue, RLock, Rate, RwLock,
    Store, Throttle, wait_any,
};
use diskette_testkit::{Child, PATIENCE, Place, Random, Signal, asleep, eventually, role, stop_on};

const HOUR: Duration = Duration::from_secs(3600);

/// What a process may wait for, and none of it ever comes.
struct Things {
    store: Store,
    empty: Deque<u32>,
    other: Deque<String>,
    full: Deque<u32>,
    lock: Lock,
    rlock: RLock,
    rwlock: RwLock,
    permits: BoundedSemaphore,
    calls: Throttle,
    barrier: Barrier,
    jobs: Queue<u32>,
    held: JobId,
}

impl Things {
    fn of(store: Store) -> Self {
        let jobs = Queue::new(&store, "jobs").unwrap();
        let later = Push::new().delay(HOUR);
        Self {
            held: jobs.push_with(&1, &later).unwrap().id(),
            jobs,
            empty: Deque::new(&store, "empty").unwrap(),
            other: Deque::new(&store, "other").unwrap(),
            full: Deque::options()
                .max_len(1)
                .when_full(WhenFull::Wait)
                .new(&store, "full")
                .unwrap(),
            lock: Lock::new(&store, "lock").unwrap(),
            rlock: RLock::new(&store, "rlock").unwrap(),
            rwlock: RwLock::new(&store, "rwlock").unwrap(),
            permits: BoundedSemaphore::new(&store, "permits", 3).unwrap(),
            calls: Throttle::new(&store, "calls", Rate::per_hour(1)).unwrap(),
            barrier: Barrier::new(&store, "barrier", 9).unwrap(),
            store,
        }
    }

    /// Each call that waits, by its name.
    fn waits(&self) -> Vec<(&'static str, Wait<'_>)> {
        fn wait<'w, T>(wait: impl Fn() -> Result<T, Error> + Send + 'w) -> Wait<'w> {
            Box::new(move || wait().map(drop))
        }
        let Self {
            empty,
            full,
            lock,
            rlock,
            rwlock,
            permits,
            calls,
            barrier,
            jobs,
            ..
        } = self;
        vec![
            ("pop_front_timeout", wait(|| empty.pop_front_timeout(HOUR))),
            ("pop_back_timeout", wait(|| empty.pop_back_timeout(HOUR))),
            ("claim_front", wait(|| empty.claim_front(HOUR))),
            ("claim_back", wait(|| empty.claim_back(HOUR))),
            ("wait_any", wait(|| wait_any(&[empty, &self.other], HOUR))),
            ("push_back", wait(|| full.push_back(&2))),
            (
                "push_back_timeout",
                wait(|| full.push_back_timeout(&2, HOUR)),
            ),
            (
                "push_front_timeout",
                wait(|| full.push_front_timeout(&2, HOUR)),
            ),
            ("wait_idle", wait(|| full.wait_idle(HOUR))),
            ("lock", wait(|| lock.lock())),
            ("lock_timeout", wait(|| lock.lock_timeout(HOUR))),
            ("rlock", wait(|| rlock.lock())),
            ("read", wait(|| rwlock.read())),
            ("write", wait(|| rwlock.write())),
            ("write_timeout", wait(|| rwlock.write_timeout(HOUR))),
            ("acquire", wait(|| permits.acquire())),
            (
                "acquire_n_timeout",
                wait(|| permits.acquire_n_timeout(2, HOUR)),
            ),
            ("throttle", wait(|| calls.acquire())),
            (
                "acquire_timeout",
                wait(|| calls.acquire_timeout(100 * HOUR)),
            ),
            ("reservation", wait(|| calls.reserve()?.wait())),
            ("barrier", wait(|| barrier.wait())),
            ("wait_timeout", wait(|| barrier.wait_timeout(HOUR))),
            ("job", wait(|| jobs.claim())),
            ("jobs", wait(|| jobs.claim_many_timeout(2, HOUR))),
            ("end of a job", wait(|| jobs.wait::<()>(self.held, HOUR))),
            ("end of all jobs", wait(|| jobs.wait_idle(HOUR))),
            ("any job", wait(|| wait_any(&[jobs, empty], HOUR))),
        ]
    }
}

type Wait<'w> = Box<dyn Fn() -> Result<(), Error> + Send + 'w>;

role! {
    /// Waits in each call at once, in threads of their own, then once more in each.
    fn waits_for_everything(parent) {
        let dir: String = parent.arg(0);
        let stop = stop_on([Signal::SIGINT, Signal::SIGTERM]);
        let things = Things::of(Store::open(&dir).unwrap().with_timeout(HOUR).with_stop(&stop));
        let say = |name: &str, ended: Result<(), Error>| match ended {
            Err(error) if error.is_stopped() => parent.say(name),
            ended => parent.say(format!("{name} ended with {ended:?}")),
        };
        thread::scope(|scope| {
            let waits = things.waits();
            let waits = waits.into_iter().map(|(name, wait)| (name, asleep(scope, || (), wait)));
            let waits: Vec<_> = waits.collect();
            parent.say("asleep");
            for (name, wait) in waits {
                say(name, wait.join().unwrap());
            }
        });
        for (name, wait) in things.waits() {
            say(name, wait());
        }
        // What doesn't wait goes on: so does what is in hand.
        let claim = things.full.try_claim_front().unwrap().unwrap();
        let mine = things.other.push_back("the last words");
        claim.complete_now().and(mine).unwrap();
        things.full.push_back(&3).unwrap();
        parent.say("done");
    }
}

/// With a handler for Ctrl-C, a program in `claim_front` of five seconds ended four and a half seconds later.
#[test]
fn a_signal_ends_every_wait_and_leaves_nothing_behind() {
    let place = Place::new();
    let path = place.path().to_owned();
    let things = Things::of(Store::open(&path).unwrap());
    things.full.push_back(&1).unwrap();
    things.calls.acquire().unwrap();
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let held = (
            things.lock.lock().unwrap(),
            things.rlock.lock().unwrap(),
            things.rwlock.write().unwrap(),
            things.permits.acquire_n(3).unwrap(),
        );
        let mut child = Child::spawn(waits_for_everything, &[&path.display()]);
        assert_eq!(child.hear(PATIENCE), "asleep");
        child.signal(signal);
        for time in ["asleep", "before it could sleep"] {
            for (name, _) in things.waits() {
                assert_eq!(child.hear(PATIENCE), name, "stopped {time}");
            }
        }
        assert_eq!(child.hear(PATIENCE), "done");
        assert!(child.wait(PATIENCE).success());

        drop(held);
        assert_eq!(things.full.to_vec().unwrap(), [3]);
        assert_eq!(things.other.pop_front().unwrap().unwrap(), "the last words");
        assert!(things.lock.try_lock().unwrap().is_some());
        assert!(things.rlock.try_lock().unwrap().is_some());
        assert!(things.rwlock.try_write().unwrap().is_some());
        assert_eq!(things.permits.available().unwrap(), 3);
        assert_eq!(things.barrier.waiting().unwrap(), 0);
        let next = things.calls.reserve().unwrap();
        assert!(next.remaining() <= HOUR, "no slot is lost");
        next.cancel().unwrap();
        assert_eq!(things.store.check().unwrap().problems, []);
    }
}

role! {
    /// Takes jobs under a permit, and adds up how often it had each.
    fn works_until_stopped(parent) {
        let dir: String = parent.arg(0);
        let stop = stop_on([Signal::SIGINT, Signal::SIGTERM]);
        let store = Store::open(&dir).unwrap().with_stop(&stop);
        let todo = Deque::<u64>::new(&store, "todo").unwrap();
        let claims = Deque::<u64>::new(&store, "claims").unwrap();
        let done = Index::<u64, u64>::new(&store, "done").unwrap();
        let permits = BoundedSemaphore::new(&store, "permits", 2).unwrap();
        parent.say("ready");
        let work = || -> Result<(), Error> {
            while !stop.is_stopped() {
                let _permit = permits.acquire()?;
                if wait_any(&[&todo, &claims], HOUR)? == Some(0) {
                    if let Some(job) = todo.pop_front()? {
                        done.entry(&job).and_modify(|times| *times += 1).or_insert(1)?;
                    }
                    continue;
                }
                if let Some(claim) = claims.claim_front(HOUR)? {
                    store.transaction(|tx| {
                        done.within(tx).entry(&*claim).and_modify(|times| *times += 1).or_insert(1)?;
                        claim.complete(tx)
                    })?;
                }
            }
            Ok(())
        };
        match work() {
            Err(error) if !error.is_stopped() => panic!("{error}"),
            _ => parent.say("stopped"),
        }
    }
}

#[test]
fn workers_that_are_stopped_at_any_moment_lose_and_double_nothing() {
    const STOPS: u64 = 40;
    let place = Place::new();
    let path = place.path().to_owned();
    let store = Store::open(&path).unwrap();
    let todo = Deque::<u64>::new(&store, "todo").unwrap();
    let claims = Deque::<u64>::new(&store, "claims").unwrap();
    let done = Index::<u64, u64>::new(&store, "done").unwrap();
    let permits = BoundedSemaphore::new(&store, "permits", 2).unwrap();
    let start = || {
        let mut child = Child::spawn(works_until_stopped, &[&path.display()]);
        assert_eq!(child.hear(PATIENCE), "ready");
        child
    };
    let stop = |mut child: Child, signal| {
        child.signal(signal);
        assert_eq!(child.hear(PATIENCE), "stopped");
        assert!(child.wait(PATIENCE).success());
    };
    let mut random = Random::new(1);
    let mut workers: Vec<_> = (0..3).map(|_| start()).collect();
    let mut jobs = BTreeSet::new();
    for _ in 0..STOPS {
        for _ in 0..random.below(60) {
            let job = jobs.len() as u64;
            let deque = if random.below(2) == 0 { &todo } else { &claims };
            deque.push_back(&job).unwrap();
            jobs.insert(job);
        }
        let signal = [Signal::SIGINT, Signal::SIGTERM][random.below(2) as usize];
        stop(workers.remove(0), signal);
        workers.push(start());
    }
    let mut so_far = 0;
    while so_far < jobs.len() {
        eventually(PATIENCE, || done.len().unwrap() > so_far);
        so_far = done.len().unwrap();
    }
    for worker in workers {
        stop(worker, Signal::SIGINT);
    }
    assert!(done.values().all(|times| times.unwrap() == 1));
    assert!(todo.is_idle().unwrap() && claims.is_idle().unwrap());
    assert_eq!(permits.available().unwrap(), 2);
    assert!(store.check().unwrap().is_sound());
}
