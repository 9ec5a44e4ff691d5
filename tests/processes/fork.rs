//! Stores over `fork`.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use diskette::{Deque, Error, Index, Store};
use diskette_ipc::clock;
use diskette_testkit::{Child, Forked, PATIENCE, role};
use serde_bytes::ByteBuf;

use crate::crashes::durability;

role! {
    /// Uses a store from several threads, forks amid it, and lets both sides go on.
    fn forker(parent) {
        let dir: String = parent.arg(0);
        let store = Store::open(&dir).unwrap();
        let numbers = Deque::<u64>::new(&store, "numbers").unwrap();
        let _claimed = numbers.claim_front(PATIENCE).unwrap().unwrap();
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| (0..200).for_each(|n| numbers.push_back(&n).unwrap()));
            }
            for _ in 0..10 {
                let child = Forked::child(|| {
                    numbers.push_back(&1000).unwrap();
                    assert!(numbers.len().unwrap() > 0);
                    let own = numbers.try_claim_front().unwrap().unwrap();
                    own.release().unwrap();
                });
                assert!(child.ended_well());
                numbers.push_front(&2000).unwrap();
            }
        });
        parent.say("done");
        parent.hear();
    }
}

role! {
    /// Forks in the middle of a transaction.
    fn careless(parent) {
        let dir: String = parent.arg(0);
        let store = Store::open(&dir).unwrap();
        let entries = Index::<u64, u64>::new(&store, "entries").unwrap();
        store
            .transaction(|tx| {
                entries.within(tx).insert(&1, &1)?;
                let child = Forked::child(|| {
                    assert!(entries.insert(&2, &2).unwrap_err().is_misuse());
                    assert!(entries.get(&1).unwrap_err().is_misuse());
                });
                assert!(child.ended_well());
                entries.within(tx).insert(&3, &3)
            })
            .unwrap();
        entries.insert(&4, &4).unwrap();
        parent.say("done");
        parent.hear();
    }
}

#[test]
fn a_forked_child_and_its_parent_both_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let store = Store::open(&path).unwrap();
    let numbers = Deque::<u64>::new(&store, "numbers").unwrap();
    numbers.push_back(&7).unwrap();
    let mut child = Child::spawn(forker, &[&path.display()]);
    assert_eq!(child.hear(PATIENCE), "done");
    assert_eq!(
        (numbers.len().unwrap(), numbers.claimed().unwrap()),
        (620, 1)
    );
    child.kill();
    diskette_testkit::eventually(PATIENCE, || numbers.claimed().unwrap() == 0);
    assert_eq!(numbers.front().unwrap(), Some(2000));
    assert!(store.check().unwrap().is_sound());
}

#[test]
fn a_fork_in_the_middle_of_a_transaction_leaves_the_child_with_errors_and_the_parent_whole() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let mut child = Child::spawn(careless, &[&path.display()]);
    assert_eq!(child.hear(PATIENCE), "done");
    let store = Store::open(&path).unwrap();
    let entries = Index::<u64, u64>::new(&store, "entries").unwrap();
    let there = entries.keys().collect::<Result<Vec<_>, Error>>().unwrap();
    assert_eq!(there, [1, 3, 4]);
}

fn large(fill: u8) -> ByteBuf {
    ByteBuf::from(vec![fill; 600_000])
}

role! {
    /// Forks three children, each of which inserts a large value, and inserts one itself.
    fn heir(parent) {
        let store = Store::open(parent.arg::<String>(0)).unwrap();
        let values = Index::<u8, ByteBuf>::new(&store, "values").unwrap();
        values.insert(&0, &large(0)).unwrap();
        for key in 1..4 {
            let child = Forked::child(|| values.insert(&key, &large(key)).unwrap());
            assert!(child.ended_well());
        }
        values.insert(&4, &large(4)).unwrap();
        parent.say("done");
    }
}

