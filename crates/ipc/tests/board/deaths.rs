//! What a process that was killed had.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use diskette_ipc::{Board, Custody, Owners};
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

/// Each thread has a seat at each board that it has open, and keeps it for as long.
fn sit_down(home: &Path, owners: &Arc<Owners>) -> io::Result<Arc<Board>> {
    let board = Board::open(&home.join("board"), home.join("seats"), Arc::clone(owners));
    let board = Arc::new(board?.unwrap());
    drop(board.slots(1, 1)?.try_take(1)?);
    Ok(board)
}

role! {
    /// Takes a third of almost all seats.
    fn crowd(parent) {
        let home: PathBuf = parent.arg(0);
        let owners = owners(&home);
        let _seated: Vec<_> = (0..800).map(|_| sit_down(&home, &owners).unwrap()).collect();
        parent.say("seated");
        parent.hear();
    }
}

#[test]
fn seats_are_not_without_number_but_the_killed_leave_theirs() {
    let home = home();
    let _board = create(home.path());
    let mut crowds = [(); 5].map(|()| Child::spawn(crowd, &[&home.path().display()]));
    for child in &mut crowds {
        assert_eq!(child.hear(PATIENCE), "seated");
    }
    let owners = owners(home.path());
    let mut seated = Vec::new();
    let refused = loop {
        match sit_down(home.path(), &owners) {
            Ok(board) => seated.push(board),
            Err(error) => break error,
        }
    };
    assert_eq!(refused.kind(), ErrorKind::Other, "{refused}");
    assert_eq!(seated.len(), 4096 - 5 * 800);
    crowds[0].kill();
    seated.push(sit_down(home.path(), &owners).unwrap());
}
