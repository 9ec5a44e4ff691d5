use std::fs;

use diskette_lock::{Lock, RLock, RwLock};
use diskette_store::{Access, Error, Store, Transaction};
use diskette_testkit::Place;

use crate::{in_directory, store};

const COUNT: &str = "SELECT count(*) FROM notes";

fn with_notes((place, store): (Place, Store)) -> (Place, Store) {
    store
        .write(|db| db.execute("CREATE TABLE notes (id BIGINT)", &[]))
        .unwrap();
    (place, store)
}

fn note(tx: &Transaction<'_>) -> Result<usize, Error> {
    tx.write(|db| db.execute("INSERT INTO notes (id) VALUES ($1)", &[1.into()]))
}

fn notes(store: &Store) -> Option<i64> {
    store
        .read(|db| db.query_one(COUNT, &[], |row| row.int(0)))
        .unwrap()
}

#[test]
fn what_is_written_under_a_lock_is_written_while_it_is_held() {
    let (_dir, store) = with_notes(store());
    let (a, b) = (
        Lock::new(&store, "a").unwrap(),
        RLock::new(&store, "b").unwrap(),
    );
    let c = RwLock::new(&store, "c").unwrap();
    for written in 1..=3 {
        let (a, b) = (a.lock().unwrap(), b.lock().unwrap());
        let (reader, other) = (c.read().unwrap(), c.read().unwrap());
        store
            .transaction_fenced(&(&a, &b, &[reader, other]), note)
            .unwrap();
        assert_eq!(notes(&store), Some(written));
    }
    let writer = c.write().unwrap();
    store.transaction_fenced(&writer, note).unwrap();
}

#[test]
fn nothing_is_written_under_a_lock_that_another_has_had_since() {
    let (_dir, store) = with_notes(store());
    let lock = Lock::new(&store, "import").unwrap();
    let guard = lock.lock().unwrap();
    store.transaction_fenced(&guard, note).unwrap();

    // As if another had taken it, written under it and given it back.
    store
        .write(|db| db.execute("UPDATE fences SET token = token + 1", &[]))
        .unwrap();
    let error = store
        .transaction_fenced(&guard, |_| -> Result<(), Error> {
            panic!("it must not get here")
        })
        .unwrap_err();
    assert!(error.is_overtaken());
    assert!(error.to_string().contains("lock \"import\""), "{error}");
    assert_eq!(notes(&store), Some(1));
}

#[test]
fn nothing_is_written_under_a_lock_that_was_lost() {
    let (_dir, store) = with_notes(in_directory());
    let guard = Lock::new(&store, "import").unwrap().lock().unwrap();
    fs::remove_file(store.path().join("board")).unwrap();
    assert!(
        store
            .transaction_fenced(&guard, note)
            .unwrap_err()
            .is_overtaken()
    );
    assert_eq!(notes(&store), Some(0));
}

#[test]
fn the_lock_of_another_store_is_none_here() {
    let ((_dir, store), (_other_dir, other)) = (with_notes(store()), crate::store());
    let guard = Lock::new(&other, "import").unwrap().lock().unwrap();
    assert!(
        store
            .transaction_fenced(&guard, note)
            .unwrap_err()
            .is_misuse()
    );
    assert_eq!(notes(&store), Some(0));
}
