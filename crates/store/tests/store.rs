//! The store by itself, with the smallest structure there can be: a table of numbers.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "this is how a test fails"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use diskette_store::{Access, Durability, Error, Kind, Result, Store, Structure};

static NUMBERS: Kind = Kind {
    name: "numbers",
    format: 1,
    schema: &["CREATE TABLE numbers (number BIGINT)"],
    tables: &[],
    bring_over: &[],
    claims: None,
};

struct Numbers;

impl Numbers {
    fn open(store: &Store) -> Self {
        Structure::open(store, &NUMBERS, "numbers", "none", |_, _| Ok(())).unwrap();
        Numbers
    }

    fn add(&self, to: &impl Access, number: i64) -> Result<usize> {
        to.write(|db| db.execute("INSERT INTO numbers (number) VALUES ($1)", &[number.into()]))
    }

    fn all(&self, of: &impl Access) -> Vec<i64> {
        of.read(|db| {
            db.query("SELECT number FROM numbers ORDER BY number", &[], |row| {
                row.int(0)
            })
        })
        .unwrap()
    }
}

fn store() -> (tempfile::TempDir, Store, Numbers) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("store")).unwrap();
    let numbers = Numbers::open(&store);
    (dir, store, numbers)
}

#[test]
fn a_transaction_happens_whole_or_not_at_all() {
    let (_dir, store, numbers) = store();
    store
        .transaction(|tx| {
            numbers.add(tx, 1)?;
            numbers.add(tx, 2)
        })
        .unwrap();
    let refused = store.transaction(|tx| {
        numbers.add(tx, 3)?;
        Err::<(), Error>(Error::key("no"))
    });
    assert!(refused.is_err());
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        store.transaction(|tx| -> Result<()> {
            numbers.add(tx, 4)?;
            panic!("in the middle")
        })
    }));
    assert!(panicked.is_err());
    assert_eq!(numbers.all(&store), [1, 2]);
    numbers.add(&store, 5).unwrap();
    assert_eq!(numbers.all(&store), [1, 2, 5]);
}

#[test]
fn a_nested_transaction_is_undone_alone() {
    let (_dir, store, numbers) = store();
    store
        .transaction(|tx| {
            numbers.add(tx, 1)?;
            let part = tx.transaction(|tx| {
                numbers.add(tx, 2)?;
                Err::<(), _>(Error::key("this part only"))
            });
            assert!(part.is_err());
            tx.transaction(|tx| numbers.add(tx, 3))
        })
        .unwrap();
    assert_eq!(numbers.all(&store), [1, 3]);
}

#[test]
fn what_follows_a_transaction_follows_its_outcome() {
    let (_dir, store, numbers) = store();
    let happened = Arc::new(AtomicBool::new(false));
    let note = |happened: &Arc<AtomicBool>| {
        let happened = Arc::clone(happened);
        move |_: &Store| happened.store(true, Ordering::Relaxed)
    };
    let _ = store.transaction(|tx| {
        tx.on_commit(note(&happened));
        Err::<(), _>(Error::key("no"))
    });
    assert!(!happened.swap(false, Ordering::Relaxed), "not committed");
    let _ = store.transaction(|tx| {
        tx.on_rollback(note(&happened));
        Err::<(), _>(Error::key("no"))
    });
    assert!(happened.swap(false, Ordering::Relaxed), "rolled back");
    store
        .transaction(|tx| {
            let part = tx.transaction(|tx| {
                tx.on_commit(note(&happened));
                Err::<(), _>(Error::key("this part only"))
            });
            assert!(part.is_err());
            numbers.add(tx, 1)
        })
        .unwrap();
    assert!(!happened.load(Ordering::Relaxed), "its part was undone");
}

#[test]
fn an_operation_that_failed_half_way_dooms_its_transaction() {
    let (_dir, store, numbers) = store();
    let half = |tx: &diskette_store::Transaction<'_>| {
        tx.write(|db| {
            db.execute("INSERT INTO numbers (number) VALUES ($1)", &[7.into()])?;
            db.execute("INSERT INTO nowhere VALUES (1)", &[])
        })
    };
    let passed_over = store.transaction(|tx| {
        half(tx).unwrap_err();
        Ok::<_, Error>(())
    });
    assert!(passed_over.unwrap_err().is_misuse());
    store
        .transaction(|tx| {
            tx.transaction(half).unwrap_err();
            numbers.add(tx, 1)
        })
        .unwrap();
    assert_eq!(numbers.all(&store), [1]);
}

