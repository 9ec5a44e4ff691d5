//! Stores that move between a directory and PostgreSQL.

mod house;
mod kills;

use std::time::Duration;

use diskette::{Deque, Index, Lock, Store};
use diskette_testkit::{Child, PATIENCE, Postgres, role, unique_store};

use house::House;

#[test]
fn a_backup_of_a_store_in_a_database_is_a_directory_with_all_of_it() {
    let Some(server) = Postgres::shared() else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let from = Store::open(server.url(&unique_store())).unwrap();
    let house = House::build(&from);
    from.backup(dir.path().join("home")).unwrap();
    let seen = house.leave();

    let home = Store::open(dir.path().join("home")).unwrap();
    assert_eq!(home.check().unwrap().problems, []);
    assert_eq!(house::inventory(&home), seen);
    house::live_in(&home);
    let again = from.backup(dir.path().join("home")).unwrap_err();
    assert!(again.is_invalid_input(), "{again}");
}

#[test]
fn a_copy_of_one_state_is_made_while_others_write() {
    let Some(server) = Postgres::shared() else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let url = server.url(&unique_store());
    let store = Store::open(&url).unwrap();
    let left = Deque::<u64>::new(&store, "left").unwrap();
    Index::<u64, u64>::new(&store, "right").unwrap();
    left.extend(0..2000).unwrap();
    let mut writer = Child::spawn(carrier, &[&url]);
    for n in 0..3 {
        assert_eq!(writer.hear(PATIENCE), "carried");
        let home = dir.path().join(n.to_string());
        store.backup(&home).unwrap();
        let home = Store::open(home).unwrap();
        let left = Deque::<u64>::new(&home, "left").unwrap();
        let right = Index::<u64, u64>::new(&home, "right").unwrap();
        let mut both = left.to_vec().unwrap();
        both.extend(right.keys().map(Result::unwrap));
        both.sort_unstable();
        assert_eq!(both, (0..2000).collect::<Vec<_>>());
    }
}

role! {
    /// Carries numbers from one structure to the other, one at a time.
    fn carrier(parent) {
        let store = Store::open(parent.arg::<String>(0)).unwrap();
        let left = Deque::<u64>::new(&store, "left").unwrap();
        let right = Index::<u64, u64>::new(&store, "right").unwrap();
        for n in 0..2000 {
            let carried = store.transaction(|tx| {
                let number = left.within(tx).pop_front()?.unwrap();
                right.within(tx).insert(&number, &number)
            });
            carried.unwrap();
            if n % 100 == 0 {
                parent.say("carried");
            }
        }
    }
}

#[test]
fn a_store_that_has_moved_is_all_in_the_database_and_its_directory_leads_there() {
    let Some(server) = Postgres::shared() else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let url = server.url(&unique_store());
    let here = Store::open(&path).unwrap();
    let house = House::build(&here);
    let mut told = Vec::new();
    let moved = here.promote(&url, |it| told.push(it.clone())).unwrap();
    assert!(moved.pause > Duration::ZERO);
    let last = told.last().unwrap();
    assert_eq!((moved.rows, moved.bytes), (last.rows, last.bytes));
    assert_eq!((last.rows, last.bytes), (last.all_rows, last.all_bytes));
    drop(moved.store);

    let again = here.promote(&url, |_| {}).unwrap_err();
    assert!(again.is_moved(), "{again}");
    let seen = house.leave();
    let there = Store::open(&path).unwrap();
    assert!(there.path().to_str().unwrap().starts_with("postgres://"));
    assert_eq!(house::inventory(&there), seen);
    assert_eq!(house::inventory(&Store::open(&url).unwrap()), seen);
    house::live_in(&there);

    // And home again.
    let seen = house::inventory(&there);
    there.backup(dir.path().join("home")).unwrap();
    let home = Store::open(dir.path().join("home")).unwrap();
    assert_eq!(home.check().unwrap().problems, []);
    assert_eq!(house::inventory(&home), seen);
}

