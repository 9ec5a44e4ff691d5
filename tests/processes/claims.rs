//! Claims of the dead.

use std::time::Duration;

use diskette::{Deque, Error, ErrorKind, Index, Store};
use diskette_ipc::clock;
use diskette_testkit::{Child, PATIENCE, Place, at_best_within, eventually, role};
use serde::{Deserialize, Deserializer, Serialize};

role! {
    fn claimer(parent) {
        let dir: String = parent.arg(0);
        let todo = Deque::<u32>::new(&Store::open(&dir).unwrap(), "todo").unwrap();
        let claims = [todo.claim_front(PATIENCE).unwrap().unwrap(), todo.claim_front(PATIENCE).unwrap().unwrap()];
        parent.say(format!("{} {}", *claims[0], *claims[1]));
        parent.hear();
    }
}

/// Who reads the second dies of it.
#[derive(Serialize)]
struct Deadly(u32);

impl<'de> Deserialize<'de> for Deadly {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u32::deserialize(deserializer)? {
            2 => std::process::abort(),
            number => Ok(Deadly(number)),
        }
    }
}

role! {
    fn popper(parent) {
        let todo = Deque::<Deadly>::new(&Store::open(parent.arg::<String>(0)).unwrap(), "todo").unwrap();
        while let Some(Deadly(number)) = todo.pop_front().unwrap() {
            parent.say(number);
        }
    }
}

/// A pop on PostgreSQL once took the item before it was known whether it can be read, and put it back then: who was killed between the
/// two lost it.
#[test]
fn an_item_stays_when_its_reader_dies() {
    let place = Place::new();
    let todo = Deque::<u32>::new(&Store::open(place.path()).unwrap(), "todo").unwrap();
    todo.extend([1, 2, 3]).unwrap();
    let mut child = Child::spawn(popper, &[&place.path().display()]);
    assert_eq!(child.hear(PATIENCE), "1");
    assert!(!child.wait(PATIENCE).success());
    assert_eq!(todo.to_vec().unwrap(), [2, 3]);
}

#[test]
fn claims_of_a_killed_process_are_back_in_their_places_at_once() {
    let place = Place::new();
    let path = place.path().to_owned();
    let todo = Deque::<u32>::new(&Store::open(&path).unwrap(), "todo").unwrap();
    at_best_within(Duration::from_millis(100), || {
        todo.clear().unwrap();
        todo.extend([1, 2]).unwrap();
        let mut child = Child::spawn(claimer, &[&path.display()]);
        assert_eq!(child.hear(PATIENCE), "1 2");
        assert_eq!((todo.len().unwrap(), todo.claimed().unwrap()), (0, 2));
        assert!(!todo.is_idle().unwrap());
        let killed = clock::now();
        child.kill();
        let back = todo.claim_front(PATIENCE).unwrap().unwrap();
        let time = killed.elapsed();
        assert_eq!((*back, todo.pop_front().unwrap()), (1, Some(2)));
        back.complete_now().unwrap();
        assert!(todo.is_idle().unwrap());
        time
    });
}

#[test]
fn claims_that_nobody_was_there_to_give_back_are_back_when_the_store_is_opened() {
    let place = Place::new();
    let path = place.path().to_owned();
    Deque::<u32>::new(&Store::open(&path).unwrap(), "todo")
        .unwrap()
        .extend([1, 2, 3])
        .unwrap();
    let mut child = Child::spawn(claimer, &[&path.display()]);
    assert_eq!(child.hear(PATIENCE), "1 2");
    child.kill();
    let todo = Deque::<u32>::new(&Store::open(&path).unwrap(), "todo").unwrap();
    assert_eq!(
        todo.iter().collect::<Result<Vec<_>, _>>().unwrap(),
        [1, 2, 3]
    );
    assert_eq!(todo.claimed().unwrap(), 0);
}

role! {
    /// Dies of each item that it gets but the good one, which it completes.
    fn victim(parent) {
        let dir: String = parent.arg(0);
        let todo = Deque::<u32>::new(&Store::open(&dir).unwrap(), "todo").unwrap();
        let claim = todo.claim_front(PATIENCE).unwrap().unwrap();
        parent.say(format!("{} {}", *claim, claim.deliveries()));
        if *claim == 7 {
            std::process::abort();
        }
        claim.complete_now().unwrap();
        parent.say("done");
    }
}

