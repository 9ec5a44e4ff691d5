//! What a user of a queue relies on, beyond what `model.rs` compares step by step.
#![allow(clippy::unwrap_used)]

use std::thread;
use std::time::{Duration, UNIX_EPOCH};

use diskette_queue::{
    Backoff, Content, JobId, JobState, Keep, ManualClock, Outcome, Push, Pushed, Queue, Unique, Why,
};
use diskette_store::{Error, INLINE, Json, Stop, Store, wait_any};
use diskette_testkit::{PATIENCE, Place, asleep, eventually};

const SECOND: Duration = Duration::from_secs(1);

fn store() -> (Place, Store) {
    Place::new().with(|path| Store::open(path))
}

/// For what looks into its files.
fn in_directory() -> (Place, Store) {
    Place::directory().with(|path| Store::open(path))
}

/// A queue with a clock that is set by hand.
fn timed(store: &Store) -> (Queue<u32>, ManualClock) {
    let clock = ManualClock::new();
    let options = Queue::options().backoff(Backoff::exponential(SECOND, 3 * SECOND));
    let queue = options.clock(clock.clone()).new(store, "timed").unwrap();
    (queue, clock)
}

/// Claims and completes all that is ready.
fn drain(queue: &Queue<u32>) -> Vec<u32> {
    std::iter::from_fn(|| {
        let claim = queue.try_claim().unwrap()?;
        let job = *claim;
        claim.complete_now().unwrap();
        Some(job)
    })
    .collect()
}

fn ids<J: serde::Serialize + serde::de::DeserializeOwned>(
    queue: &Queue<J>,
    state: JobState,
) -> Vec<u64> {
    let jobs = queue.list(state).map(|job| job.unwrap().id.get());
    jobs.collect()
}

#[test]
fn the_greatest_priority_comes_first_and_then_who_was_there_first() {
    let (_directory, store) = store();
    let queue = Queue::<u32>::new(&store, "queue").unwrap();
    for (job, priority) in [(1, 0), (2, -5), (3, i32::MAX), (4, 0), (5, i32::MIN)] {
        queue
            .push_with(&job, &Push::new().priority(priority))
            .unwrap();
    }
    assert_eq!(ids(&queue, JobState::Ready), [3, 1, 4, 2, 5]);
    let back = queue.try_claim().unwrap().unwrap();
    assert_eq!((*back, back.id().get()), (3, 3));
    back.release().unwrap();
    assert_eq!(drain(&queue), [3, 1, 4, 2, 5]);
}

#[test]
fn a_job_that_fails_is_tried_again_ever_later_until_it_is_dead() {
    let (_directory, store) = store();
    let (queue, clock) = timed(&store);
    let id = queue
        .push_with(&7, &Push::new().max_attempts(4))
        .unwrap()
        .id();
    for (attempt, pause) in [(1, 1), (2, 2), (3, 3)] {
        let claim = queue.try_claim().unwrap().unwrap();
        assert_eq!((claim.attempt(), claim.max_attempts()), (attempt, 4));
        claim.fail(format!("no {attempt}")).unwrap();
        clock.advance(pause * SECOND - Duration::from_micros(1));
        assert!(queue.try_claim().unwrap().is_none());
        clock.advance(Duration::from_micros(1));
    }
    queue.try_claim().unwrap().unwrap().fail("no more").unwrap();
    let job = queue.get(id).unwrap().unwrap();
    assert_eq!(
        (job.state, job.why, job.attempts),
        (JobState::Dead, Some(Why::Failed), 4)
    );
    assert_eq!(job.error.as_deref(), Some("no more"));
    assert_eq!(
        queue.outcome::<()>(id).unwrap(),
        Some(Outcome::Dead {
            why: Why::Failed,
            error: Some("no more".into())
        })
    );

    assert!(queue.retry_dead(id).unwrap());
    assert!(!queue.retry_dead(id).unwrap());
    let claim = queue.try_claim().unwrap().unwrap();
    assert_eq!(claim.attempt(), 1);
    claim.retry_in(60 * SECOND).unwrap();
    clock.advance(59 * SECOND);
    assert!(queue.try_claim().unwrap().is_none());
    clock.advance(SECOND);
    queue
        .try_claim()
        .unwrap()
        .unwrap()
        .cancel("why, indeed")
        .unwrap();
    assert_eq!(queue.get(id).unwrap().unwrap().why, Some(Why::Cancelled));
    assert_eq!(queue.retry_all_dead().unwrap(), 1);
    assert_eq!(drain(&queue), [7]);
}

