//! Iterating while the deque changes, and over what can't be read.

use diskette_deque::Deque;
use diskette_store::Json;

use crate::{numbers, store};

#[test]
fn it_sees_what_was_there_when_it_began_and_still_is() {
    let (_dir, store) = store();
    let deque = numbers(&store, 200);
    let mut iter = deque.iter();
    assert_eq!(iter.next().unwrap().unwrap(), 0);
    deque.push_back(&999).unwrap();
    deque.truncate(150).unwrap();
    let rest: Vec<u32> = iter.map(Result::unwrap).collect();
    assert_eq!(rest, (1..150).collect::<Vec<_>>());
}

#[test]
fn a_deque_extended_by_itself_doubles() {
    let (_dir, store) = store();
    let deque = numbers(&store, 100);
    deque.extend(deque.iter().map(Result::unwrap)).unwrap();
    assert_eq!(deque.len().unwrap(), 200);
    deque.append(&deque).unwrap();
    assert_eq!(deque.len().unwrap(), 200);
}

#[test]
fn it_ends_with_what_it_can_not_read_and_a_pop_leaves_it() {
    let (_dir, store) = store();
    let json = |store| {
        Deque::<String>::options()
            .codec::<Json>()
            .new(store, "texts")
    };
    let words = json(&store).unwrap();
    words.push_back("1").unwrap();
    let options = Deque::<u32>::options().codec::<Json>();
    let numbers = options.new(&store, "texts").unwrap();
    numbers.push_front(&7).unwrap();

    let mut iter = numbers.iter();
    assert_eq!(iter.next().unwrap().unwrap(), 7);
    assert!(iter.next().unwrap().unwrap_err().is_codec());
    assert!(iter.next().is_none());
    assert!(numbers.pop_back().unwrap_err().is_codec());
    assert!(numbers.retain(|_| false).unwrap_err().is_codec());
    assert_eq!(numbers.pop_front().unwrap(), Some(7));
    assert_eq!(words.to_vec().unwrap(), ["1"]);
}
