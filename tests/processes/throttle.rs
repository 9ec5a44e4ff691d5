//! A rate limit over processes that are killed, started again, and forked.

use std::fs::{self, OpenOptions};
use std::hash::{BuildHasher, RandomState};
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use diskette::throttle::{Clock, SystemClock};
use diskette::{Rate, RetryAfter, Store, Throttle};
use diskette_testkit::{Child, Forked, PATIENCE, role};

/// Fifty a second, evenly spaced: at most 50 in any second, however it lies.
const RATE: Rate = Rate::per_second(50);
const SPACING: Duration = Duration::from_millis(20);

role! {
    /// Passes as often as it may, from several threads, and writes down which slot it got and when it came back.
    fn hammer(parent) {
        let dir: String = parent.arg(0);
        let store = Store::open(format!("{dir}/store")).unwrap();
        let calls = Throttle::new(&store, "calls", RATE).unwrap();
        let clock = SystemClock::new().unwrap();
        let log = OpenOptions::new().append(true).create(true).open(format!("{dir}/log")).unwrap();
        let strike = || {
            let slot = calls.reserve().unwrap();
            let at = slot.at();
            slot.wait().unwrap();
            let returned = clock.read().uptime;
            let line = format!("{} {}\n", at.as_nanos(), returned.as_nanos());
            (&log).write_all(line.as_bytes()).unwrap();
        };
        strike();
        parent.say("ready");
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| loop { strike() });
            }
        });
    }
}

role! {
    /// Takes all slots of the next minutes.
    fn hog(parent) {
        let dir: String = parent.arg(0);
        let slow = Throttle::new(&Store::open(dir).unwrap(), "slow", Rate::per_minute(1)).unwrap();
        let held: Vec<_> = (0..10).map(|_| slow.reserve().unwrap()).collect();
        parent.say("ready");
        parent.hear();
        drop(held);
    }
}

role! {
    /// Forks with a reservation in hand.
    fn forker(parent) {
        let dir: String = parent.arg(0);
        let slow = Throttle::new(&Store::open(dir).unwrap(), "slow", Rate::per_minute(1)).unwrap();
        slow.acquire().unwrap();
        let (dropped, waited) = (slow.reserve().unwrap(), slow.reserve().unwrap());
        let (mut dropped, mut waited) = (Some(dropped), Some(waited));
        let child = Forked::child(|| {
            drop(dropped.take());
            assert!(waited.as_mut().unwrap().try_wait().unwrap_err().is_misuse());
            assert!(waited.take().unwrap().wait().unwrap_err().is_misuse());
            // And it can book for itself.
            slow.reserve().unwrap().cancel().unwrap();
        });
        assert!(child.ended_well());
        let RetryAfter(both_are_there) = slow.try_acquire().unwrap().unwrap_err();
        assert!(both_are_there > Duration::from_secs(120), "{both_are_there:?}");
        parent.say("done");
        parent.hear();
    }
}

role! {
    /// Tries to pass, and says whether it may.
    fn passer(parent) {
        let dir: String = parent.arg(0);
        let slow = Throttle::new(&Store::open(dir).unwrap(), "slow", Rate::per_hour(1)).unwrap();
        parent.say(slow.try_acquire().unwrap().is_ok());
        parent.hear();
    }
}

/// A container whose clock is two hours ahead let a call an hour pass five times in a second: its uptime was taken for the
/// host's.
#[test]
fn clocks_of_other_time_namespaces_buy_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let starters: [&[&str]; 3] = [
        &["unshare", "--time", "--boottime", "7200"],
        &["unshare", "--time", "--boottime", "100000"],
        &[],
    ];
    let may_unshare = Command::new("unshare").args(["--time", "true"]).status();
    if !may_unshare.is_ok_and(|status| status.success()) {
        eprintln!("not tested: this user can't make time namespaces");
        return;
    }
    let mut passed = 0;
    for _ in 0..2 {
        for starter in starters {
            let mut child = Child::spawn_under(starter, passer, &[&dir.path().display()]);
            passed += usize::from(child.hear(PATIENCE) == "true");
        }
    }
    assert_eq!(passed, 1);
}

#[test]
fn eight_processes_that_are_killed_keep_to_the_limit_and_reach_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("store")).unwrap();
    let calls = Throttle::new(&store, "calls", RATE).unwrap();
    let kills = Throttle::new(&store, "kills", Rate::per_second(2)).unwrap();
    let clock = SystemClock::new().unwrap();
    let start = || Child::spawn(hammer, &[&dir.path().display()]);

    let mut hammers: Vec<_> = (0..8).map(|_| start()).collect();
    for hammer in &mut hammers {
        assert_eq!(hammer.hear(PATIENCE), "ready");
    }
    kills.acquire().unwrap();
    let begin = clock.read().uptime;
    let random = RandomState::new();
    for kill in 0..20 {
        kills.acquire().unwrap();
        let victim = usize::try_from(random.hash_one(kill) % 8).unwrap();
        hammers[victim].kill();
        hammers[victim] = start();
    }
    // The last half second may not be written down yet.
    let end = clock.read().uptime - Duration::from_millis(500);
    for hammer in &mut hammers {
        hammer.kill();
    }

    let grants = read_log(&dir.path().join("log"));
    for (at, returned) in &grants {
        assert!(returned >= at, "{returned:?} is before the slot at {at:?}");
    }
    for pair in grants.windows(2) {
        let (one, next) = (pair[0].0, pair[1].0);
        assert!(next >= one + SPACING, "{next:?} is too close to {one:?}");
    }
    let reached = grants
        .iter()
        .filter(|(at, _)| (begin..end).contains(at))
        .count();
    let possible = (end - begin).as_millis() / SPACING.as_millis();
    assert!(
        reached as u128 * 100 >= possible * 90,
        "{reached} of {possible}"
    );

    // The slots of the dead are free.
    if let Err(RetryAfter(wait)) = calls.try_acquire().unwrap() {
        assert!(wait <= SPACING, "{wait:?}");
    }
    assert!(store.check().unwrap().is_sound());
}

#[test]
fn the_slots_of_a_killed_process_go_to_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let slow = Throttle::new(
        &Store::open(dir.path()).unwrap(),
        "slow",
        Rate::per_minute(1),
    )
    .unwrap();
    slow.acquire().unwrap();
    let mut child = Child::spawn(hog, &[&dir.path().display()]);
    assert_eq!(child.hear(PATIENCE), "ready");
    let RetryAfter(wait) = slow.try_acquire().unwrap().unwrap_err();
    assert!(wait > Duration::from_secs(600), "{wait:?}");
    child.kill();
    let RetryAfter(wait) = slow.try_acquire().unwrap().unwrap_err();
    assert!(wait <= Duration::from_secs(60), "{wait:?}");
    assert!(slow.reserve().unwrap().remaining() <= Duration::from_secs(60));
}

#[test]
fn a_forked_child_gives_back_nothing_of_its_parents() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = Child::spawn(forker, &[&dir.path().display()]);
    assert_eq!(child.hear(PATIENCE), "done");
}

/// The slots that were kept, and when each who had one came back, in their order.
fn read_log(path: &Path) -> Vec<(Duration, Duration)> {
    let log = fs::read_to_string(path).unwrap();
    let mut grants: Vec<_> = log
        .lines()
        .map(|line| {
            let (at, returned) = line.split_once(' ').unwrap();
            let time = |text: &str| Duration::from_nanos(text.parse().unwrap());
            (time(at), time(returned))
        })
        .collect();
    grants.sort();
    grants
}
