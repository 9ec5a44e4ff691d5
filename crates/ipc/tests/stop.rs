//! Ending waits: that no stop is missed, at whatever moment of falling asleep it comes.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use diskette_ipc::{
    Awaited, Board, Clock, Custody, Deadline, Doorbell, Owners, Slots, Stop, SystemClock, Taken,
    clock,
};
use diskette_testkit::{PATIENCE, asleep};
use tempfile::tempdir;

const ROUNDS: u32 = 400;

/// Of so many waits as few end by their safety poll as those in which the machine had other things to do.
const MISSED: usize = 20;

/// Runs `wait` in a thread that is stopped when it is about to fall asleep, or already does; many times.
#[track_caller]
fn is_stopped_at_any_moment(poll: Duration, wait: impl Fn(&Stop) + Sync) {
    let by_safety_poll = |&round: &u32| {
        let stop = Stop::new();
        let begun = AtomicBool::new(false);
        let stopped = thread::scope(|scope| {
            scope.spawn(|| {
                begun.store(true, Ordering::SeqCst);
                wait(&stop);
            });
            while !begun.load(Ordering::SeqCst) {
                thread::yield_now();
            }
            // From before the first look to long asleep.
            for _ in 0..round * 20 {
                std::hint::spin_loop();
            }
            stop.stop();
            clock::now()
        });
        stopped.elapsed() > poll / 2
    };
    let missed = (0..ROUNDS).filter(by_safety_poll).count();
    assert!(missed < MISSED, "{missed} stops are missed");
}

#[test]
fn a_sleep_is_stopped() {
    is_stopped_at_any_moment(PATIENCE, |stop| {
        let start = clock::now();
        assert!(stop.wait_timeout(PATIENCE));
        assert!(start.elapsed() < PATIENCE, "a stop is missed");
    });
    // It is an appointment by the clock, and looks at that twice a second.
    let look = Duration::from_millis(500);
    let clock = SystemClock::new().unwrap();
    is_stopped_at_any_moment(look, |stop| {
        let at = clock.read().uptime + PATIENCE;
        clock.sleep_until_stopped(at, stop);
        assert!(clock.read().uptime < at);
    });
    let at = clock.read().uptime + Duration::from_millis(5);
    clock.sleep_until_stopped(at, &Stop::new());
    assert!(clock.read().uptime >= at);
}

#[test]
fn a_wait_at_doorbells_is_stopped() {
    let dir = tempdir().unwrap();
    let bells = ["one", "two"].map(|name| Doorbell::open(dir.path().join(name)).unwrap());
    is_stopped_at_any_moment(Doorbell::SAFETY_POLL, |stop| {
        loop {
            let awaited = look(&bells);
            if stop.is_stopped() {
                break;
            }
            assert!(Doorbell::wait_any(&awaited, &[stop], Deadline::never()));
        }
    });
}

#[test]
fn a_wait_for_slots_is_stopped_and_leaves_nothing_taken() {
    let dir = tempdir().unwrap();
    let path = |name| dir.path().join(name);
    std::fs::create_dir(path("owners")).unwrap();
    let owners = Arc::new(Owners::open(&path("owners"), path("owners.lock")).unwrap());
    let board = Board::create(&path("board"), path("seats"), owners, 1).unwrap();
    let slots = Arc::new(board).slots(7, 2).unwrap();
    let taken = slots.try_take(1).unwrap();
    is_stopped_at_any_moment(Slots::SAFETY_POLL, |stop| {
        let waited = slots.take_unless_stopped(2, Deadline::never(), Custody::Any, Some(stop));
        assert!(matches!(waited.unwrap(), Taken::Stopped));
    });
    drop(taken);
    let stop = Stop::new();
    stop.stop();
    // What is free is still given.
    let taken = slots.take_unless_stopped(2, Deadline::never(), Custody::Any, Some(&stop));
    assert!(matches!(taken.unwrap(), Taken::Held(_)));
    assert_eq!(slots.free().unwrap(), 2);
}

#[test]
fn who_waits_at_several_lines_is_woken_by_each() {
    let dir = tempdir().unwrap();
    let bells = ["one", "two"].map(|name| Doorbell::open(dir.path().join(name)).unwrap());
    let stop = Stop::new();
    let by_safety_poll = |&round: &u32| {
        let awaited = look(&bells);
        thread::scope(|scope| {
            let wait = || {
                while look(&bells)
                    .iter()
                    .zip(&awaited)
                    .all(|(a, b)| a.seen == b.seen)
                {
                    assert!(Doorbell::wait_any(&awaited, &[&stop], Deadline::never()));
                }
            };
            let waits = match round {
                0 | 1 => asleep(scope, || (), wait),
                _ => scope.spawn(wait),
            };
            bells[round as usize % 2].ring(1);
            let rung = clock::now();
            waits.join().unwrap();
            rung.elapsed() > Doorbell::SAFETY_POLL / 2
        })
    };
    let missed = (0..ROUNDS).filter(by_safety_poll).count();
    assert!(missed < MISSED, "{missed} rings are missed");
}

fn look(bells: &[Doorbell]) -> Vec<Awaited<'_>> {
    let look = |bell| Awaited {
        bell,
        line: 1,
        seen: bell.seen(1),
    };
    bells.iter().map(look).collect()
}
