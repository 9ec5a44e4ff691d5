//! Jobs and the deaths of their workers.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use diskette::{Backoff, Deque, Index, JobState, Keep, Outcome, Push, Queue, Store, Why};
use diskette_ipc::clock;
use diskette_testkit::{
    Child, Forked, PATIENCE, Place, Signal, at_best_within, eventually, on_postgres, role,
};

const JOBS: u32 = 2000;
const GROUPS: u32 = 6;

/// Of three jobs one belongs to a group.
fn group_of(job: u32) -> Option<u32> {
    job.is_multiple_of(3).then_some(job / 3 % GROUPS)
}

struct Works {
    store: Store,
    jobs: Queue<u32>,
    /// How often each job had its effect.
    effects: Index<u32, u32>,
    /// How often each job has failed.
    failures: Index<u32, u32>,
    /// Those of groups, in the order of their effects.
    order: Deque<u32>,
}

impl Works {
    fn open(dir: &str) -> Self {
        let store = Store::open(dir).unwrap();
        Works {
            jobs: Queue::options()
                .max_attempts(1_000_000)
                .backoff(Backoff::fixed(Duration::ZERO))
                .keep_done(Keep::all())
                .new(&store, "jobs")
                .unwrap(),
            effects: Index::new(&store, "effects").unwrap(),
            failures: Index::new(&store, "failures").unwrap(),
            order: Deque::new(&store, "order").unwrap(),
            store,
        }
    }
}

role! {
    /// Works until it is killed: one job in five fails at first, one in ten has a child.
    fn worker(parent) {
        let works = Works::open(&parent.arg::<String>(0));
        parent.say("ready");
        loop {
            let claim = works.jobs.claim().unwrap();
            let (id, job) = (claim.id(), *claim);
            let worked = works.store.transaction(|tx| {
                let count = |index: &Index<u32, u32>| {
                    index.within(tx).get(&job).unwrap().unwrap_or(0) + 1
                };
                if job.is_multiple_of(5) && count(&works.failures) == 1 {
                    works.failures.within(tx).insert(&job, &1)?;
                    return claim.within(tx).fail("at first it does");
                }
                works.effects.within(tx).insert(&job, &count(&works.effects))?;
                if group_of(job).is_some() {
                    works.order.within(tx).push_back(&job)?;
                }
                if job < JOBS && job.is_multiple_of(10) {
                    works.jobs.within(tx).push(&(job + JOBS * 3))?;
                }
                claim.complete_with(tx, &job)
            });
            worked.unwrap_or_else(|error| panic!("job {id}: {error}"));
        }
    }
}

#[test]
fn each_job_has_its_effect_once_although_workers_are_killed() {
    let place = Place::new();
    let path = place.path().display().to_string();
    let works = Works::open(&path);
    let push = |job: u32| match group_of(job) {
        Some(group) => works
            .jobs
            .push_with(&job, &Push::new().group(group.to_string()))
            .unwrap()
            .id(),
        None => works.jobs.push(&job).unwrap(),
    };
    for job in 0..JOBS {
        push(job);
    }
    let start = || {
        let mut child = Child::spawn(worker, &[&path]);
        assert_eq!(child.hear(PATIENCE), "ready");
        child
    };
    let mut workers: Vec<_> = (0..4).map(|_| start()).collect();
    let (mut killed, mut revived) = (0_usize, BTreeSet::new());
    let pause = Duration::from_millis(if on_postgres() { 150 } else { 15 });
    while !works.jobs.wait_idle(pause).unwrap() {
        let victim = killed % workers.len();
        workers[victim].kill();
        workers[victim] = start();
        killed += 1;
        // Three of these may have had the same job.
        for job in works.jobs.list(JobState::Dead) {
            let job = job.unwrap();
            assert_eq!(job.why, Some(Why::Killed));
            assert!(works.jobs.retry_dead(job.id).unwrap());
            revived.insert(job.id);
        }
    }
    drop(workers);
    assert!(killed > 0, "all was done before anybody was killed");

    let children = (0..JOBS)
        .filter(|job| job.is_multiple_of(10))
        .map(|job| job + JOBS * 3);
    let all: BTreeSet<u32> = (0..JOBS).chain(children).collect();
    let effects: BTreeMap<u32, u32> = works.effects.iter().map(|entry| entry.unwrap()).collect();
    assert_eq!(
        effects.keys().copied().collect::<BTreeSet<_>>(),
        all,
        "after {killed} kills"
    );
    assert!(
        effects.values().all(|&times| times == 1),
        "after {killed} kills"
    );

    let stats = works.jobs.stats().unwrap();
    assert_eq!((stats.claimed, stats.unfinished(), stats.dead), (0, 0, 0));
    assert_eq!(stats.done, u64::try_from(all.len()).unwrap());
    for job in works.jobs.list(JobState::Done) {
        let job = job.unwrap();
        let number = *job.content.job().unwrap();
        let failures = works.failures.get(&number).unwrap().unwrap_or(0);
        assert_eq!(failures, u32::from(number.is_multiple_of(5)));
        if !revived.contains(&job.id) {
            assert_eq!(job.attempts, 1 + failures + job.kills, "{job:?}");
        }
        assert_eq!(
            works.jobs.outcome(job.id).unwrap(),
            Some(Outcome::Done(Some(number)))
        );
    }
    if revived.is_empty() {
        let mut last = BTreeMap::new();
        for job in &works.order {
            let job = job.unwrap();
            if job < JOBS {
                assert!(last.insert(group_of(job), job) < Some(job), "of a group");
            }
        }
    }
    assert!(works.store.check().unwrap().is_sound());
}

