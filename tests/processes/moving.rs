//! Stores that move between a directory and PostgreSQL.

mod following;
mod house;
mod kills;
mod rounds;

use std::time::Duration;

use diskette::{BoundedSemaphore, Deque, Guard, Index, Lock, Queue, RLock, Store};
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
    /// Holds something of each kind in a store that moves, and says what becomes of it.
    fn resident(parent) {
        let store = Store::open(parent.arg::<String>(0)).unwrap();
        let todo = Deque::<u32>::new(&store, "todo").unwrap();
        let jobs = Queue::<u32>::new(&store, "jobs").unwrap();
        let ages = Index::<u32, u32>::new(&store, "ages").unwrap();
        let lock = Lock::new(&store, "lock").unwrap();
        let rlock = RLock::new(&store, "rlock").unwrap();
        let permits = BoundedSemaphore::new(&store, "permits", 1).unwrap();
        let guard = lock.lock().unwrap();
        let outer = rlock.lock().unwrap();
        let permit = permits.acquire().unwrap();
        let [item, second, third] = [(); 3].map(|()| todo.claim_front(PATIENCE).unwrap().unwrap());
        let job = jobs.claim_timeout(PATIENCE).unwrap().unwrap();
        // So often that it is answered from memory.
        for _ in 0..1000 {
            assert_eq!(ages.get(&1).unwrap(), Some(1));
        }
        parent.say("in");
        parent.hear();
        assert_eq!(ages.get(&1).unwrap(), Some(2));
        parent.say([guard.is_held(), outer.is_held(), permit.is_held()].contains(&true));
        let errors = [
            store.transaction_fenced(&guard, |tx| todo.within(tx).len()).err(),
            store.transaction_fenced(&permit, |tx| todo.within(tx).len()).err(),
            store.transaction(|tx| item.complete(tx)).err(),
            second.complete_now().err(),
            third.release_back().err(),
            job.complete_now().err(),
            permit.release().err(),
        ];
        let refused = errors.iter().flatten().filter(|it| it.is_moved());
        parent.say(format!("{} of {}", refused.count(), errors.len()));
        // The same handles take them anew.
        let [item, second, third] = [(); 3].map(|()| todo.claim_front(PATIENCE).unwrap().unwrap());
        parent.say(format!("{} {} {}", *item, *second, *third));
        let job = jobs.claim_timeout(PATIENCE).unwrap().unwrap();
        let guards = [lock.lock().unwrap(), rlock.lock().unwrap(), rlock.lock().unwrap()];
        let permit = permits.acquire().unwrap();
        parent.say(guards.iter().all(Guard::is_held) && permit.is_held());
        assert!(guards[0].token() > guard.token());
        drop(guard);
        store.transaction_fenced(&guards, |tx| item.complete(tx)).unwrap();
        second.complete_now().unwrap();
        third.complete_now().unwrap();
        job.complete_now().unwrap();
    }
}

#[test]
fn what_is_held_as_a_store_moves_is_refused_and_can_be_taken_anew() {
    let Some(server) = Postgres::shared() else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let store = Store::open(&path).unwrap();
    let todo = Deque::<u32>::new(&store, "todo").unwrap();
    todo.extend([7, 8, 9]).unwrap();
    let jobs = Queue::<u32>::new(&store, "jobs").unwrap();
    jobs.push(&1).unwrap();
    let ages = Index::<u32, u32>::new(&store, "ages").unwrap();
    ages.insert(&1, &1).unwrap();
    let mut child = Child::spawn(resident, &[&path.display()]);
    assert_eq!(child.hear(PATIENCE), "in");
    let moved = store.promote(&server.url(&unique_store()), |_| {}).unwrap();
    let there = Index::<u32, u32>::new(&moved.store, "ages").unwrap();
    there.insert(&1, &2).unwrap();
    child.say("go on");
    assert_eq!(child.hear(PATIENCE), "false");
    assert_eq!(child.hear(PATIENCE), "7 of 7");
    assert_eq!(child.hear(PATIENCE), "7 8 9");
    assert_eq!(child.hear(PATIENCE), "true");
    assert!(child.wait(PATIENCE).success());
    assert!(todo.is_idle().unwrap() && jobs.is_idle().unwrap());
    let read_only = Store::options().read_only(true).open(&path).unwrap();
    let ages = Index::<u32, u32>::find(&read_only, "ages")
        .unwrap()
        .unwrap();
    assert_eq!(ages.get(&1).unwrap(), Some(2));
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