/// A handler that returned early or panicked, and its job was tried without end.
#[test]
fn a_claim_that_is_dropped_counts_and_one_that_is_released_does_not() {
    let (_directory, store) = store();
    let queue = Queue::<u32>::options()
        .max_attempts(2)
        .new(&store, "queue")
        .unwrap();
    let id = queue.push(&1).unwrap();
    for _ in 0..5 {
        let claim = queue.try_claim().unwrap().unwrap();
        assert_eq!(claim.attempt(), 1);
        claim.release().unwrap();
    }
    let panicked = thread::spawn({
        let queue = queue.clone();
        move || {
            let _claim = queue.try_claim().unwrap().unwrap();
            std::panic::resume_unwind(Box::new("out of luck"));
        }
    });
    assert!(panicked.join().is_err());
    let claim = queue.try_claim().unwrap().unwrap();
    assert_eq!(claim.attempt(), 2);
    drop(claim);
    let job = queue.get(id).unwrap().unwrap();
    assert_eq!((job.state, job.why), (JobState::Dead, Some(Why::Failed)));
}

#[test]
fn a_job_and_all_that_comes_of_it_are_one_transaction() {
    let (_directory, store) = store();
    let queue = Queue::<u32>::new(&store, "queue").unwrap();
    queue.push(&1).unwrap();
    let claim = queue.try_claim().unwrap().unwrap();
    let failed = store.transaction(|tx| {
        queue.within(tx).push(&2)?;
        claim.complete_with(tx, &"done".to_string())?;
        Err::<(), Error>(Error::io("no", std::io::Error::other("no")))
    });
    assert!(failed.is_err());
    let stats = queue.stats().unwrap();
    assert_eq!((stats.ready, stats.unfinished(), stats.done), (1, 1, 0));

    let claim = queue.try_claim().unwrap().unwrap();
    assert_eq!(claim.attempt(), 2);
    let id = claim.id();
    store
        .transaction(|tx| {
            queue.within(tx).push(&2)?;
            claim.complete_with(tx, &"done".to_string())
        })
        .unwrap();
    assert_eq!(
        queue.outcome::<String>(id).unwrap(),
        Some(Outcome::Done(Some("done".into())))
    );
    // A claim that is made in a transaction which is undone is none.
    let mut kept = None;
    let _ = store.transaction(|tx| {
        kept = queue.within(tx).try_claim()?;
        Err::<(), Error>(Error::io("no", std::io::Error::other("no")))
    });
    assert!(kept.unwrap().complete_now().unwrap_err().is_overtaken());
    assert_eq!(drain(&queue), [2]);
}

#[test]
fn those_of_a_group_run_one_after_the_other_and_hold_up_nobody_else() {
    let (_directory, store) = store();
    let (queue, clock) = timed(&store);
    let push = |job: u32, push: Push| queue.push_with(&job, &push).unwrap().id();
    let of = |group: &str| Push::new().group(group);
    push(1, of("a"));
    push(2, of("a").priority(9));
    push(3, of("a"));
    push(4, of("b"));
    push(5, Push::new());
    let first = queue.try_claim().unwrap().unwrap();
    assert_eq!(*first, 1);
    assert_eq!(ids(&queue, JobState::Held), [2, 3]);
    assert_eq!(drain(&queue), [4, 5]);
    first.fail("not yet").unwrap();
    // Strictly in order, so that those behind wait for the next attempt.
    assert!(drain(&queue).is_empty());
    clock.advance(SECOND);
    assert_eq!(drain(&queue), [1, 2, 3]);

    // One that dies, expires or is discarded lets the others go on.
    let (six, seven) = (
        push(6, of("a").max_attempts(1)),
        push(7, of("a").delay(SECOND)),
    );
    push(8, of("a").expires_in(SECOND));
    push(9, of("a"));
    queue.try_claim().unwrap().unwrap().fail("no").unwrap();
    assert_eq!(ids(&queue, JobState::Scheduled), [seven.get()]);
    assert!(queue.discard(seven).unwrap());
    clock.advance(SECOND);
    assert_eq!(drain(&queue), [9]);
    // What comes back takes its turn.
    push(10, of("a"));
    push(11, of("a"));
    let tenth = queue.try_claim().unwrap().unwrap();
    assert!(queue.retry_dead(six).unwrap());
    assert!(drain(&queue).is_empty());
    tenth.complete_now().unwrap();
    assert_eq!(drain(&queue), [6, 11]);
}