role! {
    /// Claims so many, and keeps them.
    fn claimer(parent) {
        let (dir, many): (String, usize) = (parent.arg(0), parent.arg(1));
        let jobs = Queue::<u32>::new(&Store::open(&dir).unwrap(), "jobs").unwrap();
        let claims = jobs.claim_many_timeout(many, PATIENCE).unwrap();
        let told: Vec<_> = claims.iter().map(|claim| format!("{}/{}", **claim, claim.attempt())).collect();
        parent.say(told.join(" "));
        parent.hear();
    }
}

#[test]
fn a_job_whose_worker_is_killed_runs_elsewhere_at_once() {
    let place = Place::new();
    let path = place.path().to_owned();
    let jobs = Queue::<u32>::new(&Store::open(&path).unwrap(), "jobs").unwrap();
    at_best_within(Duration::from_millis(100), || {
        let id = jobs.push(&1).unwrap();
        let mut child = Child::spawn(claimer, &[&path.display(), &1]);
        assert_eq!(child.hear(PATIENCE), "1/1");
        let job = jobs.get(id).unwrap().unwrap();
        assert_eq!(job.party.map(|party| party.pid), Some(child.id()));
        let killed = clock::now();
        child.kill();
        let claim = jobs.claim_timeout(PATIENCE).unwrap().unwrap();
        let time = killed.elapsed();
        assert_eq!((claim.attempt(), claim.kills()), (2, 1));
        claim.complete_now().unwrap();
        time
    });

    // Where nobody was there to hear of it, who opens the queue looks.
    jobs.push(&2).unwrap();
    drop(jobs);
    let mut child = Child::spawn(claimer, &[&path.display(), &1]);
    assert_eq!(child.hear(PATIENCE), "2/1");
    child.kill();
    let jobs = Queue::<u32>::new(&Store::open(&path).unwrap(), "jobs").unwrap();
    assert_eq!(jobs.stats().unwrap().ready, 1);
}

/// Five workers in a row died of the first job, and nothing behind it ever ran; and those that were claimed with it died, too.
#[test]
fn a_job_that_kills_three_workers_is_dead_and_takes_nothing_with_it() {
    let place = Place::new();
    let path = place.path().to_owned();
    let jobs = Queue::<u32>::new(&Store::open(&path).unwrap(), "jobs").unwrap();
    let grouped = Push::new().group("g");
    let poison = jobs.push_with(&1, &grouped).unwrap().id();
    jobs.push_with(&2, &grouped).unwrap();
    jobs.push(&3).unwrap();
    for (time, told) in ["1/1 3/1", "1/2", "1/3"].into_iter().enumerate() {
        let mut child = Child::spawn(claimer, &[&path.display(), &10]);
        assert_eq!(child.hear(PATIENCE), told);
        child.kill();
        eventually(PATIENCE, || jobs.stats().unwrap().claimed == 0);
        let job = jobs.get(poison).unwrap().unwrap();
        assert_eq!(usize::try_from(job.kills).unwrap(), time + 1);
    }
    let outcome = jobs.wait::<()>(poison, PATIENCE).unwrap();
    let Some(Outcome::Dead {
        why: Why::Killed,
        error: Some(error),
    }) = outcome
    else {
        panic!("{outcome:?}");
    };
    assert!(error.contains("3 workers died"), "{error}");
    // The next of its group, and the one that was claimed with it.
    let left = [
        jobs.try_claim().unwrap().unwrap(),
        jobs.try_claim().unwrap().unwrap(),
    ];
    assert_eq!(
        left.each_ref().map(|claim| (**claim, claim.kills())),
        [(2, 0), (3, 1)]
    );
}

#[test]
fn a_scheduled_job_wakes_who_waits_in_another_process() {
    let place = Place::new();
    let path = place.path().to_owned();
    let jobs = Queue::<u32>::new(&Store::open(&path).unwrap(), "jobs").unwrap();
    let far = Push::new().delay(Duration::from_secs(3600));
    jobs.push_with(&0, &far).unwrap();
    let mut child = Child::spawn(claimer, &[&path.display(), &1]);
    let soon = Push::new().delay(Duration::from_millis(200));
    jobs.push_with(&1, &soon).unwrap();
    assert_eq!(child.hear(PATIENCE), "1/1");
    assert_eq!(jobs.stats().unwrap().scheduled, 1);
}

