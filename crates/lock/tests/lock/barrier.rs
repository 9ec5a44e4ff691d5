use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use diskette_ipc::clock;
use diskette_lock::Barrier;
use diskette_store::{Access, Error, Stop, Store};
use diskette_testkit::{Child, PATIENCE, eventually, role};

use crate::{LONG, SHORT, store};

role! {
    /// Comes to a barrier, and says how it left.
    fn party(parent) {
        let dir: String = parent.arg(0);
        let barrier = Barrier::new(&Store::open(dir).unwrap(), "loaded", 3).unwrap();
        parent.say(barrier.wait().unwrap().is_leader());
        parent.hear();
    }
}

#[test]
fn in_each_round_all_wait_for_all_and_one_leads() {
    const ROUNDS: u32 = 25;
    let (_dir, store) = store();
    let barrier = Barrier::new(&store, "loaded", 4).unwrap();
    let came = [const { AtomicU32::new(0) }; 4];
    let led = AtomicU32::new(0);
    thread::scope(|scope| {
        for mine in &came {
            let (barrier, came, led) = (barrier.clone(), &came, &led);
            scope.spawn(move || {
                for round in 1..=ROUNDS {
                    mine.store(round, SeqCst);
                    let wait = barrier.wait().unwrap();
                    led.fetch_add(wait.is_leader().into(), SeqCst);
                    // One that has gone ahead is at most on its way to the next round.
                    for other in came {
                        assert!((round..=round + 1).contains(&other.load(SeqCst)));
                    }
                }
            });
        }
    });
    assert_eq!(led.into_inner(), ROUNDS);
    assert_eq!(barrier.waiting().unwrap(), 0);
}

/// Whoever is stopped as the last one comes has either taken part, for both, or not come.
#[test]
fn a_stop_and_the_last_party_agree_on_who_came() {
    let (_dir, store) = store();
    let barrier = Barrier::new(&store, "loaded", 2).unwrap();
    for round in 0..200 {
        let stop = Stop::new();
        let first = Barrier::new(&store.with_stop(&stop), "loaded", 2).unwrap();
        let waits = thread::spawn(move || first.wait());
        eventually(PATIENCE, || barrier.waiting().unwrap() == 1);
        stop.stop();
        for _ in 0..round * 50 {
            std::hint::spin_loop();
        }
        let passed = barrier.wait_timeout(Duration::ZERO).unwrap().is_some();
        match waits.join().unwrap() {
            Ok(wait) => assert!(passed && !wait.is_leader()),
            Err(error) => assert!(!passed && error.is_stopped()),
        }
        assert_eq!(barrier.waiting().unwrap(), 0);
    }
}

#[test]
fn who_gives_up_has_not_come() {
    let (_dir, store) = store();
    let barrier = Barrier::new(&store, "loaded", 2).unwrap();
    let begun = clock::now();
    assert_eq!(barrier.wait_timeout(SHORT).unwrap(), None);
    assert!(begun.elapsed() >= SHORT);
    assert_eq!(barrier.waiting().unwrap(), 0);
    assert_eq!(barrier.wait_timeout(Duration::ZERO).unwrap(), None);

    thread::scope(|scope| {
        let first = scope.spawn(|| barrier.wait_timeout(LONG).unwrap().unwrap().is_leader());
        eventually(PATIENCE, || barrier.waiting().unwrap() == 1);
        let last = barrier.wait_timeout(Duration::ZERO).unwrap();
        assert!(last.unwrap().is_leader());
        assert!(!first.join().unwrap());
    });
}

#[test]
fn a_party_that_is_killed_has_not_come_and_another_takes_its_place() {
    let (_dir, store) = store();
    let barrier = Barrier::new(&store, "loaded", 3).unwrap();
    let path = store.path().display().to_string();
    let mut children = [(); 2].map(|()| Child::spawn(party, &[&path]));
    eventually(PATIENCE, || barrier.waiting().unwrap() == 2);
    children[0].kill();
    eventually(PATIENCE, || barrier.waiting().unwrap() == 1);

    let mut another = Child::spawn(party, &[&path]);
    eventually(PATIENCE, || barrier.waiting().unwrap() == 2);
    assert!(barrier.wait().unwrap().is_leader());
    assert_eq!(children[1].hear(PATIENCE), "false");
    assert_eq!(another.hear(PATIENCE), "false");
}

