//! What a process that was killed had.

use std::path::PathBuf;
use std::thread;

use diskette_ipc::Custody;
use diskette_testkit::{Child, PATIENCE, role};

use crate::{asleep, create, held, home, open, owners, soon};

role! {
    /// Holds the structure that its second argument numbers. Another thread holds the one a hundred further on, and waits for
    /// the one that the third numbers, if any.
    fn party(parent) {
        let board = open(&parent.arg::<PathBuf>(0)).unwrap();
        let take = |id| board.slots(id, 1).unwrap().try_take(1).unwrap().unwrap();
        let number: i64 = parent.arg(1);
        let _hold = take(number);
        thread::scope(|scope| {
            let wanted: i64 = parent.arg(2);
            if wanted > 0 {
                asleep(scope, &board.slots(wanted, 1).unwrap(), |wanted| {
                    let _hold = take(number + 100);
                    let _wanted = held(wanted.take(1, soon(), Custody::Thread));
                });
            }
            parent.say("ready");
            parent.hear();
        });
    }
}

#[test]
fn the_killed_hold_nothing() {
    let home = home();
    let board = create(home.path());
    let slots = board.slots(1, 1).unwrap();
    let mut child = Child::spawn(party, &[&home.path().display(), &1, &0]);
    child.hear(PATIENCE);
    let holder = slots.holders().unwrap().remove(0);
    assert_eq!((holder.party.pid, holder.is_alive), (child.id(), true));
    assert!(slots.try_take(1).unwrap().is_none());
    child.kill();
    assert!(!slots.holders().unwrap()[0].is_alive);
    let hold = slots.try_take(1).unwrap().unwrap();
    assert!(hold.tokens().next().unwrap().1 > holder.token);
    drop(hold);

    // Who waits finds it out by itself, or is woken by a burial.
    let dead = owners(home.path());
    let mut child = Child::spawn(party, &[&home.path().display(), &1, &0]);
    child.hear(PATIENCE);
    thread::scope(|scope| {
        let waiter = asleep(scope, &slots, |slots| {
            held(slots.take(1, soon(), Custody::Any)).is_held()
        });
        child.kill();
        for owner in dead.dead().unwrap() {
            board.bury(owner);
        }
        assert!(waiter.join().unwrap());
    });
}

/// Who waited for a thread that waited for one of a process that had just been killed was told of a circle, although
/// it was about to come apart.
#[test]
fn the_dead_close_no_circle() {
    let home = home();
    let board = create(home.path());
    // This thread holds 3. A dead thread holds 102, and waited for 3; a living one holds 101, and waits for 102.
    let _mine = board.slots(3, 1).unwrap().try_take(1).unwrap().unwrap();
    let spawn = |holds: i64, wants: i64| {
        let mut child = Child::spawn(party, &[&home.path().display(), &holds, &wants]);
        child.hear(PATIENCE);
        child
    };
    let mut dead = spawn(2, 3);
    let _living = spawn(1, 102);
    dead.kill();
    let wanted = board.slots(101, 1).unwrap();
    held(wanted.take(1, soon(), Custody::Thread))
        .give_back()
        .unwrap();
}
