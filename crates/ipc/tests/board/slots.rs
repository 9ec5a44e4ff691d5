//! Taking, giving back, and waiting.

use std::io::ErrorKind;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use diskette_ipc::{Custody, Deadline, Hold, Lost, Slots, Taken, clock};

use crate::{asleep, create, held, home, open, soon};

#[test]
fn slots_are_taken_all_or_none_and_given_back() {
    let home = home();
    let board = create(home.path());
    let slots = board.slots(7, 3).unwrap();
    let two = slots.try_take(2).unwrap().unwrap();
    assert!(slots.try_take(2).unwrap().is_none());
    assert_eq!((slots.limit().unwrap(), slots.free().unwrap()), (3, 1));
    let one = slots.try_take(1).unwrap().unwrap();
    assert_eq!(slots.free().unwrap(), 0);

    let mut permits: Vec<_> = slots
        .holders()
        .unwrap()
        .iter()
        .map(|it| it.permits)
        .collect();
    permits.sort_unstable();
    assert_eq!(permits, [1, 2]);
    let holders = slots.holders().unwrap();
    assert!(holders.iter().all(|holder| holder.is_alive));
    assert!(
        holders
            .iter()
            .all(|holder| holder.party.pid == std::process::id())
    );

    let before: Vec<_> = two.tokens().chain(one.tokens()).collect();
    two.give_back().unwrap();
    drop(one);
    assert!(slots.holders().unwrap().is_empty());
    let all = slots.try_take(3).unwrap().unwrap();
    let after: Vec<_> = all.tokens().collect();
    for (slot, token) in before {
        let later = after.iter().find(|(other, _)| *other == slot).unwrap().1;
        assert!(later > token && token >> 40 == board.era());
    }
    // Another structure has slots of its own, and the same number means the same slots.
    assert!(board.slots(8, 1).unwrap().try_take(1).unwrap().is_some());
    assert_eq!(board.slots(7, 99).unwrap().free().unwrap(), 0);
}

#[test]
fn a_board_grows_and_all_who_have_it_see_the_same() {
    let home = home();
    let (one, other) = (create(home.path()), open(home.path()).unwrap());
    let many: Vec<Slots> = (1..=2500).map(|id| one.slots(id, 1).unwrap()).collect();
    let wide = one.slots(9000, 4).unwrap();
    let seen_before = other.slots(9000, 1).unwrap();
    wide.set_limit(5000).unwrap();
    let all = wide.try_take(5000).unwrap().unwrap();
    let holds: Vec<Hold> = many
        .iter()
        .map(|slots| slots.try_take(1).unwrap().unwrap())
        .collect();

    assert!(seen_before.try_take(1).unwrap().is_none());
    assert_eq!(
        (seen_before.limit().unwrap(), seen_before.free().unwrap()),
        (5000, 0)
    );
    for id in [1, 1200, 2500] {
        let slots = other.slots(id, 7).unwrap();
        assert_eq!(
            (slots.limit().unwrap(), slots.holders().unwrap().len()),
            (1, 1)
        );
    }
    drop((all, holds));
    assert_eq!(seen_before.free().unwrap(), 5000);
    for id in 1..=2500 {
        assert_eq!(other.slots(id, 1).unwrap().free().unwrap(), 1);
    }
    let full = |error: std::io::Error| assert_eq!(error.kind(), ErrorKind::Other);
    full(one.slots(9001, u32::MAX).unwrap_err());
    full(wide.set_limit(u32::MAX).unwrap_err());
    assert_eq!(wide.limit().unwrap(), 5000);
}

/// With three held, the limit lowered to one and one of them given back, another could take that one. Then who waited for it
/// took what was free beyond the limit, gave it back and rang itself, for ever.
#[test]
fn a_lower_limit_takes_effect_as_slots_come_back() {
    let home = home();
    let slots = create(home.path()).slots(1, 3).unwrap();
    let mut holds: Vec<Hold> = (0..3)
        .map(|_| slots.try_take(1).unwrap().unwrap())
        .collect();
    slots.set_limit(1).unwrap();
    while !holds.is_empty() {
        assert!(slots.try_take(1).unwrap().is_none());
        assert_eq!(slots.free().unwrap(), 0);
        assert_eq!(slots.holders().unwrap().len(), holds.len());
        holds.remove(0).give_back().unwrap();
    }
    assert_eq!(slots.free().unwrap(), 1);
    let one = slots.try_take(1).unwrap().unwrap();
    assert!(slots.try_take(1).unwrap().is_none());
    thread::scope(|scope| {
        scope.spawn(|| {
            let timeout = Deadline::after(Duration::from_millis(5));
            let taken = slots.take(1, timeout, Custody::Any).unwrap();
            assert!(matches!(taken, Taken::TimedOut));
        });
    });

    // Who waits meanwhile is let in by a higher limit, and who waits for more than a lower one is told.
    thread::scope(|scope| {
        let wait = |n| move |slots: &Slots| slots.take(n, soon(), Custody::Any);
        let waits = asleep(scope, &slots, wait(1));
        slots.set_limit(2).unwrap();
        let two = held(waits.join().unwrap());
        let waits = asleep(scope, &slots, wait(2));
        slots.set_limit(1).unwrap();
        assert!(matches!(waits.join().unwrap().unwrap(), Taken::TooMany));
        assert!(two.is_held());
    });
    assert!(one.is_held());
}