#[test]
fn a_unique_job_is_skipped_or_replaces_the_other_and_never_lost() {
    let (_directory, store) = store();
    let (queue, clock) = timed(&store);
    let once = Push::new().unique(Unique::key("k"));
    let first = queue.push_with(&1, &once).unwrap();
    assert!(first.is_new());
    assert_eq!(
        queue.push_with(&2, &once).unwrap(),
        Pushed::Skipped(first.id())
    );
    let claim = queue.try_claim().unwrap().unwrap();
    assert_eq!(
        queue.push_with(&2, &once).unwrap(),
        Pushed::Skipped(first.id())
    );
    claim.complete_now().unwrap();
    assert!(queue.push_with(&3, &once).unwrap().is_new());

    let latest = Push::new().unique(Unique::key("k").replace()).priority(1);
    let replaced = queue.push_with(&4, &latest).unwrap();
    assert!(matches!(replaced, Pushed::Replaced(_)));
    let running = queue.try_claim().unwrap().unwrap();
    assert_eq!(*running, 4);
    // What is in hand is not changed: the new one comes after it.
    let after = queue.push_with(&5, &latest).unwrap();
    assert!(after.is_new());
    assert_eq!(
        queue.push_with(&6, &latest).unwrap(),
        Pushed::Replaced(after.id())
    );
    running.complete_now().unwrap();
    assert_eq!(drain(&queue), [6]);

    // One that died comes back in its window, too.
    let dies = Push::new().unique(Unique::key("w").for_(10 * SECOND));
    queue.push_with(&70, &dies).unwrap();
    queue.try_claim().unwrap().unwrap().cancel("no").unwrap();
    assert_eq!(queue.retry_all_dead().unwrap(), 1);
    assert_eq!(drain(&queue), [70]);

    // For a while after it was pushed, however little is kept.
    queue.set_keep_done(Keep::none()).unwrap();
    let daily = Push::new().unique(Unique::key("d").for_(10 * SECOND));
    let first = queue.push_with(&7, &daily).unwrap();
    assert_eq!(drain(&queue), [7]);
    clock.advance(9 * SECOND);
    queue.tidy().unwrap();
    assert_eq!(
        queue.push_with(&8, &daily).unwrap(),
        Pushed::Skipped(first.id())
    );
    clock.advance(SECOND);
    assert!(queue.push_with(&9, &daily).unwrap().is_new());
    assert!(queue.tidy().unwrap() > 0);
    assert_eq!(
        queue.outcome::<()>(first.id()).unwrap(),
        Some(Outcome::Gone)
    );
}

#[test]
fn what_nobody_claims_in_time_expires() {
    let (_directory, store) = store();
    let (queue, clock) = timed(&store);
    let late = queue
        .push_with(&1, &Push::new().expires_in(SECOND))
        .unwrap()
        .id();
    queue
        .push_with(&2, &Push::new().expires_in(3 * SECOND))
        .unwrap();
    let invalid = Push::new().delay(SECOND).expires_in(SECOND);
    assert!(
        queue
            .push_with(&3, &invalid)
            .unwrap_err()
            .is_invalid_input()
    );
    clock.advance(SECOND);
    let claim = queue.try_claim().unwrap().unwrap();
    assert_eq!(*claim, 2);
    assert_eq!(queue.get(late).unwrap().unwrap().why, Some(Why::Expired));
    // In somebody's hands it doesn't, but it isn't tried again.
    clock.advance(3 * SECOND);
    assert!(queue.try_claim().unwrap().is_none());
    let id = claim.id();
    claim.release().unwrap();
    assert!(queue.try_claim().unwrap().is_none());
    assert_eq!(queue.get(id).unwrap().unwrap().why, Some(Why::Expired));
}

/// Two of a group expired at once, and the third waited for them for ever.
#[test]
fn a_group_goes_on_when_several_of_it_expire_at_once() {
    let (_directory, store) = store();
    let (queue, clock) = timed(&store);
    let short = Push::new().group("g").expires_in(SECOND);
    for job in 1..4 {
        queue.push_with(&job, &short).unwrap();
    }
    queue.push_with(&4, &Push::new().group("g")).unwrap();
    clock.advance(SECOND);
    assert_eq!(drain(&queue), [4]);
}