#[test]
fn a_snapshot_stays_as_it_is_and_cannot_write() {
    let (_dir, store, numbers) = store();
    numbers.add(&store, 1).unwrap();
    store
        .snapshot(|snapshot| {
            assert_eq!(numbers.all(snapshot), [1]);
            numbers.add(&store, 2)?;
            assert_eq!(numbers.all(snapshot), [1]);
            assert!(numbers.add(snapshot, 3).unwrap_err().is_read_only());
            Ok::<_, Error>(())
        })
        .unwrap();
    assert_eq!(numbers.all(&store), [1, 2]);
}

#[test]
fn a_second_transaction_of_the_same_thread_is_refused_and_of_another_waits_its_time() {
    let (_dir, store, numbers) = store();
    let hurried = store.with_timeout(Duration::from_millis(20));
    store
        .transaction(|tx| {
            assert!(numbers.add(&store, 1).unwrap_err().is_misuse());
            let other = std::thread::scope(|scope| {
                scope.spawn(|| numbers.add(&hurried, 2)).join().unwrap()
            });
            assert!(other.unwrap_err().is_timeout());
            numbers.add(tx, 3)
        })
        .unwrap();
    assert_eq!(numbers.all(&store), [3]);
}

#[test]
fn one_directory_is_one_store_in_a_process() {
    let (dir, store, numbers) = store();
    let again = Store::open(dir.path().join("./store")).unwrap();
    // One writer between them: else the second transaction would wait for the first.
    let nested = store.transaction(|_| again.transaction(|_| Ok::<_, Error>(())));
    assert!(nested.unwrap_err().is_misuse());
    numbers.add(&again, 1).unwrap();
    drop((store, again));
    let reopened = Store::open(dir.path().join("store")).unwrap();
    assert_eq!(Numbers::open(&reopened).all(&reopened), [1]);
}

#[test]
fn what_is_not_a_store_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |path: &str| Store::open(dir.path().join(path)).unwrap_err();

    fs::write(dir.path().join("file"), "mine").unwrap();
    let error = refused("file");
    assert!(
        error.is_not_a_store() && error.to_string().contains("is a file"),
        "{error}"
    );

    fs::create_dir(dir.path().join("photos")).unwrap();
    fs::write(dir.path().join("photos/cat.jpg"), "cat").unwrap();
    let error = refused("photos");
    assert!(
        error.is_not_a_store() && error.to_string().contains("cat.jpg"),
        "{error}"
    );
    assert_eq!(fs::read_dir(dir.path().join("photos")).unwrap().count(), 1);

    fs::create_dir(dir.path().join("text")).unwrap();
    fs::write(
        dir.path().join("text/store.db"),
        "not a database, but of some length".repeat(99),
    )
    .unwrap();
    assert!(refused("text").is_not_a_store());

    let error = Store::open("/proc/no/such/place").unwrap_err();
    assert!(error.to_string().contains("/proc/no/such/place"), "{error}");
}

#[test]
fn a_newer_format_and_a_database_of_another_program_are_refused() {
    for (pragma, wanted) in [
        ("user_version = 999", "update"),
        ("application_id = 7", "another program"),
    ] {
        let (dir, store, numbers) = store();
        numbers.add(&store, 1).unwrap();
        store
            .write(|db| {
                db.execute(&format!("PRAGMA {pragma}"), &[])
                    .map(drop)
                    .or(Ok(()))
            })
            .unwrap();
        drop(store);
        let error = Store::open(dir.path().join("store")).unwrap_err();
        assert!(error.is_newer_format() || error.is_not_a_store());
        assert!(error.to_string().contains(wanted), "{error}");
    }
}

#[test]
fn names_kinds_codecs_and_formats_are_checked() {
    static OTHER: Kind = Kind {
        name: "letters",
        format: 1,
        schema: &[],
        tables: &[],
        bring_over: &[],
        claims: None,
    };
    static NEWER: Kind = Kind {
        name: "numbers",
        format: 2,
        schema: &[],
        tables: &[],
        bring_over: &[],
        claims: None,
    };
    let (_dir, store, _numbers) = store();
    let open = |kind, name: &str, codec| Structure::open(&store, kind, name, codec, |_, _| Ok(()));

    for name in ["", "a\nb", "nul\0", &"x".repeat(256)] {
        let error = open(&NUMBERS, name, "none").unwrap_err();
        assert!(error.is_invalid_input(), "{error}");
    }
    for name in [
        "'; DROP TABLE structures; --",
        "naïve 名前 🦀",
        "%s {t} \"quoted\"",
        &"x".repeat(255),
    ] {
        assert_eq!(open(&NUMBERS, name, "none").unwrap().name(), name);
    }
    assert!(open(&OTHER, "numbers", "none").unwrap_err().is_wrong_kind());
    assert!(
        open(&NUMBERS, "numbers", "json")
            .unwrap_err()
            .is_wrong_kind()
    );
    open(&NEWER, "new", "none").unwrap();
    assert!(open(&NUMBERS, "new", "none").unwrap_err().is_newer_format());
}