#[test]
fn who_waits_is_served_in_the_order_of_arrival() {
    let home = home();
    let slots = create(home.path()).slots(1, 1).unwrap();
    let in_order = || {
        let served = Mutex::new(Vec::new());
        let first = slots.try_take(1).unwrap().unwrap();
        thread::scope(|scope| {
            for i in 0..6 {
                let served = &served;
                asleep(scope, &slots, move |slots| {
                    let _hold = held(slots.take(1, soon(), Custody::Any));
                    served.lock().unwrap().push(i);
                    clock::sleep(2 * Slots::TURN); // longer than it is open to all
                });
            }
            first.give_back().unwrap();
        });
        served.into_inner().unwrap() == (0..6).collect::<Vec<_>>()
    };
    // Who isn't scheduled for a tenth of a second loses its place: that may be, but not every time.
    assert!((0..20).any(|_| in_order()));
}

#[test]
fn a_wait_ends_in_time_and_leaves_no_trace() {
    let home = home();
    let slots = create(home.path()).slots(1, 1).unwrap();
    let hold = slots.try_take(1).unwrap().unwrap();
    thread::scope(|scope| {
        let waits = |timeout| slots.take(1, Deadline::after(timeout), Custody::Any);
        scope.spawn(move || {
            let begun = clock::now();
            for timeout in [Duration::ZERO, Duration::from_millis(20)] {
                assert!(matches!(waits(timeout).unwrap(), Taken::TimedOut));
            }
            assert!(begun.elapsed() >= Duration::from_millis(20));
        });
    });
    drop(hold);
    drop(slots.try_take(1).unwrap().unwrap());
}

#[test]
fn a_thread_leaves_its_seat_when_it_ends() {
    let home = home();
    let slots = create(home.path()).slots(1, 1).unwrap();
    for _ in 0..5000 {
        let slots = slots.clone();
        let thread = thread::spawn(move || {
            slots.try_take(1).unwrap().unwrap().give_back().unwrap();
        });
        thread.join().unwrap();
    }
    // What outlives its thread is still held.
    let taker = slots.clone();
    let hold = thread::spawn(move || taker.try_take(1).unwrap().unwrap());
    let hold = hold.join().unwrap();
    assert!(hold.is_held() && slots.try_take(1).unwrap().is_none());
    hold.give_back().unwrap();
    assert!(slots.try_take(1).unwrap().is_some());
}

/// The room of what was removed had the number of the writers' gate, so that the next lock was made in the gate's room: who held
/// it kept everybody from writing.
#[test]
fn the_room_of_a_removed_structure_is_its_own() {
    let home = home();
    let board = create(home.path());
    let gate = board.slots(-1, 1).unwrap();
    let inside = gate.try_take(1).unwrap().unwrap();
    board.slots(1, 1).unwrap();
    board.remove(1).unwrap();
    let lock = board.slots(2, 1).unwrap();
    let held = lock.try_take(1).unwrap().unwrap();
    inside.give_back().unwrap();
    let inside = open(home.path()).unwrap().slots(-1, 1).unwrap();
    assert!(inside.try_take(1).unwrap().is_some());
    assert!(held.is_held());
}

/// A guard of a lock that was removed, dropped late, gave back what its thread held in the same room by then.
#[test]
fn what_was_held_of_a_removed_structure_gives_nothing_back_of_the_next_in_its_room() {
    let home = home();
    let board = create(home.path());
    let old = board.slots(1, 2).unwrap().try_take(2).unwrap().unwrap();
    board.remove(1).unwrap();
    assert!(!old.is_held());
    let next = board.slots(2, 2).unwrap();
    let held = next.try_take(2).unwrap().unwrap();
    assert!(!old.is_held());
    assert_eq!(old.give_back(), Err(Lost));
    assert!(held.is_held());
    assert_eq!(next.free().unwrap(), 0);
}

/// The second board of a process has the same owner as the first, which freed all that owner's seats when it was dropped:
/// a store that was opened anew while the last handle to it went away lost its locks.
#[test]
fn a_board_that_is_dropped_frees_only_its_own_seats() {
    let home = home();
    let (one, other) = (create(home.path()), open(home.path()).unwrap());
    let first = one.slots(1, 1).unwrap().try_take(1).unwrap().unwrap();
    let slots = other.slots(2, 1).unwrap();
    let second = slots.try_take(1).unwrap().unwrap();
    drop((first, one));
    assert!(second.is_held());
    assert_eq!(slots.holders().unwrap().len(), 1);
    second.give_back().unwrap();

    // And those it does free, as for a thread that lives on.
    let (one, slots) = (open(home.path()).unwrap(), other.slots(3, 1).unwrap());
    std::mem::forget(one.slots(3, 1).unwrap().try_take(1).unwrap());
    assert!(slots.try_take(1).unwrap().is_none());
}
