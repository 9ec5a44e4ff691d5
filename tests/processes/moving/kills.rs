//! Whoever moves a store is killed.

use std::os::unix::process::ExitStatusExt;

use diskette::{Deque, Store};
use diskette_store::{INLINE, Step};
use diskette_testkit::{Child, PATIENCE, Postgres, role, unique_store};
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use rusqlite::Connection;

role! {
    /// Moves a store, and dies when it is told of a step for the nth time.
    fn mover(parent) {
        let (path, url): (String, String) = (parent.arg(0), parent.arg(1));
        let (step, nth): (String, u32) = (parent.arg(2), parent.arg(3));
        let store = Store::open(path).unwrap();
        let late = Deque::<Vec<u8>>::new(&store, "late").unwrap();
        let mut told = 0;
        store.promote(&url, |progress| {
            let is_all = progress.rows > 0 && progress.rows == progress.all_rows;
            told += u32::from(match (progress.step, step.as_str()) {
                (Step::Copying, "CopyingAgain") => is_all,
                (now, step) => format!("{now:?}") == step,
            });
            if told == nth {
                signal::kill(Pid::this(), Signal::SIGKILL).unwrap();
            }
            if progress.step == Step::Waiting {
                // There is something to catch up with.
                late.push_back(&vec![7; 4 * INLINE]).unwrap();
            }
        }).unwrap();
        parent.say("not killed");
    }
}

const BATCH: u64 = 50;

fn value(n: u64) -> Vec<u8> {
    vec![7; if n % BATCH == 20 { INLINE + 1 } else { 3 }]
}

role! {
    /// Pushes numbers to wherever the store is, so many at a time.
    fn pusher(parent) {
        let (path, me): (String, u64) = (parent.arg(0), parent.arg(1));
        let store = Store::open(path).unwrap();
        let numbers = Deque::<(u64, Vec<u8>)>::new(&store, "numbers").unwrap();
        for n in 0.. {
            if n % BATCH == 0 {
                parent.say("pushed");
                parent.hear();
            }
            numbers.push_back(&(me << 32 | n, value(n))).unwrap();
        }
    }
}

#[test]
fn killed_at_any_step_one_of_the_two_is_the_store_and_nothing_is_lost_or_doubled() {
    let Some(server) = Postgres::shared() else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let url = server.url(&unique_store());
    let store = Store::open(&path).unwrap();
    let early = Deque::<Vec<u8>>::new(&store, "early").unwrap();
    // So much that there is more than one round.
    (0..10).for_each(|_| early.push_back(&vec![7; INLINE + 1]).unwrap());
    drop((early, store));
    let start = |me: u64| Child::spawn(pusher, &[&path.display(), &me]);
    let mut pushers: Vec<_> = (0..3).map(start).collect();
    let pushed = |pushers: &mut [Child]| {
        for pusher in pushers {
            assert_eq!(pusher.hear(PATIENCE), "pushed");
        }
    };
    let steps = [
        ("Copying", 1),
        ("Copying", 3),
        ("CopyingAgain", 1),
        ("Waiting", 1),
        ("CatchingUp", 1),
        ("CatchingUp", 2),
        ("Copied", 1),
        ("Moved", 1),
    ];
    for (step, nth) in steps {
        pushed(&mut pushers);
        pushers.iter_mut().for_each(|pusher| pusher.say("more"));
        let mut mover = Child::spawn(mover, &[&path.display(), &url, &step, &nth]);
        let status = mover.wait(PATIENCE);
        assert_eq!(
            status.signal(),
            Some(Signal::SIGKILL as i32),
            "{step} {nth}"
        );
        assert_eq!(path.join("moved").exists(), step == "Moved");
    }
    pushed(&mut pushers);
    pushers.iter_mut().for_each(|pusher| pusher.say("more"));
    pushed(&mut pushers);
    drop(pushers);
    let store = Store::open(&url).unwrap();
    let numbers = Deque::<(u64, Vec<u8>)>::new(&store, "numbers").unwrap();
    let mut next = [0_u64; 3];
    for item in numbers.iter() {
        let (number, bytes) = item.unwrap();
        let (me, n) = ((number >> 32) as usize, number & 0xffff_ffff);
        assert_eq!(n, next[me], "each once, in order");
        assert_eq!(bytes, value(n));
        next[me] += 1;
    }
    assert_eq!(next, [BATCH * (1 + steps.len() as u64); 3]);
    assert_eq!(store.check().unwrap().problems, []);
    drop(store);
    #[allow(clippy::disallowed_methods, reason = "nobody has it open")]
    let left = Connection::open(path.join("store.db")).unwrap();
    let format: i32 = left
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .unwrap();
    assert_eq!(format, i32::MAX, "which no diskette of before opens");
}

#[test]
fn a_server_that_is_killed_leaves_the_store_where_it_is() {
    let Some(mut server) = Postgres::private(&[]) else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("store")).unwrap();
    let numbers = Deque::<(u64, Vec<u8>)>::new(&store, "numbers").unwrap();
    numbers
        .extend((0..4).map(|n| (n, vec![7; INLINE + 1])))
        .unwrap();
    let url = server.url("store");
    for (step, nth) in [(Step::Copying, 2), (Step::Copied, 1)] {
        let mut told = 0;
        let moved = store.promote(&url, |progress| {
            if progress.step == step {
                told += 1;
                if told == nth {
                    server.kill();
                }
            }
        });
        // At the second time it had come, but for being opened.
        assert!(moved.is_err(), "{step:?}");
        assert_eq!(
            dir.path().join("store/moved").exists(),
            step == Step::Copied
        );
        if step == Step::Copying {
            numbers.push_back(&(4, Vec::new())).unwrap();
        }
        server.start();
    }
    let store = Store::open(store.path()).unwrap();
    let numbers = Deque::<(u64, Vec<u8>)>::new(&store, "numbers").unwrap();
    assert_eq!(numbers.len().unwrap(), 5);
    assert_eq!(numbers.front().unwrap().unwrap().1.len(), INLINE + 1);
}
