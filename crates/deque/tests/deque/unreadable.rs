//! Items that can't be read, and those who pop them.

use std::panic::{AssertUnwindSafe, catch_unwind};

use diskette_deque::Deque;
use serde::{Deserialize, Deserializer, Serialize};

use crate::store;

/// What panics when it is read, if it is 13.
#[derive(Debug, PartialEq, Serialize)]
struct Wary(u32);

impl<'de> Deserialize<'de> for Wary {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = u32::deserialize(deserializer)?;
        assert_ne!(number, 13);
        Ok(Wary(number))
    }
}

/// On PostgreSQL a pop once took the item before it was known whether it can be read, and put it back then.
#[test]
fn one_that_comes_after_readable_ones_stays_where_it_is() {
    let (_dir, store) = store();
    let words = Deque::<String>::new(&store, "items").unwrap();
    let numbers = Deque::<u32>::new(&store, "items").unwrap();
    numbers.extend(1..=2).unwrap();
    words.push_back("three").unwrap();
    numbers.extend(4..=6).unwrap();
    assert_eq!(numbers.pop_front().unwrap(), Some(1));
    assert_eq!(numbers.pop_front().unwrap(), Some(2));
    for _ in 0..2 {
        assert!(numbers.pop_front().unwrap_err().is_codec());
        assert_eq!(numbers.len().unwrap(), 4);
    }
    assert_eq!(numbers.pop_back().unwrap(), Some(6));
    assert_eq!(numbers.pop_back().unwrap(), Some(5));
    assert_eq!(numbers.pop_back().unwrap(), Some(4));
    assert!(numbers.pop_back().unwrap_err().is_codec());
    assert_eq!(words.pop_front().unwrap().as_deref(), Some("three"));
    assert_eq!(numbers.pop_front().unwrap(), None);
}

#[test]
fn one_whose_reading_panics_stays_where_it_is() {
    let (_dir, store) = store();
    let numbers = Deque::<u32>::new(&store, "items").unwrap();
    numbers.extend([1, 2, 13, 4]).unwrap();
    let items = Deque::<Wary>::new(&store, "items").unwrap();
    assert_eq!(items.pop_front().unwrap(), Some(Wary(1)));
    assert_eq!(items.pop_front().unwrap(), Some(Wary(2)));
    assert!(catch_unwind(AssertUnwindSafe(|| items.pop_front())).is_err());
    assert_eq!(numbers.to_vec().unwrap(), [13, 4]);
}
