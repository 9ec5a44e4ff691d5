//! Files that are removed, cut short or forbidden.

use std::fs::{self, OpenOptions, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::thread;

use diskette_lock::{Lock, RLock, RwLock};
use diskette_store::Store;

use crate::{LONG, elsewhere, in_directory};

/// What may happen to a board.
type Damage = fn(&Store);

fn remove(store: &Store) {
    fs::remove_file(store.path().join("board")).unwrap();
}

fn cut(store: &Store) {
    let board = OpenOptions::new()
        .write(true)
        .open(store.path().join("board"));
    board.unwrap().set_len(0).unwrap();
}

#[test]
fn a_lock_whose_board_is_removed_or_cut_short_is_lost_and_can_be_made_anew() {
    for damage in [remove as Damage, cut] {
        let (_dir, store) = in_directory();
        let lock = Lock::new(&store, "lock").unwrap();
        let rw_lock = RwLock::new(&store, "rw").unwrap();
        let (guard, reader) = (lock.lock().unwrap(), rw_lock.read().unwrap());
        let token = guard.token();
        damage(&store);

        assert!(!guard.is_held() && !reader.is_held());
        assert_eq!(guard.token(), token);
        assert!(format!("{guard:?}").contains("lock"));
        drop(reader);
        let error = guard.release().unwrap_err();
        assert!(error.is_overtaken(), "{error}");

        for refused in [
            lock.try_lock(),
            lock.lock().map(Some),
            lock.lock_timeout(LONG),
        ] {
            let error = refused.unwrap_err();
            assert!(
                error.is_removed() && error.to_string().contains("board"),
                "{error}"
            );
        }
        elsewhere(|| assert!(rw_lock.try_write().unwrap_err().is_removed()));
        assert!(lock.holder().unwrap_err().is_removed());
        assert!(rw_lock.holders().unwrap_err().is_removed());
        assert!(RLock::new(&store, "another").unwrap_err().is_removed());

        // The way out that the message names.
        let path = store.path().to_owned();
        drop((lock, rw_lock, store));
        let lock = Lock::new(&Store::open(path).unwrap(), "lock").unwrap();
        assert!(lock.lock().unwrap().token() > token);
    }
}

#[test]
fn whoever_waits_for_a_lock_hears_that_its_board_is_gone() {
    for damage in [remove as Damage, cut] {
        let (_dir, store) = in_directory();
        let lock = Lock::new(&store, "lock").unwrap();
        let _guard = lock.lock().unwrap();
        thread::scope(|scope| {
            let waiter = scope.spawn(|| lock.lock_timeout(LONG).map(|guard| guard.is_some()));
            damage(&store);
            assert!(waiter.join().unwrap().unwrap_err().is_removed());
        });
    }
}

#[test]
fn where_nothing_may_be_written_there_are_no_locks() {
    let (_dir, store) = in_directory();
    let permit = |mode| fs::set_permissions(store.path(), Permissions::from_mode(mode)).unwrap();
    permit(0o500);
    if fs::write(store.path().join("probe"), "").is_ok() {
        return; // a user for whom permissions don't count
    }
    let error = Lock::new(&store, "lock").unwrap_err();
    assert!(error.is_read_only(), "{error}");
    permit(0o700);
    assert!(
        Lock::new(&store, "lock")
            .unwrap()
            .try_lock()
            .unwrap()
            .is_some()
    );
}
