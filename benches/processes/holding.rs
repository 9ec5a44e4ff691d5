//! Locks between processes, beside `flock`.

use std::fs::File;
use std::time::Duration;

use diskette::{Lock, Store};
use diskette_benches::scaled;
use diskette_ipc::{Clock, SystemClock, clock};
use diskette_testkit::{Child, Gate, PATIENCE, Parent, role};

use crate::report::Report;
use crate::roles::{dir, now};
use crate::{DEATHS, PROCESSES, ROUNDS, SECONDS, median, tempdir};

/// For so long a contended lock is held.
const HELD: Duration = Duration::from_micros(20);

const HAND_OVERS: usize = scaled(300, 5);

/// Plays the role that this process was started for.
pub(crate) fn play() {
    contend_for_flock();
    contend_for_lock();
    wait_for_flock();
    wait_for_lock();
    hold_lock();
}

/// All processes take one lock again and again.
pub(crate) fn contention() {
    println!("\n{PROCESSES} processes and one lock, held for {HELD:?}; the wait for it");
    let round = |spawn: &dyn Fn(&str) -> Child| {
        let dir = tempdir();
        let path = dir.path().display().to_string();
        let gate = Gate::closed(dir.path().join("gate"));
        let mut children: Vec<_> = (0..PROCESSES).map(|_| spawn(&path)).collect();
        for child in &mut children {
            assert_eq!(child.hear(PATIENCE), "ready");
        }
        gate.open();
        let lines = children.iter_mut().map(|child| child.hear(PATIENCE));
        Report::gather(lines, SECONDS)
    };
    let rounds = |spawn: &dyn Fn(&str) -> Child| median((0..ROUNDS).map(|_| round(spawn)));
    rounds(&|path| Child::spawn(contend_for_flock, &[&path])).print("flock");
    rounds(&|path| Child::spawn(contend_for_lock, &[&path])).print("Lock");
}

/// From the release in one process to the return of the waiting call in another.
pub(crate) fn hand_overs() {
    let dir = tempdir();
    println!("\nfrom the release in one process to a waiting one");
    let file = File::create(dir.path().join("file")).expect("a file");
    let child = Child::spawn(wait_for_flock, &[&dir.path().display()]);
    let flock = hand_over(
        child,
        || file.lock().expect("a lock"),
        |()| file.unlock().expect("ours"),
    );
    flock.print("flock");

    let lock = open_lock(dir.path());
    let child = Child::spawn(wait_for_lock, &[&dir.path().display()]);
    let ours = hand_over(
        child,
        || lock.lock().expect("a lock"),
        |guard| guard.release().expect("ours"),
    );
    ours.print("Lock");
}

fn hand_over<G>(mut child: Child, take: impl Fn() -> G, give: impl Fn(G)) -> Report {
    let mut report = Report::new(SECONDS);
    for _ in 0..HAND_OVERS {
        let guard = take();
        child.say("now");
        assert_eq!(child.hear(PATIENCE), "waiting");
        clock::sleep(Duration::from_millis(2)); // until it sleeps
        let released = uptime();
        give(guard);
        let taken: u64 = child.hear(PATIENCE).parse().expect("a time");
        report.record(Duration::from_nanos(taken.saturating_sub(released)));
    }
    report
}

/// From `kill -9` of the holder to the return of the waiting call in another process.
pub(crate) fn deaths() {
    let dir = tempdir();
    let lock = open_lock(dir.path());
    let mut took = Report::new(SECONDS);
    for _ in 0..DEATHS {
        let mut child = Child::spawn(hold_lock, &[&dir.path().display()]);
        assert_eq!(child.hear(PATIENCE), "held");
        let (asked, waiting) = std::sync::mpsc::channel();
        let lock = lock.clone();
        let waiter = std::thread::spawn(move || {
            asked.send(()).expect("a listener");
            drop(lock.lock().expect("a lock"));
            now()
        });
        waiting.recv().expect("a waiter");
        clock::sleep(Duration::from_millis(2)); // until it sleeps
        let killed = now();
        child.kill();
        took.record(
            waiter
                .join()
                .expect("no panic")
                .saturating_duration_since(killed),
        );
    }
    println!("\nfrom kill -9 of the holder to a waiting process");
    took.print("Lock");
}

role! {
    fn contend_for_flock(parent) {
        let file = File::create(dir(parent).join("file")).unwrap();
        contend(parent, || file.lock().unwrap(), |()| file.unlock().unwrap());
    }
}

role! {
    fn contend_for_lock(parent) {
        let lock = open_lock(&dir(parent));
        contend(parent, || lock.lock().unwrap(), drop);
    }
}

role! {
    fn wait_for_flock(parent) {
        let file = File::create(dir(parent).join("file")).unwrap();
        wait(parent, || file.lock().unwrap(), |()| file.unlock().unwrap());
    }
}

role! {
    fn wait_for_lock(parent) {
        let lock = open_lock(&dir(parent));
        wait(parent, || lock.lock().unwrap(), drop);
    }
}

role! {
    fn hold_lock(parent) {
        let lock = open_lock(&dir(parent));
        let _guard = lock.lock().unwrap();
        parent.say("held");
        parent.hear();
    }
}

fn contend<G>(parent: &Parent, take: impl Fn() -> G, give: impl Fn(G)) {
    parent.say("ready");
    Gate::pass(dir(parent).join("gate"));
    let mut report = Report::new(SECONDS);
    let end = now() + Duration::from_secs_f64(SECONDS);
    while now() < end {
        let asked = now();
        let guard = take();
        let taken = now();
        report.record(taken - asked);
        while taken.elapsed() < HELD {}
        give(guard);
    }
    parent.say(report.to_line());
    parent.hear();
}

fn wait<G>(parent: &Parent, take: impl Fn() -> G, give: impl Fn(G)) {
    loop {
        parent.hear();
        parent.say("waiting");
        let guard = take();
        let taken = uptime();
        give(guard);
        parent.say(taken);
    }
}

fn open_lock(dir: &std::path::Path) -> Lock {
    let store = Store::open(dir.join("store")).expect("a store");
    Lock::new(&store, "lock").expect("a lock")
}

/// Nanoseconds, by the clock that processes share.
fn uptime() -> u64 {
    let clock = SystemClock::new().expect("a clock");
    clock.read().uptime.as_nanos() as u64
}