/// Children drew the numbers of value files from the generator that they had inherited: the second found the first one's
/// file in its way, failed, and deleted it. What had been acknowledged was gone.
#[test]
fn forked_children_keep_their_large_values_apart() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = Child::spawn(heir, &[&dir.path().display()]);
    assert_eq!(child.hear(PATIENCE), "done");
    let store = Store::open(dir.path()).unwrap();
    let values = Index::<u8, ByteBuf>::new(&store, "values").unwrap();
    for key in 0..5 {
        assert!(values.get(&key).unwrap() == Some(large(key)), "{key}");
    }
    assert_eq!(store.check().unwrap().problems, []);
}

const BUSY_FORKS: u8 = 60;

role! {
    /// Forks while its threads are busy with large values, small ones, snapshots and claims.
    fn busy(parent) {
        let store = Store::open(parent.arg::<String>(0)).unwrap();
        let values = Index::<u8, ByteBuf>::new(&store, "values").unwrap();
        let jobs = Deque::<Vec<u8>>::new(&store, "jobs").unwrap();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for key in 200..202 {
                let (store, values, jobs, done) = (&store, &values, &jobs, &done);
                scope.spawn(move || {
                    while !done.load(Ordering::Relaxed) {
                        values.insert(&key, &large(key)).unwrap();
                        store.snapshot(|snapshot| values.within(snapshot).len()).unwrap();
                        jobs.push_back(&vec![key]).unwrap();
                        jobs.try_claim_front().unwrap().unwrap().complete_now().unwrap();
                        store
                            .transaction(|tx| {
                                jobs.within(tx).push_back(&vec![key])?;
                                jobs.within(tx).pop_front()
                            })
                            .unwrap();
                    }
                });
            }
            let mut lost = 0;
            for key in 0..BUSY_FORKS {
                let child = Forked::child(|| {
                    match values.insert(&key, &large(key)) {
                        // In the middle of a transaction after all: that is said.
                        Err(error) if error.is_misuse() => Forked::end(true),
                        inserted => inserted.unwrap(),
                    }
                    assert!(values.get(&key).unwrap() == Some(large(key)));
                    jobs.push_front(&vec![key]).unwrap();
                    jobs.remove_value(&vec![key]).unwrap();
                });
                lost += u8::from(!child.ended_well());
            }
            done.store(true, Ordering::Relaxed);
            parent.say(lost);
        });
        parent.say("done");
    }
}

/// Of 400 children that were forked while two threads wrote, 397 failed and 2 hung for ever: they had inherited mutexes that
/// threads held that they didn't have.
#[test]
fn children_of_a_busy_parent_work() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = Child::spawn(busy, &[&dir.path().display()]);
    assert_eq!(child.hear(PATIENCE), "0");
    assert_eq!(child.hear(PATIENCE), "done");
    let store = Store::open(dir.path()).unwrap();
    let values = Index::<u8, ByteBuf>::new(&store, "values").unwrap();
    for entry in values.iter() {
        let (key, value) = entry.unwrap();
        assert!(value == large(key), "{key}");
    }
    let worked = values.range(..BUSY_FORKS).count();
    assert!(worked > usize::from(BUSY_FORKS) / 2, "only {worked}");
    assert_eq!(store.check().unwrap().problems, []);
}

role! {
    /// Forks while its threads write, each of them again and again, and share their commits.
    fn together(parent) {
        let options = Store::options().durability(durability(parent.arg(1)));
        let store = options.open(parent.arg::<String>(0)).unwrap();
        let values = Index::<u32, u32>::new(&store, "values").unwrap();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (values, done) = (&values, &done);
                scope.spawn(move || {
                    for n in 0.. {
                        if done.load(Ordering::Relaxed) {
                            break;
                        }
                        values.insert(&thread, &n).unwrap();
                        assert_eq!(values.get(&thread).unwrap(), Some(n));
                    }
                });
            }
            let children = 100..140;
            let lost = children.clone().filter(|key| {
                let child = Forked::child(|| {
                    values.insert(key, key).unwrap();
                    assert_eq!(values.get(key).unwrap(), Some(*key));
                });
                !child.ended_well()
            });
            parent.say(lost.count());
            done.store(true, Ordering::Relaxed);
            parent.say(values.range(children).count());
        });
    }
}