/// Five workers in a row died of the first item, which was back at the front at once, and nothing behind it ever ran.
#[test]
fn an_item_that_kills_its_workers_is_counted_and_let_others_pass() {
    let place = Place::new();
    let path = place.path().to_owned();
    let store = Store::open(&path).unwrap();
    let todo = Deque::<u32>::new(&store, "todo").unwrap();
    todo.extend([7, 8, 9]).unwrap();
    for time in 1..=3 {
        let mut child = Child::spawn(victim, &[&path.display()]);
        assert_eq!(child.hear(PATIENCE), format!("7 {time}"));
        // The news of its death may take a moment.
        eventually(PATIENCE, || todo.claimed().unwrap() == 0);
    }
    let claim = todo.claim_front(PATIENCE).unwrap().unwrap();
    assert_eq!((*claim, claim.deliveries()), (7, 4));
    claim.release_back().unwrap();
    let mut child = Child::spawn(victim, &[&path.display()]);
    assert_eq!(child.hear(PATIENCE), "8 1");
    assert_eq!(child.hear(PATIENCE), "done");
    assert_eq!(todo.to_vec().unwrap(), [9, 7]);

    // In a transaction, as something else, or not at all.
    let claim = todo.claim_back(PATIENCE).unwrap().unwrap();
    let undone = store.transaction(|tx| {
        claim.requeue(tx, &70)?;
        Err::<(), Error>(Error::new(ErrorKind::Full, "not now"))
    });
    assert!(undone.is_err());
    assert_eq!(todo.to_vec().unwrap(), [9, 7]);
    let claim = todo.claim_back(PATIENCE).unwrap().unwrap();
    assert_eq!((*claim, claim.deliveries()), (7, 6));
    store.transaction(|tx| claim.requeue(tx, &70)).unwrap();
    let claim = todo.claim_back(PATIENCE).unwrap().unwrap();
    assert_eq!((*claim, claim.deliveries()), (70, 7));
}

/// Nobody could tell who held an item and since when, and a worker that hung kept it until it was killed.
#[test]
fn claims_can_be_listed_and_taken_away() {
    let place = Place::new();
    let path = place.path().to_owned();
    let todo = Deque::<u32>::new(&Store::open(&path).unwrap(), "todo").unwrap();
    todo.extend([1, 2, 3]).unwrap();
    let mut child = Child::spawn(claimer, &[&path.display()]);
    assert_eq!(child.hear(PATIENCE), "1 2");
    let mine = todo.claim_front(PATIENCE).unwrap().unwrap();
    let claims = todo.claims().unwrap();
    let pids = claims.iter().map(|claim| claim.party.as_ref().unwrap().pid);
    let (me, it) = (std::process::id(), child.id());
    assert_eq!(pids.collect::<Vec<_>>(), [it, it, me]);
    assert!(todo.take_away(&claims[0]).unwrap());
    assert!(todo.take_away(&claims[2]).unwrap());
    assert!(!todo.take_away(&claims[0]).unwrap());
    assert!(mine.complete_now().unwrap_err().is_misuse());
    assert_eq!(todo.to_vec().unwrap(), [1, 3]);
    assert_eq!(todo.claimed().unwrap(), 1);
}

/// An item of a newer or an older program made every pop and claim fail for ever, and only `clear` helped.
#[test]
fn what_can_not_be_read_is_named_and_set_aside() {
    let place = Place::new();
    let store = Store::open(place.path()).unwrap();
    let strings = Deque::<String>::new(&store, "todo").unwrap();
    let todo = Deque::<u32>::new(&store, "todo").unwrap();
    strings.push_back("not a number").unwrap();
    strings.push_back(&"x".repeat(600_000)).unwrap();
    todo.push_back(&7).unwrap();
    for error in [
        todo.pop_front().unwrap_err(),
        todo.try_claim_front().unwrap_err(),
        todo.claim_front(Duration::ZERO).unwrap_err(),
    ] {
        let said = error.to_string();
        assert!(error.is_codec(), "{said}");
        for part in ["todo", "first item", "take_unreadable_front"] {
            assert!(said.contains(part), "{said}");
        }
    }
    let lengths: Vec<_> = std::iter::from_fn(|| todo.take_unreadable_front().unwrap())
        .map(|item| item.bytes.len())
        .collect();
    assert_eq!(lengths, [13, 600_005]);
    assert_eq!(todo.pop_front().unwrap(), Some(7));
    assert_eq!(store.check().unwrap().problems, []);

    let index = Index::<u8, String>::new(&store, "index").unwrap();
    index.insert(&1, "text").unwrap();
    let numbers = Index::<u8, u32>::new(&store, "index").unwrap();
    numbers.insert(&2, &2).unwrap();
    assert_eq!(numbers.unreadable_keys().unwrap(), [1]);
    assert!(numbers.delete(&1).unwrap());
    assert!(numbers.unreadable_keys().unwrap().is_empty());
}
