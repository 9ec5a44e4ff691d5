use std::sync::Barrier;
use std::thread;

use diskette_lock::{Lock, RLock};
use diskette_store::{Error, Store};

use crate::{LONG, store};

#[test]
fn a_thread_that_waits_for_itself_is_told_so() {
    let (_dir, store) = store();
    let lock = Lock::new(&store, "import").unwrap();
    let guard = lock.lock().unwrap();
    for refused in [lock.lock().map(Some), lock.lock_timeout(LONG)] {
        let error = refused.unwrap_err();
        assert!(error.is_deadlock());
        let story = error.to_string();
        let pid = format!("pid {}", std::process::id());
        for part in ["lock \"import\"", "this thread", &pid] {
            assert!(story.contains(part), "{part} is missing: {story}");
        }
    }
    assert!(guard.is_held());
    guard.release().unwrap();
    assert!(lock.try_lock().unwrap().is_some());
}

#[test]
fn of_two_or_three_that_wait_in_a_circle_one_is_told_and_the_others_get_on() {
    for threads in [2, 3] {
        let (_dir, store) = store();
        let errors = in_a_circle(&store, threads);
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(errors[0].is_deadlock());
        let story = errors[0].to_string();
        for i in 0..threads {
            for part in [format!("rlock \"{i}\""), format!("thread worker-{i}")] {
                assert!(story.contains(&part), "{part} is missing: {story}");
            }
        }
    }
}

#[test]
fn a_row_of_waits_is_no_circle() {
    let (_dir, store) = store();
    let locks = [0, 1, 2].map(|i| Lock::new(&store, &i.to_string()).unwrap());
    let (held, last) = (Barrier::new(3), locks[2].lock().unwrap());
    thread::scope(|scope| {
        for i in 0..2 {
            let (locks, held) = (&locks, &held);
            scope.spawn(move || {
                let _mine = locks[i].lock().unwrap();
                held.wait();
                locks[i + 1].lock().unwrap().release().unwrap();
            });
        }
        held.wait();
        last.release().unwrap();
    });
}

/// Lets each thread take a lock of its own and then its neighbour's; gives the errors.
fn in_a_circle(store: &Store, threads: usize) -> Vec<Error> {
    let locks = (0..threads).map(|i| RLock::new(store, &i.to_string()).unwrap());
    let (locks, held) = (locks.collect::<Vec<_>>(), Barrier::new(threads));
    thread::scope(|scope| {
        let turn = |i: usize| {
            let (locks, held) = (&locks, &held);
            let work = move || {
                let _mine = locks[i].lock().unwrap();
                held.wait();
                locks[(i + 1) % locks.len()].lock().map(drop)
            };
            let worker = thread::Builder::new().name(format!("worker-{i}"));
            worker.spawn_scoped(scope, work).unwrap()
        };
        let workers: Vec<_> = (0..threads).map(turn).collect();
        let results = workers.into_iter().map(|worker| worker.join().unwrap());
        results.filter_map(Result::err).collect()
    })
}