/// A job that had expired, while nobody claimed, kept others with its key out.
#[test]
fn a_unique_job_that_has_expired_is_in_nobodys_way() {
    let (_directory, store) = store();
    let (queue, clock) = timed(&store);
    let push = Push::new().unique(Unique::key("k")).expires_in(SECOND);
    let first = queue.push_with(&1, &push).unwrap();
    clock.advance(SECOND);
    assert!(queue.push_with(&2, &push).unwrap().is_new());
    assert_eq!(
        queue.get(first.id()).unwrap().unwrap().why,
        Some(Why::Expired)
    );
    assert_eq!(drain(&queue), [2]);
}

/// A job that was taken from who was late, and had expired meanwhile, was given to another.
#[test]
fn a_job_that_was_late_and_has_expired_is_given_to_nobody() {
    let (_directory, store) = store();
    let (queue, clock) = timed(&store);
    let id = queue
        .push_with(&1, &Push::new().expires_in(SECOND))
        .unwrap()
        .id();
    let limited = queue.clone().with_time_limit(SECOND);
    let _late = limited.try_claim().unwrap().unwrap();
    clock.advance(SECOND);
    assert!(queue.claim_many(1).unwrap().is_empty());
    assert_eq!(queue.get(id).unwrap().unwrap().why, Some(Why::Expired));
}

/// A worker that was late completed a job that another had been given meanwhile, and both had an effect.
#[test]
fn who_is_late_is_told_and_his_transaction_refused() {
    let (_directory, store) = store();
    let (queue, clock) = timed(&store);
    let (limited, log) = (
        queue.clone().with_time_limit(SECOND),
        Queue::<u32>::new(&store, "log").unwrap(),
    );
    let id = queue
        .push_with(&1, &Push::new().max_attempts(2))
        .unwrap()
        .id();
    let slow = limited.try_claim().unwrap().unwrap();
    clock.advance(SECOND / 2);
    slow.progress(0.5, "half of it").unwrap();
    slow.renew().unwrap();
    clock.advance(SECOND - Duration::from_micros(1));
    assert!(limited.try_claim().unwrap().is_none());
    clock.advance(Duration::from_micros(1));
    let other = limited.try_claim().unwrap().unwrap();
    assert_eq!((*other, other.attempt()), (1, 2));
    assert!(slow.progress(1.0, "").unwrap_err().is_overtaken());
    let refused = store.transaction(|tx| {
        log.within(tx).push(&1)?;
        assert!(slow.complete(tx).unwrap_err().is_overtaken());
        Ok::<(), Error>(())
    });
    assert!(refused.is_err());
    assert_eq!(log.stats().unwrap().ready, 0);
    let job = queue.get(id).unwrap().unwrap();
    assert_eq!(job.progress, Some((0.5, "half of it".into())));
    assert_eq!(job.party.map(|party| party.pid), Some(std::process::id()));
    clock.advance(SECOND);
    assert!(limited.try_claim().unwrap().is_none());
    assert_eq!(queue.get(id).unwrap().unwrap().why, Some(Why::Late));
    assert!(other.complete_now().unwrap_err().is_overtaken());
    // Without a limit nobody is robbed, but by who means it.
    queue.retry_dead(id).unwrap();
    let slow = queue.try_claim().unwrap().unwrap();
    clock.advance(1000 * SECOND);
    assert!(queue.try_claim().unwrap().is_none());
    assert!(queue.take_away(id).unwrap());
    assert!(slow.complete_now().unwrap_err().is_overtaken());
    let slow = queue.try_claim().unwrap().unwrap();
    assert!(queue.discard(id).unwrap());
    assert!(slow.fail("late").unwrap_err().is_overtaken());
    assert!(queue.get(id).unwrap().is_none());
}