role! {
    /// Claims a job for a short while, and completes it with an effect when it is told to.
    fn sluggard(parent) {
        let dir: String = parent.arg(0);
        let store = Store::open(&dir).unwrap();
        let jobs = Queue::<u32>::new(&store, "jobs").unwrap().with_time_limit(Duration::from_millis(50));
        let effects = Deque::<u32>::new(&store, "effects").unwrap();
        let claim = jobs.claim().unwrap();
        parent.say("claimed");
        parent.hear();
        let done = store.transaction(|tx| {
            effects.within(tx).push_back(&*claim)?;
            claim.complete(tx)
        });
        parent.say(done.unwrap_err().is_overtaken());
    }
}

/// A worker that was stopped in the middle of a job went on after another had done it, and it was done twice.
#[test]
fn a_worker_that_was_stopped_for_too_long_changes_nothing() {
    let place = Place::new();
    let path = place.path().to_owned();
    let store = Store::open(&path).unwrap();
    let jobs = Queue::<u32>::new(&store, "jobs").unwrap();
    let effects = Deque::<u32>::new(&store, "effects").unwrap();
    jobs.push(&7).unwrap();
    let mut child = Child::spawn(sluggard, &[&path.display()]);
    assert_eq!(child.hear(PATIENCE), "claimed");
    child.signal(Signal::SIGSTOP);
    let claim = jobs.claim_timeout(PATIENCE).unwrap().unwrap();
    assert_eq!((*claim, claim.attempt()), (7, 2));
    store
        .transaction(|tx| {
            effects.within(tx).push_back(&*claim)?;
            claim.complete(tx)
        })
        .unwrap();
    child.signal(Signal::SIGCONT);
    child.say("go");
    assert_eq!(child.hear(PATIENCE), "true");
    assert_eq!(effects.to_vec().unwrap(), [7]);
}

role! {
    /// Waits for the end of a job.
    fn waiter(parent) {
        let (dir, id): (String, String) = (parent.arg(0), parent.arg(1));
        let jobs = Queue::<u32>::new(&Store::open(&dir).unwrap(), "jobs").unwrap();
        parent.say("ready");
        let outcome = jobs.wait::<String>(id.parse().unwrap(), PATIENCE).unwrap();
        parent.say(format!("{outcome:?}"));
    }
}

#[test]
fn a_result_is_told_to_all_who_wait_for_it() {
    let place = Place::new();
    let path = place.path().to_owned();
    let store = Store::open(&path).unwrap();
    let jobs = Queue::<u32>::new(&store, "jobs").unwrap();
    let id = jobs.push(&1).unwrap();
    let mut waiters: Vec<_> = (0..2)
        .map(|_| Child::spawn(waiter, &[&path.display(), &id]))
        .collect();
    for waiter in &mut waiters {
        assert_eq!(waiter.hear(PATIENCE), "ready");
    }
    let claim = jobs.claim().unwrap();
    store
        .transaction(|tx| claim.complete_with(tx, &"one".to_string()))
        .unwrap();
    for waiter in &mut waiters {
        assert_eq!(waiter.hear(PATIENCE), r#"Some(Done(Some("one")))"#);
    }
}

role! {
    /// Forks with a claim in hand.
    fn forker(parent) {
        let dir: String = parent.arg(0);
        let store = Store::open(&dir).unwrap();
        let jobs = Queue::<u32>::new(&store, "jobs").unwrap();
        let mut claims = jobs.claim_many(3).unwrap();
        let (kept, completed) = (claims.pop().unwrap(), claims.pop().unwrap());
        let mut inherited = Some((claims, completed));
        let child = Forked::child(|| {
            let (claims, completed) = inherited.take().unwrap();
            assert!(completed.complete_now().unwrap_err().is_misuse());
            drop(claims);
            assert!(kept.progress(0.5, "").unwrap_err().is_misuse());
            let own = jobs.claim().unwrap();
            assert_eq!(*own, 4);
            own.complete_now().unwrap();
        });
        assert!(child.ended_well());
        assert_eq!(jobs.stats().unwrap().claimed, 3);
        kept.progress(0.5, "").unwrap();
        inherited.take().unwrap().1.complete_now().unwrap();
        parent.say("done");
        parent.hear();
    }
}

#[test]
fn a_forked_child_has_no_claims_but_its_own() {
    let place = Place::new();
    let path = place.path().to_owned();
    let jobs = Queue::<u32>::new(&Store::open(&path).unwrap(), "jobs").unwrap();
    jobs.push_all([1, 2, 3, 4]).unwrap();
    let mut child = Child::spawn(forker, &[&path.display()]);
    assert_eq!(child.hear(PATIENCE), "done");
    let stats = jobs.stats().unwrap();
    assert_eq!((stats.claimed, stats.done), (1, 2));
    child.kill();
    eventually(PATIENCE, || jobs.stats().unwrap().ready == 2);
}