role! {
    /// Has a store open that moves, and says what becomes of what it has.
    fn resident(parent) {
        let store = Store::open(parent.arg::<String>(0)).unwrap();
        let todo = Deque::<u32>::new(&store, "todo").unwrap();
        let ages = Index::<u32, u32>::new(&store, "ages").unwrap();
        let empty = Deque::<u32>::new(&store, "empty").unwrap();
        let lock = Lock::new(&store, "lock").unwrap();
        let guard = lock.lock().unwrap();
        let claim = todo.claim_front(PATIENCE).unwrap().unwrap();
        // So often that it is answered from memory.
        for _ in 0..1000 {
            assert_eq!(ages.get(&1).unwrap(), Some(1));
        }
        let waiting = std::thread::spawn(move || empty.pop_front_timeout(PATIENCE * 10));
        parent.say("in");
        parent.hear();
        parent.say(waiting.join().unwrap().unwrap_err().is_moved());
        let errors = [
            ages.get(&1).err(),
            ages.insert(&2, &2).err(),
            todo.push_back(&2).err(),
            todo.iter().next().and_then(Result::err),
            claim.complete_now().err(),
            store.transaction(|tx| todo.within(tx).len()).err(),
            store.transaction_fenced(&guard, |tx| todo.within(tx).len()).err(),
            lock.try_lock().err(),
            Deque::<u32>::new(&store, "todo").err(),
            Deque::<u32>::new(&store, "another").err(),
            store.remove_structure("todo").err(),
            store.stats().err(),
        ];
        let refused = errors.iter().flatten().filter(|it| it.is_moved() || it.is_overtaken());
        parent.say(format!("{} of {}", refused.count(), errors.len()));
        parent.say(guard.is_held());
        drop(guard);
        let store = Store::open(parent.arg::<String>(0)).unwrap();
        let todo = Deque::<u32>::new(&store, "todo").unwrap();
        let claim = todo.claim_front(PATIENCE).unwrap().unwrap();
        parent.say(*claim);
        claim.complete_now().unwrap();
        parent.say(Lock::new(&store, "lock").unwrap().lock_timeout(PATIENCE).unwrap().is_some());
    }
}

#[test]
fn who_has_a_store_open_that_moves_is_told_where_to_and_loses_nothing() {
    let Some(server) = Postgres::shared() else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let store = Store::open(&path).unwrap();
    let todo = Deque::<u32>::new(&store, "todo").unwrap();
    todo.push_back(&7).unwrap();
    let ages = Index::<u32, u32>::new(&store, "ages").unwrap();
    ages.insert(&1, &1).unwrap();
    let mut child = Child::spawn(resident, &[&path.display()]);
    assert_eq!(child.hear(PATIENCE), "in");
    let moved = store.promote(&server.url(&unique_store()), |_| {}).unwrap();
    let error = todo.push_back(&8).unwrap_err();
    assert!(error.is_moved(), "{error}");
    assert!(error.to_string().contains("postgres://"), "{error}");
    child.say("go on");
    assert_eq!(child.hear(PATIENCE), "true");
    assert_eq!(child.hear(PATIENCE), "12 of 12");
    assert_eq!(child.hear(PATIENCE), "false");
    assert_eq!(child.hear(PATIENCE), "7");
    assert_eq!(child.hear(PATIENCE), "true");
    let todo = Deque::<u32>::new(&moved.store, "todo").unwrap();
    assert!(todo.is_empty().unwrap());
    let read_only = Store::options().read_only(true).open(&path).unwrap();
    let ages = Index::<u32, u32>::find(&read_only, "ages")
        .unwrap()
        .unwrap();
    assert_eq!(ages.get(&1).unwrap(), Some(1));
}

#[test]
fn what_cant_move_stays_and_a_store_at_the_new_place_is_left_alone() {
    let Some(server) = Postgres::shared() else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("store")).unwrap();
    let pages = Index::<String, u32>::new(&store, "pages").unwrap();
    pages.insert("a", &1).unwrap();

    let taken = server.url(&unique_store());
    let other = Store::open(&taken).unwrap();
    Deque::<u32>::new(&other, "todo")
        .unwrap()
        .push_back(&1)
        .unwrap();
    let error = store.promote(&taken, |_| {}).unwrap_err();
    assert!(error.is_invalid_input(), "{error}");
    assert!(error.to_string().contains("already"), "{error}");
    assert_eq!(Deque::<u32>::new(&other, "todo").unwrap().len().unwrap(), 1);

    // PostgreSQL compresses what it indexes: so one that can't be.
    let long: String = (0..4000_u32)
        .map(|n| char::from(b'!' + (n * n % 7919 % 90) as u8))
        .collect();
    pages.insert(&long, &2).unwrap();
    let free = server.url(&unique_store());
    let error = store.promote(&free, |_| {}).unwrap_err();
    assert!(error.is_invalid_input(), "{error}");
    pages.remove(&long).unwrap();
    store.promote(&free, |_| {}).unwrap();
}
