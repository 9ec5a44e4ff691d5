//! Whoever moves a store is killed.

use std::os::unix::process::ExitStatusExt;

use diskette::{Deque, Store};
use diskette_store::INLINE;
use diskette_testkit::{Child, PATIENCE, Postgres, role, unique_store};
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;

role! {
    /// Moves a store, and dies when it is told of a step for the nth time.
    fn mover(parent) {
        let (path, url): (String, String) = (parent.arg(0), parent.arg(1));
        let (step, nth): (String, u32) = (parent.arg(2), parent.arg(3));
        let mut told = 0;
        Store::open(path).unwrap().promote(&url, |progress| {
            told += u32::from(format!("{:?}", progress.step) == step);
            if told == nth {
                signal::kill(Pid::this(), Signal::SIGKILL).unwrap();
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
        let open = || Deque::<(u64, Vec<u8>)>::new(&Store::open(&path).unwrap(), "numbers").unwrap();
        let mut numbers = open();
        for n in 0.. {
            if n % BATCH == 0 {
                parent.say("pushed");
                parent.hear();
            }
            let item = (me << 32 | n, value(n));
            while let Err(error) = numbers.push_back(&item) {
                assert!(error.is_moved(), "{error}");
                numbers = open();
            }
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
    drop(Store::open(&path).unwrap());
    let start = |me: u64| Child::spawn(pusher, &[&path.display(), &me]);
    let mut pushers: Vec<_> = (0..3).map(start).collect();
    let pushed = |pushers: &mut [Child]| {
        for pusher in pushers {
            assert_eq!(pusher.hear(PATIENCE), "pushed");
        }
    };
    let steps = [
        ("Waiting", 1),
        ("Copying", 1),
        ("Copying", 3),
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
}
