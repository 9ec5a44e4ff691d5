//! Waiting costs nothing, ends in time, and nobody waits for ever.

use std::path::Path;
use std::time::Duration;

use diskette::{BoundedSemaphore, Lock, RLock, RwLock};
use diskette_ipc::clock;
use diskette_testkit::{
    Child, Gate, PATIENCE, Signal, assert_rest, at_best_within, eventually, role,
};

use super::{Home, asleep, store};

role! {
    /// Waits for the lock and says so when it had it.
    fn waiter(parent) {
        let lock = Lock::new(&store(parent.arg::<String>(0)), "one").unwrap();
        std::thread::scope(|scope| {
            let wait = |lock: &Lock| lock.lock_timeout(2 * PATIENCE).unwrap().is_some();
            let waits = asleep(scope, &lock, wait);
            parent.say("asleep");
            assert!(waits.join().unwrap());
            parent.say("had it");
        });
        parent.hear();
    }
}

role! {
    /// Holds everything.
    fn holder(parent) {
        let store = store(parent.arg::<String>(0));
        let _one = Lock::new(&store, "one").unwrap().lock().unwrap();
        let _again = RLock::new(&store, "again").unwrap().lock().unwrap();
        let _model = RwLock::new(&store, "model").unwrap().write().unwrap();
        let _permits = BoundedSemaphore::new(&store, "permits", 2).unwrap().acquire_n(2).unwrap();
        parent.say("holds");
        parent.hear();
    }
}

/// So many turns, and the others may still go on.
const ENOUGH: u64 = 2000;

role! {
    /// Takes the lock over and over, until all have had enough turns.
    fn glutton(parent) {
        let home: String = parent.arg(0);
        let lock = Lock::new(&store(&home), "one").unwrap();
        parent.say("ready");
        Gate::pass(format!("{home}/gate"));
        let mut longest = Duration::ZERO;
        let mut turn = || {
            let begun = clock::now();
            let _guard = lock.lock().unwrap();
            longest = longest.max(begun.elapsed());
        };
        (0..ENOUGH).for_each(|_| turn());
        parent.say("full");
        let mut turns = ENOUGH;
        while !Path::new(&format!("{home}/over")).exists() {
            turn();
            turns += 1;
        }
        parent.say(turns);
        parent.say(longest.as_millis());
    }
}

#[test]
fn sixteen_who_wait_take_no_processor_time() {
    let home = Home::new();
    let lock = Lock::new(&home.store(), "one").unwrap();
    let guard = lock.lock().unwrap();
    let mut waiters: Vec<_> = (0..16)
        .map(|_| Child::spawn(waiter, &[&home.path()]))
        .collect();
    for child in &mut waiters {
        assert_eq!(child.hear(PATIENCE), "asleep");
    }
    let pids: Vec<_> = waiters.iter().map(Child::id).collect();
    assert_rest(&pids, || {
        std::thread::scope(|scope| {
            let wait = |lock: &Lock| lock.lock_timeout(Duration::from_secs(5)).unwrap().is_none();
            assert!(asleep(scope, &lock, wait).join().unwrap());
        });
    });

    guard.release().unwrap();
    for child in &mut waiters {
        assert_eq!(child.hear(PATIENCE), "had it");
    }
}

#[test]
fn a_timeout_is_kept() {
    let home = Home::new();
    let mut child = Child::spawn(holder, &[&home.path()]);
    assert_eq!(child.hear(PATIENCE), "holds");
    let store = home.store();
    let one = Lock::new(&store, "one").unwrap();
    let again = RLock::new(&store, "again").unwrap();
    let model = RwLock::new(&store, "model").unwrap();
    let permits = BoundedSemaphore::new(&store, "permits", 2).unwrap();
    let waits: [(&str, &dyn Fn(Duration) -> bool); 6] = [
        ("lock", &|time| one.lock_timeout(time).unwrap().is_none()),
        ("rlock", &|time| again.lock_timeout(time).unwrap().is_none()),
        ("read", &|time| model.read_timeout(time).unwrap().is_none()),
        ("write", &|time| {
            model.write_timeout(time).unwrap().is_none()
        }),
        ("permit", &|time| {
            permits.acquire_timeout(time).unwrap().is_none()
        }),
        ("permits", &|time| {
            permits.acquire_n_timeout(2, time).unwrap().is_none()
        }),
    ];
    for (name, wait) in waits {
        assert!(wait(Duration::ZERO));
        let timeout = Duration::from_millis(120);
        at_best_within(Duration::from_millis(50), || {
            let begun = clock::now();
            assert!(wait(timeout), "{name}");
            begun.elapsed().checked_sub(timeout).expect("not too early")
        });
    }
}

