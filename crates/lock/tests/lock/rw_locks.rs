use std::thread;

use diskette_lock::RwLock;

use crate::{LONG, SHORT, elsewhere, store};

#[test]
fn many_read_or_one_writes() {
    let (_dir, store) = store();
    let lock = RwLock::new(&store, "model").unwrap();

    let (one, two) = (lock.read().unwrap(), lock.try_read().unwrap().unwrap());
    elsewhere(|| {
        assert!(lock.try_read().unwrap().is_some());
        assert!(lock.try_write().unwrap().is_none());
        assert!(lock.write_timeout(SHORT).unwrap().is_none());
    });
    assert_eq!(
        lock.holders()
            .unwrap()
            .iter()
            .map(|it| it.permits)
            .sum::<u32>(),
        2
    );
    drop((one, two));

    let writer = lock.write().unwrap();
    elsewhere(|| {
        assert!(lock.try_read().unwrap().is_none());
        assert!(lock.read_timeout(SHORT).unwrap().is_none());
        assert!(lock.try_write().unwrap().is_none());
    });
    let holders = lock.holders().unwrap();
    assert_eq!(holders.len(), 1);
    assert_eq!(
        (holders[0].permits, holders[0].token),
        (RwLock::READERS, writer.token())
    );
    writer.release().unwrap();
    assert!(lock.holders().unwrap().is_empty());
}

#[test]
fn a_writer_waits_for_the_last_reader_and_readers_for_the_writer() {
    let (_dir, store) = store();
    let lock = RwLock::new(&store, "model").unwrap();
    let readers = [lock.read().unwrap(), lock.read().unwrap()];
    thread::scope(|scope| {
        let writer = scope.spawn(|| lock.write_timeout(LONG).unwrap().is_some());
        for reader in readers {
            reader.release().unwrap();
        }
        assert!(writer.join().unwrap());

        let writer = lock.write_timeout(LONG).unwrap().unwrap();
        let readers = [(); 3].map(|()| scope.spawn(|| lock.read_timeout(LONG).unwrap().is_some()));
        writer.release().unwrap();
        for reader in readers {
            assert!(reader.join().unwrap());
        }
    });
}

#[test]
fn there_is_a_bound_to_those_who_read() {
    let (_dir, store) = store();
    let lock = RwLock::new(&store, "model").unwrap();
    let mut readers: Vec<_> = (0..RwLock::READERS).map(|_| lock.read().unwrap()).collect();
    assert!(lock.try_read().unwrap().is_none());
    readers.pop();
    assert!(lock.try_read().unwrap().is_some());
}