/// A job of a newer program, at the head of the queue, stopped all that were behind it.
#[test]
fn what_can_not_be_read_is_set_aside_with_its_bytes() {
    let (_directory, store) = store();
    let texts = Queue::<String>::new(&store, "queue").unwrap();
    let numbers = Queue::<u32>::new(&store, "queue").unwrap();
    let small = texts.push("not a number").unwrap();
    let large = texts.push(&"x".repeat(INLINE + 1)).unwrap();
    numbers.push(&7).unwrap();
    assert_eq!(*numbers.try_claim().unwrap().unwrap(), 7);
    for (id, length) in [(small, 13), (large, INLINE + 6)] {
        let job = numbers.get(id).unwrap().unwrap();
        assert_eq!(
            (job.state, job.why),
            (JobState::Dead, Some(Why::Unreadable))
        );
        match job.content {
            Content::Unreadable { bytes, why } => {
                assert!(why.is_codec());
                assert_eq!(bytes.len(), length);
            }
            Content::Job(job) => panic!("{job}"),
        }
    }
    assert_eq!(texts.retry_all_dead().unwrap(), 2);
    let claims = texts.claim_many(2).unwrap();
    assert_eq!(claims[0].as_str(), "not a number");
    claims
        .into_iter()
        .for_each(|claim| claim.complete_now().unwrap());
    assert_eq!(drain(&numbers), [7]);

    // A program with the wrong type is told, before it has set all of it aside.
    texts.push_all(vec!["no"; 300]).unwrap();
    let error = numbers.claim_timeout(PATIENCE).unwrap_err();
    assert!(
        error.is_codec() && error.to_string().contains("retry_all_dead"),
        "{error}"
    );
    assert_eq!(texts.stats().unwrap().ready, 200);
    assert_eq!(store.check().unwrap().problems, []);
}

#[test]
fn finished_jobs_are_kept_as_long_as_is_said_and_no_number_is_given_twice() {
    let (_directory, store) = store();
    let clock = ManualClock::new();
    let options = || Queue::<u32>::options().keep_done(Keep::last(3).and_for(10 * SECOND));
    let queue = options().clock(clock.clone()).new(&store, "queue").unwrap();
    queue.push_all(0..5).unwrap();
    assert_eq!(drain(&queue).len(), 5);
    assert_eq!(queue.tidy().unwrap(), 2);
    assert_eq!(ids(&queue, JobState::Done), [3, 4, 5]);
    clock.advance(11 * SECOND);
    assert_eq!(queue.tidy().unwrap(), 3);
    assert_eq!(queue.push(&1).unwrap().get(), 6);
    assert!(queue.discard("6".parse::<JobId>().unwrap()).unwrap());
    assert_eq!(queue.push_all([1, 2]).unwrap()[0].get(), 7);
    assert_eq!(drain(&queue).len(), 2);

    // By itself, after a while.
    for job in 0..1000 {
        queue.push(&job).unwrap();
        drain(&queue);
    }
    eventually(PATIENCE, || {
        queue.push(&0).unwrap();
        drain(&queue);
        queue.stats().unwrap().done < 140
    });

    let error = Queue::<u32>::options()
        .keep_done(Keep::all())
        .new(&store, "queue")
        .unwrap_err();
    assert!(
        error.is_invalid_input() && error.to_string().contains("set_keep_done"),
        "{error}"
    );
    options().new(&store, "queue").unwrap();
}

#[test]
fn large_jobs_and_results_are_files_that_go_with_them() {
    let (_directory, store) = in_directory();
    let queue = Queue::<String>::options()
        .codec::<Json>()
        .new(&store, "queue")
        .unwrap();
    let text = "x".repeat(INLINE + 1);
    let id = queue.push(&text).unwrap();
    let all: Vec<_> = queue
        .list(JobState::Ready)
        .map(|job| job.unwrap())
        .collect();
    assert_eq!(all[0].content.job(), Some(&text));
    let claims = queue.claim_many(10).unwrap();
    assert_eq!((claims.len(), &*claims[0]), (1, &text));
    let claim = claims.into_iter().next().unwrap();
    store
        .transaction(|tx| claim.complete_with(tx, &text))
        .unwrap();
    assert_eq!(
        queue.outcome::<String>(id).unwrap(),
        Some(Outcome::Done(Some(text.clone())))
    );
    assert_eq!(store.stats().unwrap().value_files, 2);
    assert_eq!(store.check().unwrap().problems, []);
    assert!(queue.discard(id).unwrap());
    assert_eq!(store.stats().unwrap().value_files, 0);

    // One that is damaged is named, set aside when it is claimed, and gone when it is discarded.
    let damaged = queue.push(&text).unwrap();
    let files = diskette_testkit::files_below(&store.path().join("values"));
    files
        .iter()
        .for_each(|file| std::fs::remove_file(file).unwrap());
    let problem = format!("{:?}", store.check().unwrap().problems);
    assert!(problem.contains(&format!("job {damaged}")), "{problem}");
    assert!(queue.try_claim().unwrap().is_none());
    assert_eq!(
        queue.get(damaged).unwrap().unwrap().why,
        Some(Why::Unreadable)
    );
    assert!(queue.discard(damaged).unwrap());
    assert_eq!(store.check().unwrap().problems, []);

    // What is replaced takes its file along.
    let key = Push::new().unique(Unique::key("k").replace());
    queue.push_with(&text, &key).unwrap();
    queue.push_with("small", &key).unwrap();
    assert_eq!(store.stats().unwrap().value_files, 0);
    queue.push_with(&text, &key).unwrap();
    assert!(store.remove_structure("queue").unwrap());
    assert_eq!(store.stats().unwrap().value_files, 0);
    assert!(queue.push("x").unwrap_err().is_removed());
    assert!(queue.try_claim().unwrap_err().is_removed());
}

