//! What is read again without the database, and what isn't.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "this is how a test fails"
)]

use diskette_index::Index;
use diskette_store::{Error, Store};
use tempfile::TempDir;

/// A store that has been read from so often that it has a memory.
fn store(memory: usize) -> (TempDir, Store, Index<u32, String>) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::options()
        .memory(memory)
        .open(dir.path().join("store"));
    let store = store.unwrap();
    let index = Index::new(&store, "index").unwrap();
    for n in 0..=100 {
        index.insert(&n, &n.to_string()).unwrap();
        index.get(&n).unwrap();
    }
    (dir, store, index)
}

/// How many reads were answered from memory while `work` was done.
fn hits<R>(store: &Store, work: impl FnOnce() -> R) -> (u64, R) {
    let before = store.stats().unwrap().memory_hits;
    let result = work();
    (store.stats().unwrap().memory_hits - before, result)
}

#[test]
fn what_was_read_is_read_again_from_memory_until_something_is_committed() {
    let (_dir, store, index) = store(1 << 20);
    let read = || (index.get(&7).unwrap(), index.contains_key(&7).unwrap());
    let (found, there) = read();
    assert_eq!((found.as_deref(), there), (Some("7"), true));
    assert_eq!(hits(&store, read), (2, (found, there)));

    let others = Index::<u32, String>::new(&store, "others").unwrap();
    others.insert(&7, "another's").unwrap();
    assert_eq!(hits(&store, || index.get(&7).unwrap()).0, 0);
    index.insert(&7, "new").unwrap();
    assert_eq!(index.get(&7).unwrap().as_deref(), Some("new"));
    index.remove(&7).unwrap();
    assert_eq!(index.get(&7).unwrap(), None);
    assert_eq!(others.get(&7).unwrap().as_deref(), Some("another's"));
    let read = || (index.get(&7).unwrap(), others.get(&7).unwrap());
    assert_eq!(
        hits(&store, read),
        (2, (None, Some("another's".to_owned()))),
        "that there is nothing is known, too"
    );
}

#[test]
fn several_keys_are_of_one_moment() {
    let (_dir, store, index) = store(1 << 20);
    let read = || index.get_many([&1, &1000, &2]).unwrap();
    let expected = vec![Some("1".to_owned()), None, Some("2".to_owned())];
    assert_eq!(read(), expected);
    assert_eq!(index.get(&1000).unwrap(), None);
    assert_eq!(hits(&store, read), (3, expected));
    index.extend([(1, "one"), (1000, "thousand")]).unwrap();
    assert_eq!(read()[..2], ["one", "thousand"].map(|v| Some(v.to_owned())));
}

#[test]
fn a_transaction_and_a_snapshot_read_their_own_state() {
    let (_dir, store, index) = store(1 << 20);
    let read = || index.get(&7).unwrap();
    read();
    store
        .transaction(|tx| {
            index.within(tx).insert(&7, "of the transaction")?;
            assert_eq!(
                index.within(tx).get(&7)?.as_deref(),
                Some("of the transaction")
            );
            assert!(index.get(&7).unwrap_err().is_misuse());
            Err::<(), Error>(index.get(&7).unwrap_err())
        })
        .unwrap_err();
    assert_eq!(read().as_deref(), Some("7"));
    store
        .snapshot(|before| {
            assert_eq!(index.within(before).get(&7)?.as_deref(), Some("7"));
            index.insert(&7, "new")?;
            assert_eq!(index.get(&7)?.as_deref(), Some("new"));
            assert_eq!(index.within(before).get(&7)?.as_deref(), Some("7"));
            assert_eq!(index.get(&7)?.as_deref(), Some("new"));
            Ok::<_, Error>(())
        })
        .unwrap();
}

#[test]
fn nothing_is_kept_where_it_is_not_wanted() {
    let (dir, store, index) = store(1 << 20);
    let aside = Index::<u32, String>::new(&store.without_memory(), "index").unwrap();
    let none = Store::options().memory(0).open(dir.path().join("store"));
    let none = Index::<u32, String>::new(&none.unwrap(), "index").unwrap();
    index.get(&7).unwrap();
    for index in [aside, none] {
        assert_eq!(hits(&store, || index.get(&7).unwrap()).0, 0);
    }
    assert_eq!(hits(&store, || index.get(&7).unwrap()).0, 1);
}

#[test]
fn it_takes_no_more_bytes_than_it_may_and_keeps_what_is_used() {
    const MEMORY: usize = 1 << 20;
    let (_dir, store, index) = store(MEMORY);
    let value = |n: u32| format!("{n:01000}");
    index.extend((0..4000).map(|n| (n, value(n)))).unwrap();
    for n in 0..4000 {
        assert_eq!(index.get(&n).unwrap(), Some(value(n)));
        assert_eq!(index.get(&7).unwrap(), Some(value(7)));
    }
    let taken = store.stats().unwrap().memory_bytes;
    assert!(
        (MEMORY as u64 / 4..=MEMORY as u64).contains(&taken),
        "{taken}"
    );
    assert_eq!(hits(&store, || index.get(&7).unwrap()).0, 1);

    let large = "x".repeat(MEMORY / 100);
    index.insert(&1, &large).unwrap();
    index.get(&1).unwrap();
    assert_eq!(hits(&store, || index.get(&1).unwrap()), (0, Some(large)));
    index.insert(&2, &"x".repeat(600_000)).unwrap();
    index.get(&2).unwrap();
    assert_eq!(
        hits(&store, || index.get(&2).unwrap().unwrap().len()),
        (0, 600_000)
    );
}

#[test]
fn a_structure_that_was_removed_is_not_remembered() {
    let (_dir, store, index) = store(1 << 20);
    assert_eq!(index.get(&1000).unwrap(), None);
    assert!(index.get(&7).unwrap().is_some());
    store.remove_structure("index").unwrap();
    assert!(index.get(&7).unwrap_err().is_removed());
    assert!(index.get(&1000).unwrap_err().is_removed());
    assert!(index.get(&1000).unwrap_err().is_removed(), "again");
}
