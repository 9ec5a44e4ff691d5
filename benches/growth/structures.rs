//! A store with ever more structures.

use diskette::{Deque, Store};
use diskette_benches::scaled;

use crate::{Growth, Reach, directory, median, openings, spread};

const CALLS: usize = scaled(2000, 10);

pub(crate) fn measure(reach: Reach) -> Growth {
    let directory = directory();
    let path = directory.path().join("store");
    let sizes: Vec<_> = (0..=reach.structures).map(|n| 10_u64.pow(n)).collect();
    let mut growth = Growth::new(
        "microseconds of a call, medians",
        "deques in the store",
        sizes.clone(),
    );
    let name = |n: u64| format!("deque {n}");
    let mut before = 0;
    for size in sizes {
        let store = Store::open(&path).expect("a store");
        let open = |n| Deque::<u64>::new(&store, &name(n)).expect("a deque");
        let deques: Vec<_> = (0..size).map(open).collect();
        let new = size - before;
        before = size;
        assert!(
            deques[(size - new) as usize..]
                .iter()
                .all(|new| new.is_empty().unwrap())
        );
        let any = |n| &deques[spread(n, size) as usize];
        growth.add(
            "Deque::push_back, any",
            median(CALLS, |n| any(n).push_back(&7).unwrap()),
        );
        let pop = |n| assert!(any(n).pop_front().unwrap().is_some());
        growth.add("Deque::pop_front, any", median(CALLS, pop));
        growth.add(
            "Deque::new, of one that is there",
            median(CALLS, |n| drop(open(spread(n, size)))),
        );
        drop((deques, store));
        let [opened, found] = openings::medians(&path, &name(size / 2));
        growth.add("Store::open, in a new process", opened);
        growth.add("and Deque::new, of one there", found);
    }
    growth
}