#[test]
fn who_waits_is_woken_by_a_push_a_time_a_resume_and_a_stop() {
    let (_directory, store) = store();
    let stop = Stop::new();
    let queue = Queue::<u32>::new(&store.with_stop(&stop), "queue").unwrap();
    let claim = || {
        let claim = queue.claim()?;
        let job = *claim;
        claim.complete_now()?;
        Ok::<_, Error>(job)
    };
    thread::scope(|scope| {
        let waits = asleep(scope, || {}, claim);
        queue.push(&1).unwrap();
        assert_eq!(waits.join().unwrap().unwrap(), 1);

        let waits = asleep(scope, || {}, claim);
        let soon = Push::new().delay(Duration::from_millis(30));
        queue.push_with(&2, &soon).unwrap();
        assert_eq!(waits.join().unwrap().unwrap(), 2);

        assert!(queue.pause().unwrap());
        queue.push(&3).unwrap();
        let waits = asleep(scope, || {}, claim);
        assert!(queue.is_paused().unwrap() && queue.resume().unwrap());
        assert_eq!(waits.join().unwrap().unwrap(), 3);

        let waits = asleep(scope, || {}, claim);
        stop.stop();
        assert!(waits.join().unwrap().unwrap_err().is_stopped());
    });
    let id = queue.push(&4).unwrap();
    assert!(queue.wait::<()>(id, PATIENCE).unwrap_err().is_stopped());
    assert_eq!(drain(&queue), [4]);
}

#[test]
fn one_waits_for_several_queues_at_once() {
    let (_directory, store) = store();
    let (urgent, numbers) = (
        Queue::<String>::new(&store, "urgent").unwrap(),
        Queue::<u32>::new(&store, "numbers").unwrap(),
    );
    assert_eq!(
        wait_any(&[&urgent, &numbers], Duration::ZERO).unwrap(),
        None
    );
    numbers
        .push_with(&1, &Push::new().delay(Duration::from_millis(20)))
        .unwrap();
    assert_eq!(wait_any(&[&urgent, &numbers], PATIENCE).unwrap(), Some(1));
    urgent.push("now").unwrap();
    assert_eq!(wait_any(&[&urgent, &numbers], PATIENCE).unwrap(), Some(0));
    urgent.pause().unwrap();
    assert_eq!(wait_any(&[&urgent, &numbers], PATIENCE).unwrap(), Some(1));
    // What has expired is no job.
    numbers
        .try_claim()
        .unwrap()
        .unwrap()
        .complete_now()
        .unwrap();
    numbers
        .push_with(&1, &Push::new().expires_in(Duration::from_millis(1)))
        .unwrap();
    let none = || wait_any(&[&numbers], Duration::from_millis(2)).unwrap();
    eventually(PATIENCE, || none().is_none());
}

/// A step of the clock let jobs of years from now run at once, or kept those of today for years.
#[test]
fn a_step_of_the_clock_makes_no_difference_and_a_restart_is_no_end() {
    let (_directory, store) = store();
    let (queue, clock) = timed(&store);
    let time = UNIX_EPOCH + Duration::from_secs(1_000_000_000) + 10 * SECOND;
    queue.push_with(&1, &Push::new().at(time)).unwrap();
    clock.step_wall(100_000);
    assert!(drain(&queue).is_empty());
    clock.step_wall(-200_000);
    clock.advance(10 * SECOND);
    assert_eq!(drain(&queue), [1]);
    queue.push_with(&2, &Push::new().at(UNIX_EPOCH)).unwrap();
    assert_eq!(drain(&queue), [2]);

    queue
        .push_with(&3, &Push::new().delay(10 * SECOND))
        .unwrap();
    clock.reboot();
    let queue = Queue::<u32>::options()
        .clock(clock.clone())
        .new(&store, "timed")
        .unwrap();
    assert!(drain(&queue).is_empty());
    clock.advance(10 * SECOND);
    assert_eq!(drain(&queue), [3]);
}

