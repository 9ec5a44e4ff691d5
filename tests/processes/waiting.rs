//! Waiting costs nothing, and ends when there is something.

use std::time::Duration;

use diskette::{Deque, Store, deque::WhenFull};
use diskette_testkit::{Child, PATIENCE, Place, assert_rest, eventually, role};

role! {
    fn waiter(parent) {
        let dir: String = parent.arg(0);
        let todo = Deque::<u32>::new(&Store::open(&dir).unwrap(), "todo").unwrap();
        parent.say("ready");
        while let Some(item) = todo.pop_front_timeout(PATIENCE).unwrap() {
            parent.say(item);
        }
    }
}

role! {
    /// Pushes into a full deque that makes it wait.
    fn filler(parent) {
        let dir: String = parent.arg(0);
        let full = Deque::<u32>::new(&Store::open(&dir).unwrap(), "full").unwrap();
        parent.say("ready");
        full.push_back_timeout(&3, PATIENCE).unwrap();
        parent.say("pushed");
        parent.hear();
    }
}

#[test]
fn a_waiting_pop_sleeps_and_is_woken_by_another_process() {
    let place = Place::new();
    let path = place.path().to_owned();
    let todo = Deque::<u32>::new(&Store::open(&path).unwrap(), "todo").unwrap();
    let mut child = Child::spawn(waiter, &[&path.display()]);
    assert_eq!(child.hear(PATIENCE), "ready");
    for item in 0..20 {
        todo.push_back(&item).unwrap();
        assert_eq!(child.hear(PATIENCE), item.to_string());
    }
    assert_rest(&[child.id()], || {
        let second = Duration::from_secs(1);
        assert_eq!(todo.pop_back_timeout(second).unwrap(), None);
    });
}

#[test]
fn a_push_into_a_full_deque_waits_for_another_process_to_pop() {
    let place = Place::new();
    let path = place.path().to_owned();
    let store = Store::open(&path).unwrap();
    let full = Deque::<u32>::options()
        .max_len(2)
        .when_full(WhenFull::Wait)
        .new(&store, "full")
        .unwrap();
    full.extend([1, 2]).unwrap();
    let mut child = Child::spawn(filler, &[&path.display()]);
    assert_eq!(child.hear(PATIENCE), "ready");
    assert_eq!(child.heard(), None);
    assert_eq!(full.pop_front().unwrap(), Some(1));
    assert_eq!(child.hear(PATIENCE), "pushed");
    eventually(PATIENCE, || full.len().unwrap() == 2);
    assert_eq!(full.iter().map(Result::unwrap).collect::<Vec<_>>(), [2, 3]);
}