#[test]
fn a_removed_directory_is_noticed_by_the_next_write() {
    let (dir, store, numbers) = store();
    numbers.add(&store, 1).unwrap();
    fs::remove_dir_all(dir.path().join("store")).unwrap();
    let error = numbers.add(&store, 2).unwrap_err();
    assert!(error.is_removed(), "{error}");
    assert_eq!(numbers.all(&store), [1]);
    // Again and again, since the new directory may get the inode of the old one.
    for _ in 0..10 {
        let anew = Store::open(dir.path().join("store")).unwrap();
        let numbers = Numbers::open(&anew);
        assert_eq!(numbers.all(&anew), [0; 0]);
        numbers.add(&anew, 1).unwrap();
        fs::remove_dir_all(dir.path().join("store")).unwrap();
    }
}

#[test]
fn backup_stats_and_compact_on_a_live_store() {
    let (dir, store, numbers) = store();
    store
        .transaction(|tx| (0..2000).try_for_each(|n| numbers.add(tx, n).map(drop)))
        .unwrap();
    store.backup(dir.path().join("copy")).unwrap();
    assert!(
        store
            .backup(dir.path().join("copy"))
            .unwrap_err()
            .is_invalid_input()
    );
    let copy = Store::open(dir.path().join("copy")).unwrap();
    assert_eq!(Numbers::open(&copy).all(&copy), numbers.all(&store));
    assert!(copy.check().unwrap().is_sound());

    store
        .write(|db| db.execute("DELETE FROM numbers", &[]))
        .unwrap();
    assert!(store.stats().unwrap().free_bytes > 0);
    store.compact().unwrap();
    let stats = store.stats().unwrap();
    assert_eq!((stats.free_bytes, stats.wal_bytes), (0, 0));
    assert_eq!(
        (
            stats.structures[0].name.as_str(),
            stats.structures[0].kind.as_str()
        ),
        ("numbers", "numbers")
    );
    assert_eq!(store.repair().unwrap().problems, []);
}

/// A second open in one process that asked for more was given what the first had asked for, without a word.
#[test]
fn a_store_that_is_open_gets_the_safer_of_two_durabilities() {
    let (_dir, store, numbers) = store();
    let open = |durability| {
        Store::options()
            .durability(durability)
            .open(store.path())
            .unwrap()
    };
    assert_eq!(store.durability(), Durability::Process);
    let safer = open(Durability::Power);
    assert_eq!(
        (safer.durability(), store.durability()),
        (Durability::Power, Durability::Power)
    );
    numbers.add(&store, 1).unwrap();
    let synchronous = |store: &Store| {
        store
            .write(|db| db.query_one("PRAGMA synchronous", &[], |row| row.int(0)))
            .unwrap()
    };
    assert_eq!(synchronous(&store), Some(2), "FULL");
    assert_eq!(open(Durability::Process).durability(), Durability::Power);
    assert_eq!(numbers.all(&safer), [1]);
}

#[test]
fn a_directory_says_where_its_store_has_moved_but_nobody_is_sent_to_a_strangers() {
    let (_dir, store, numbers) = store();
    numbers.add(&store, 1).unwrap();
    let path = store.path().to_owned();
    drop((store, numbers));
    let open = || Store::open(&path).unwrap_err();
    let nowhere = "postgres://ada:secret@127.0.0.1:1/nothing?store=numbers";
    let shown = "postgres://ada@127.0.0.1:1/nothing?store=numbers";
    let moved = format!("diskette moved 1\n77\n{shown}\n{nowhere}\n");
    fs::write(path.join("moved"), &moved).unwrap();
    let error = open();
    assert!(error.to_string().contains(shown), "{error}");
    assert!(!error.to_string().contains("secret"), "{error}");
    #[cfg(not(feature = "postgres"))]
    assert!(error.is_unsupported(), "{error}");

    fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
    let error = open();
    assert!(error.is_unsupported(), "{error}");
    assert!(error.to_string().contains("chmod"), "{error}");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();

    fs::write(path.join("moved"), "elsewhere").unwrap();
    assert!(open().is_corrupt());
    fs::remove_file(path.join("moved")).unwrap();
    Store::open(&path).unwrap();
}