/// The child has none of the threads that wait for their turn, or for a commit that another makes.
#[test]
fn children_of_threads_that_write_together_write() {
    for power in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let mut child = Child::spawn(together, &[&dir.path().display(), &power]);
        assert_eq!(child.hear(PATIENCE), "0");
        assert_eq!(child.hear(PATIENCE), "40");
        assert!(child.wait(PATIENCE).success());
    }
}

role! {
    /// Forks in the middle of a transaction, and has the child end it.
    fn ender(parent) {
        let store = Store::open(parent.arg::<String>(0)).unwrap();
        let entries = Index::<u64, u64>::new(&store, "entries").unwrap();
        for child_writes in [true, false] {
            let mut child = None;
            let result = store.transaction(|tx| {
                entries.within(tx).insert(&1, &1)?;
                child = Forked::both();
                if child_writes || child.is_some() {
                    entries.within(tx).insert(&2, &2)?;
                }
                Ok::<(), Error>(())
            });
            match child {
                None => Forked::end(result.is_err_and(|error| error.is_misuse())),
                Some(child) => assert!(child.ended_well(), "the child writes: {child_writes}"),
            }
            result.unwrap();
        }
        parent.say(entries.len().unwrap());
    }
}

/// A child that came back from the closure was told Ok, for a commit that never was.
#[test]
fn a_child_cannot_commit_the_transaction_of_its_parent() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = Child::spawn(ender, &[&dir.path().display()]);
    assert_eq!(child.hear(PATIENCE), "2");
    let store = Store::open(dir.path()).unwrap();
    assert!(store.check().unwrap().is_sound());
}

role! {
    /// Forks while a snapshot and a transaction are open that end only afterwards.
    fn unhurried(parent) {
        let store = Store::open(parent.arg::<String>(0)).unwrap();
        let entries = Index::<u64, u64>::new(&store, "entries").unwrap();
        let soon = Duration::from_secs(1);
        let both_open = Barrier::new(3);
        let forked = Barrier::new(3);
        let ok = || Ok::<(), Error>(());
        std::thread::scope(|scope| {
            scope.spawn(|| {
                store.snapshot(|_| { both_open.wait(); forked.wait(); ok() }).unwrap();
            });
            scope.spawn(|| {
                store.transaction(|_| { both_open.wait(); forked.wait(); ok() }).unwrap();
            });
            both_open.wait();
            let at_once = (0..5).any(|_| {
                let start = clock::now();
                let said = Forked::child(|| assert!(entries.get(&1).unwrap_err().is_misuse()));
                assert!(said.ended_well());
                start.elapsed() < soon
            });
            forked.wait();
            parent.say(at_once);
        });
        entries.insert(&1, &1).unwrap();
        parent.say("done");
    }
}

/// A fork took two seconds beside a snapshot, and four beside a transaction too, most of them only to run another program.
#[test]
fn a_fork_does_not_wait_for_the_work_of_the_program() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = Child::spawn(unhurried, &[&dir.path().display()]);
    assert_eq!(child.hear(PATIENCE), "true");
    assert_eq!(child.hear(PATIENCE), "done");
}

role! {
    /// Leaves a child behind, and is killed within a transaction.
    fn bereaver(parent) {
        let store = Store::open(parent.arg::<String>(0)).unwrap();
        let entries = Index::<u64, u64>::new(&store, "entries").unwrap();
        Forked::child(|| loop {
            std::thread::park();
        })
        .let_go();
        store.transaction::<(), Error>(|tx| {
            entries.within(tx).insert(&1, &1)?;
            parent.say("inside");
            parent.hear();
            Ok(())
        }).unwrap();
    }
}

/// What a child inherits in its memory must not keep what its killed parent held.
#[test]
fn the_child_of_a_killed_process_stands_in_nobody_s_way() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let entries = Index::<u64, u64>::new(&store, "entries").unwrap();
    let mut process = Child::spawn(bereaver, &[&dir.path().display()]);
    assert_eq!(process.hear(PATIENCE), "inside");
    process.kill();
    entries.insert(&2, &2).unwrap();
    store.compact().unwrap();
    assert!(entries.get(&1).unwrap().is_none());
}