#[test]
fn an_arrival_that_a_dead_process_has_left_does_not_count() {
    let (_dir, store) = store();
    let barrier = Barrier::new(&store, "loaded", 2).unwrap();
    // Of one that has just died, so that nobody has heard of it yet.
    let sql = "INSERT INTO barrier_arrivals (barrier, owner, ticket) SELECT id, 1, 1 FROM barriers";
    store.write(|db| db.execute(sql, &[])).unwrap();
    assert_eq!(barrier.wait_timeout(Duration::ZERO).unwrap(), None);

    let barrier = Barrier::new(&store, "loaded", 2).unwrap();
    assert_eq!(barrier.waiting().unwrap(), 0);
}

#[test]
fn who_was_taken_for_dead_hears_of_it() {
    let (_dir, store) = store();
    let barrier = Barrier::new(&store, "loaded", 2).unwrap();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| barrier.wait());
        eventually(PATIENCE, || barrier.waiting().unwrap() == 1);
        store
            .write(|db| db.execute("DELETE FROM barrier_arrivals", &[]))
            .unwrap();
        assert!(waiter.join().unwrap().unwrap_err().is_removed());
    });
}

#[test]
fn the_number_of_parties_is_recorded() {
    let (_dir, store) = store();
    let alone = Barrier::new(&store, "alone", 1).unwrap();
    assert!(alone.wait().unwrap().is_leader());
    assert!(alone.wait().unwrap().is_leader());

    assert!(
        Barrier::new(&store, "none", 0)
            .unwrap_err()
            .is_invalid_input()
    );
    Barrier::new(&store, "none", 2).unwrap(); // nothing was recorded by the failure
    let error = Barrier::new(&store, "alone", 2).unwrap_err();
    assert!(error.is_invalid_input());
    assert!(
        error.to_string().contains("for 1 parties") && error.to_string().contains("with 2"),
        "{error}"
    );
    assert!(error.to_string().contains("`open_or_set`"), "{error}");
    assert_eq!(alone.parties().unwrap(), 1);
}

#[test]
fn a_new_release_opens_it_for_another_number_which_holds_for_the_old_one_too() {
    let (_dir, store) = store();
    let old = Barrier::open_or_set(&store, "loaded", 2).unwrap(); // there was none
    let new = Barrier::open_or_set(&store, "loaded", 3).unwrap();
    assert_eq!((old.parties().unwrap(), new.parties().unwrap()), (3, 3));
    thread::scope(|scope| {
        let parties = [&old, &new].map(|barrier| scope.spawn(|| barrier.wait_timeout(LONG)));
        eventually(PATIENCE, || new.waiting().unwrap() == 2);
        assert!(old.wait().unwrap().is_leader());
        for party in parties {
            assert!(!party.join().unwrap().unwrap().unwrap().is_leader());
        }
    });
    for error in [
        Barrier::open_or_set(&store, "loaded", 0).unwrap_err(),
        old.set_parties(0).unwrap_err(),
    ] {
        assert!(error.is_invalid_input(), "{error}");
    }
    let within = store.transaction(|_tx| Barrier::open_or_set(&store, "loaded", 2).map(drop));
    assert!(within.unwrap_err().is_misuse());
    assert_eq!(old.parties().unwrap(), 3);
}

#[test]
fn when_fewer_must_come_those_who_wait_go_on_and_one_leads() {
    let (_dir, store) = store();
    let barrier = Barrier::new(&store, "loaded", 5).unwrap();
    let path = store.path().display().to_string();
    thread::scope(|scope| {
        let parties = [(); 3].map(|()| scope.spawn(|| barrier.wait().unwrap().is_leader()));
        eventually(PATIENCE, || barrier.waiting().unwrap() == 3);
        barrier.set_parties(4).unwrap();
        assert_eq!(barrier.waiting().unwrap(), 3);
        barrier.set_parties(3).unwrap();
        let led = parties.map(|party| party.join().unwrap());
        assert_eq!(led.iter().filter(|&&led| led).count(), 1);
    });
    // Over processes too; the dead don't count.
    barrier.set_parties(3).unwrap();
    let mut children = [(); 2].map(|()| Child::spawn(party, &[&path]));
    eventually(PATIENCE, || barrier.waiting().unwrap() == 2);
    let [living, dead] = &mut children;
    dead.kill();
    barrier.set_parties(2).unwrap();
    assert!(barrier.wait().unwrap().is_leader());
    assert_eq!(living.hear(PATIENCE), "false");
}

#[test]
fn nobody_comes_within_a_transaction() {
    let (_dir, store) = store();
    let barrier = Barrier::new(&store, "loaded", 2).unwrap();
    store
        .transaction(|_tx| {
            assert!(barrier.wait().unwrap_err().is_misuse());
            Ok::<(), Error>(())
        })
        .unwrap();
    assert_eq!(barrier.waiting().unwrap(), 0);
}