#[test]
fn what_could_not_be_meant_is_refused_and_changes_nothing() {
    let (_directory, store) = store();
    let queue = Queue::<u32>::new(&store, "queue").unwrap();
    for push in [
        Push::new().max_attempts(0),
        Push::new().group("x".repeat(513)),
        Push::new().tag("two\nlines"),
        Push::new().unique(Unique::key("\0")),
    ] {
        assert!(
            queue.push_with(&1, &push).unwrap_err().is_invalid_input(),
            "{push:?}"
        );
    }
    assert!(queue.set_max_attempts(0).unwrap_err().is_invalid_input());
    let other = Queue::<u32>::options().codec::<Json>().new(&store, "queue");
    assert!(other.unwrap_err().is_wrong_kind());
    assert!(queue.claim_many(0).unwrap().is_empty());
    store
        .transaction(|tx| {
            let error = queue.claim_timeout(Duration::ZERO).unwrap_err();
            assert!(
                error.is_misuse() && error.to_string().contains("within"),
                "{error}"
            );
            assert!(queue.push(&1).unwrap_err().is_misuse());
            queue.within(tx).push(&1)
        })
        .unwrap();
    let snapshot = store.snapshot(|snapshot| {
        assert!(
            queue
                .within(snapshot)
                .try_claim()
                .unwrap_err()
                .is_read_only()
        );
        Ok::<_, Error>(queue.within(snapshot).list(JobState::Ready).count())
    });
    assert_eq!(snapshot.unwrap(), 1);
    for strange in [0, u64::MAX, 1 << 39] {
        let id = strange.to_string().parse().unwrap();
        assert!(queue.get(id).unwrap().is_none());
        assert!(!queue.discard(id).unwrap() && !queue.retry_dead(id).unwrap());
        assert_eq!(queue.outcome::<()>(id).unwrap(), Some(Outcome::Gone));
    }
}

#[test]
fn times_and_texts_without_end_do_no_harm() {
    let (_directory, store) = store();
    let queue = Queue::<()>::new(&store, "queue").unwrap();
    let year_34865 = UNIX_EPOCH + Duration::from_secs(1 << 40);
    for push in [
        Push::new().delay(Duration::MAX),
        Push::new().at(year_34865),
        Push::new()
            .expires_in(Duration::MAX)
            .backoff(Backoff::fixed(Duration::MAX))
            .unique(Unique::key("").for_(Duration::MAX))
            .group(""),
    ] {
        queue.push_with(&(), &push).unwrap();
    }
    let forever = queue.clone().with_time_limit(Duration::MAX);
    let claim = forever.claim_timeout(PATIENCE).unwrap().unwrap();
    claim.progress(f64::NAN, "x".repeat(1 << 20)).unwrap();
    let id = claim.id();
    claim.fail("\u{e9}\0".repeat(1 << 20)).unwrap();
    assert!(
        queue
            .claim_timeout(Duration::from_millis(1))
            .unwrap()
            .is_none()
    );
    let job = queue.get(id).unwrap().unwrap();
    assert_eq!(
        job.progress.map(|(fraction, note)| (fraction, note.len())),
        Some((0.0, 8192))
    );
    assert!(job.error.unwrap().starts_with("\u{e9}\u{fffd}"));
    assert_eq!(ids(&queue, JobState::Scheduled), [2, 3, 1]);
}

#[test]
fn no_job_is_given_to_two_threads() {
    let (_directory, store) = store();
    let queue = Queue::<u32>::new(&store, "queue").unwrap();
    let stop = Stop::new();
    let waiting = Queue::<u32>::new(&store.with_stop(&stop), "queue").unwrap();
    let all = thread::scope(|scope| {
        let work = || {
            let mut own = Vec::new();
            while let Ok(claim) = waiting.claim() {
                own.push(*claim);
                claim.complete_now().unwrap();
            }
            own
        };
        let workers: Vec<_> = (0..8).map(|_| scope.spawn(work)).collect();
        for first in (0..400).step_by(4) {
            queue.push(&first).unwrap();
            queue.push_all([first + 1, first + 2]).unwrap();
            let soon = Push::new().delay(Duration::from_millis(1));
            queue.push_with(&(first + 3), &soon).unwrap();
        }
        assert!(queue.wait_idle(PATIENCE).unwrap());
        stop.stop();
        let all = workers
            .into_iter()
            .flat_map(|worker| worker.join().unwrap());
        let mut all: Vec<_> = all.collect();
        all.sort_unstable();
        all
    });
    assert_eq!(all, (0..400).collect::<Vec<_>>());
}