#[test]
fn nobody_starves() {
    let home = Home::new();
    let gate = Gate::closed(home.0.path().join("gate"));
    let mut gluttons: Vec<_> = (0..8)
        .map(|_| Child::spawn(glutton, &[&home.path()]))
        .collect();
    for child in &mut gluttons {
        assert_eq!(child.hear(PATIENCE), "ready");
    }
    gate.open();
    for child in &mut gluttons {
        // While those who had enough go on.
        assert_eq!(child.hear(PATIENCE), "full");
    }
    std::fs::write(home.0.path().join("over"), "").unwrap();
    let mut number = |child: &mut Child| -> u64 { child.hear(PATIENCE).parse().unwrap() };
    let turns: Vec<_> = gluttons.iter_mut().map(&mut number).collect();
    let longest = gluttons.iter_mut().map(&mut number).max().unwrap();
    let (least, most) = (turns.iter().min().unwrap(), turns.iter().max().unwrap());
    assert!(most / least < 20, "{turns:?}");
    // Eight turns of a millisecond, on a machine with nothing else to do.
    assert!(longest < 5000, "{longest} ms");
}

/// The kernel stops a process, not what it has: a lock stays held, and a place in the queue is passed over.
#[test]
fn who_is_stopped_keeps_what_it_holds_and_nobody_from_what_it_waits_for() {
    let home = Home::new();
    let lock = Lock::new(&home.store(), "one").unwrap();
    let guard = lock.lock().unwrap();
    let mut first = Child::spawn(waiter, &[&home.path()]);
    assert_eq!(first.hear(PATIENCE), "asleep");
    stop(&mut first);
    std::thread::scope(|scope| {
        let second = asleep(scope, &lock, |lock| {
            lock.lock_timeout(PATIENCE).unwrap().is_some()
        });
        guard.release().unwrap();
        assert!(second.join().unwrap());
    });
    first.signal(Signal::SIGCONT);
    assert_eq!(first.hear(PATIENCE), "had it");

    let mut child = Child::spawn(holder, &[&home.path()]);
    assert_eq!(child.hear(PATIENCE), "holds");
    stop(&mut child);
    assert!(
        lock.lock_timeout(Duration::from_millis(50))
            .unwrap()
            .is_none()
    );
    let holder = lock.holder().unwrap().unwrap();
    assert_eq!((holder.party.pid, holder.is_alive), (child.id(), true));
}

fn stop(child: &mut Child) {
    child.signal(Signal::SIGSTOP);
    eventually(PATIENCE, || {
        let mut tasks = std::fs::read_dir(format!("/proc/{}/task", child.id())).unwrap();
        let stopped = |stat: String| stat.contains(") T ");
        tasks.all(|task| {
            std::fs::read_to_string(task.unwrap().path().join("stat")).is_ok_and(stopped)
        })
    });
}

/// Without word of the death the next would be in at its next safety poll, which is never this soon after it fell asleep.
#[test]
fn the_next_is_in_at_once_when_the_holder_is_killed() {
    let home = Home::new();
    let lock = Lock::new(&home.store(), "one").unwrap();
    at_best_within(Duration::from_millis(100), || {
        let mut child = Child::spawn(holder, &[&home.path()]);
        assert_eq!(child.hear(PATIENCE), "holds");
        std::thread::scope(|scope| {
            let next = asleep(scope, &lock, |lock| {
                let guard = lock.lock_timeout(PATIENCE).unwrap();
                guard.map(|_| clock::now())
            });
            let killed = clock::now();
            child.kill();
            next.join().unwrap().unwrap() - killed
        })
    });
}
