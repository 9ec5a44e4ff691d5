use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use diskette_testkit::{SmallDisk, asleep};

use crate::access::Access;
use crate::db::Db;
use crate::engine::Engine;
use crate::error::{Error, ErrorKind, Result};
use crate::options::Durability;
use crate::sqlite::Sqlite;
use crate::store::Store;

type Work = Box<dyn FnOnce(&Db<'_>) -> Result<()> + Send>;

/// With a table.
fn store(path: &std::path::Path) -> Store {
    store_of(Durability::Process, path)
}

/// As if its disk took long to sync.
fn store_of(durability: Durability, path: &std::path::Path) -> Store {
    let store = Store::options().durability(durability).open(path).unwrap();
    let make = |db: &Db<'_>| db.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, filler BLOB)", &[]);
    store.write(make).unwrap();
    for _ in 0..100 {
        let habits = &sqlite(&store).writer().habits;
        habits.took(Duration::from_secs(1), 1);
    }
    store
}

fn sqlite(store: &Store) -> &Sqlite {
    match store.engine() {
        Engine::Sqlite(sqlite) => sqlite,
        #[cfg(feature = "postgres")]
        Engine::Postgres(_) => unreachable!("it was opened in a directory"),
    }
}

fn insert(db: &Db<'_>, n: usize) -> Result<()> {
    db.execute("INSERT INTO t VALUES ($1, NULL)", &[(n as i64).into()])
        .map(drop)
}

fn inserts(n: usize) -> Work {
    Box::new(move |db| insert(db, n))
}

fn numbers(store: &Store) -> Vec<i64> {
    let all = |db: &Db<'_>| db.query("SELECT n FROM t ORDER BY n", &[], |row| row.int(0));
    store.read_one(all).unwrap()
}

/// Runs each in a thread of its own, that comes while another has the writer and `meanwhile` is done; says how each has ended, in the
/// order in which they came.
fn together(
    store: &Store,
    works: Vec<Work>,
    meanwhile: impl FnOnce(),
) -> Vec<thread::Result<Result<()>>> {
    let turn = sqlite(store).writer().enter(sqlite(store)).unwrap();
    thread::scope(|scope| {
        let come = |work: Work| {
            let write = || catch_unwind(AssertUnwindSafe(|| store.write_one(work)));
            asleep(scope, || (), write)
        };
        let all: Vec<_> = works.into_iter().map(come).collect();
        meanwhile();
        drop(turn);
        all.into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    })
}

/// How many transactions are in the log.
fn commits(store: &Store) -> usize {
    const HEADER: usize = 32;
    const FRAME: usize = 24 + 4096;
    let log = fs::read(sqlite(store).directory().wal()).unwrap();
    let is_commit = |frame: &&[u8]| frame[4..8] != [0; 4] && frame[8..16] == log[16..24];
    let frames = log[HEADER..].chunks_exact(FRAME);
    frames.filter(is_commit).count()
}

#[test]
fn threads_that_wait_for_the_writer_share_one_commit() {
    for durability in [Durability::Process, Durability::Power] {
        let dir = tempfile::tempdir().unwrap();
        let store = store_of(durability, dir.path());
        let before = commits(&store);
        let all = together(&store, (0..8).map(inserts).collect(), || ());
        assert!(all.into_iter().all(|it| it.is_ok_and(|it| it.is_ok())));
        assert_eq!(numbers(&store), (0..8).collect::<Vec<_>>());
        assert_eq!(commits(&store) - before, 1);
    }
}

#[test]
fn what_fails_in_one_thread_is_undone_and_touches_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let before = commits(&store);
    let works: Vec<Work> = vec![
        inserts(0),
        Box::new(|db| {
            insert(db, 1)?;
            Err(Error::new(ErrorKind::InvalidInput, "no"))
        }),
        inserts(2),
        Box::new(|db| {
            insert(db, 3)?;
            panic!("in the middle")
        }),
        // The number is taken: by one whose commit is to come yet.
        inserts(2),
        inserts(5),
    ];
    let all = together(&store, works, || ());
    let [first, refused, third, panicked, taken, last] = <[_; 6]>::try_from(all).unwrap();
    first.unwrap().unwrap();
    assert!(refused.unwrap().unwrap_err().is_invalid_input());
    third.unwrap().unwrap();
    assert_eq!(panicked.unwrap_err().downcast_ref(), Some(&"in the middle"));
    taken.unwrap().unwrap_err();
    last.unwrap().unwrap();
    assert_eq!(numbers(&store), [0, 2, 5]);
    assert_eq!(commits(&store) - before, 1);
}