#[test]
fn who_waits_for_a_queue_that_is_removed_is_told() {
    let (_directory, store) = store();
    let queue = Queue::<u32>::new(&store, "queue").unwrap();
    let id = queue.push(&1).unwrap();
    let claim = queue.claim().unwrap();
    thread::scope(|scope| {
        let claims = asleep(scope, || {}, || queue.claim().map(drop));
        let waits = asleep(scope, || {}, || queue.wait::<()>(id, PATIENCE).map(drop));
        assert!(store.remove_structure("queue").unwrap());
        assert!(claims.join().unwrap().unwrap_err().is_removed());
        assert!(waits.join().unwrap().unwrap_err().is_removed());
    });
    assert!(claim.complete_now().unwrap_err().is_removed());
}

#[test]
fn who_may_only_read_sees_how_it_stands() {
    let (directory, store) = store();
    let path = directory.path();
    let queue = Queue::<u32>::new(&store, "queue").unwrap();
    let id = queue.push(&7).unwrap();
    drop((queue, store));
    let store = Store::options().read_only(true).open(path).unwrap();
    let queue = Queue::<u32>::find(&store, "queue").unwrap().unwrap();
    assert_eq!(queue.stats().unwrap().ready, 1);
    assert_eq!(ids(&queue, JobState::Ready), [1]);
    assert_eq!(queue.get(id).unwrap().unwrap().content.job(), Some(&7));
    assert_eq!(queue.outcome::<()>(id).unwrap(), None);
    assert!(queue.push(&8).unwrap_err().is_read_only());
    assert!(queue.try_claim().unwrap_err().is_read_only());
    assert!(queue.claim_timeout(PATIENCE).unwrap_err().is_read_only());
    assert!(queue.pause().unwrap_err().is_read_only());
}

#[test]
fn a_long_list_is_shown_page_by_page_in_order() {
    let (_directory, store) = store();
    let (queue, clock) = timed(&store);
    let rank = |job: u32| i32::try_from(job % 3).unwrap();
    for job in 0..200_u32 {
        queue
            .push_with(&job, &Push::new().priority(rank(job)))
            .unwrap();
        queue
            .push_with(&job, &Push::new().delay(SECOND * (job % 7 + 1)))
            .unwrap();
        queue
            .push_with(&job, &Push::new().group((job % 5).to_string()))
            .unwrap();
    }
    for state in [JobState::Scheduled, JobState::Held] {
        let expected = queue.stats().unwrap().of(state);
        let mut found = ids(&queue, state);
        found.sort_unstable();
        found.dedup();
        assert_eq!(u64::try_from(found.len()).unwrap(), expected);
    }
    clock.advance(10 * SECOND);
    let ready: Vec<u64> = ids(&queue, JobState::Ready);
    let claims = queue.claim_many(1000).unwrap();
    let claimed: Vec<u64> = claims.iter().map(|claim| claim.id().get()).collect();
    assert_eq!(claimed.len(), 200 + 200 + 5);
    assert!(ready.iter().all(|id| claimed.contains(id)));
    assert_eq!(ids(&queue, JobState::Claimed).len(), 405);
    for claim in claims {
        claim.complete_now().unwrap();
    }
    assert_eq!(ids(&queue, JobState::Done).len(), 405);
}

/// What a transaction has written others don't see yet, and on a server that goes for large values, too.
#[test]
fn a_large_job_can_be_claimed_in_the_transaction_that_pushed_it() {
    let (_place, store) = store();
    let queue = Queue::<String>::new(&store, "queue").unwrap();
    let large = "x".repeat(INLINE + 1);
    let claimed = store.transaction(|tx| {
        let queue = queue.within(tx);
        let id = queue.push(&large)?;
        let seen = queue.get(id)?.unwrap().content;
        assert!(matches!(seen, Content::Job(job) if job == large));
        let claim = queue.try_claim()?.unwrap();
        assert!(*claim == large);
        claim.complete(tx)
    });
    claimed.unwrap();
}