/// Some failures make SQLite roll back all that the transaction has done.
#[test]
fn whoever_is_rolled_back_with_another_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let works: Vec<Work> = vec![
        inserts(0),
        inserts(1),
        Box::new(|db| {
            db.execute("ROLLBACK", &[])?;
            Err(Error::new(ErrorKind::DiskFull, "the disk is full"))
        }),
        inserts(3),
    ];
    let all = together(&store, works, || ());
    let failed: Vec<_> = all.into_iter().map(|it| it.unwrap().is_err()).collect();
    assert_eq!(failed, [true, true, true, false]);
    assert_eq!(numbers(&store), [3]);
}

#[test]
fn a_commit_that_fails_is_told_to_each() {
    let Some(disk) = SmallDisk::mount(16) else {
        eprintln!("not tested: this user can't mount");
        return;
    };
    let store = store(&disk.path().join("store"));
    let works = (0..4).map(|n: i64| -> Work {
        Box::new(move |db| {
            let filler = vec![7; 100_000];
            let row = [n.into(), filler.as_slice().into()];
            db.execute("INSERT INTO t VALUES ($1, $2)", &row).map(drop)
        })
    });
    let mut filler = None;
    let all = together(&store, works.collect(), || filler = Some(disk.fill()));
    for ended in all {
        let error = ended.unwrap().unwrap_err();
        assert!(error.is_disk_full(), "{error}");
        assert!(error.to_string().contains("together"), "{error}");
    }
    assert!(numbers(&store).is_empty());
    drop(filler);
    store.write_one(|db| insert(db, 9)).unwrap();
    assert_eq!(numbers(&store), [9]);
}

#[test]
fn what_is_to_follow_a_commit_follows_for_each_and_what_is_to_follow_a_rollback_too() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let said = Arc::new(std::sync::Mutex::new(Vec::new()));
    let work = |n: usize| -> Work {
        let said = Arc::clone(&said);
        Box::new(move |db| {
            let also = Arc::clone(&said);
            db.on_commit(move |store| said.lock().unwrap().push((n, numbers(store).len())));
            db.on_rollback(move |store| also.lock().unwrap().push((n, numbers(store).len())));
            insert(db, n)?;
            match n {
                1 => Err(Error::new(ErrorKind::InvalidInput, "no")),
                _ => Ok(()),
            }
        })
    };
    drop(together(&store, (0..3).map(work).collect(), || ()));
    let mut said = said.lock().unwrap().clone();
    said.sort_unstable();
    assert_eq!(said, [(0, 2), (1, 2), (2, 2)]);
}

/// A transaction of the program's may take as long as it likes: nobody waits for it with a commit.
#[test]
fn a_transaction_of_the_program_shares_no_commit() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let before = commits(&store);
    let turn = sqlite(&store).writer().enter(sqlite(&store)).unwrap();
    thread::scope(|scope| {
        let store = &store;
        let one = || store.write_one(|db| insert(db, 1));
        let first = asleep(scope, || (), one);
        let program = asleep(
            scope,
            || (),
            || {
                store.transaction(|tx| {
                    assert_eq!(numbers_within(&tx.db), [1]);
                    // On the disk before this begins.
                    assert_eq!(commits(store) - before, 1);
                    insert(&tx.db, 2)
                })
            },
        );
        drop(turn);
        first.join().unwrap().unwrap();
        program.join().unwrap().unwrap();
    });
    assert_eq!(commits(&store) - before, 2);
}

fn numbers_within(db: &Db<'_>) -> Vec<i64> {
    db.query("SELECT n FROM t ORDER BY n", &[], |row| row.int(0))
        .unwrap()
}
