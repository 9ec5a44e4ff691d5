//! Stores that an earlier diskette has made.

use std::fs;
use std::path::{Path, PathBuf};

use diskette::{Bincode, Cache, Deque, Error, Index, Problem, Store, key};
use diskette_ipc::Owners;
use diskette_testkit::{Child, PATIENCE, eventually, role};
use rusqlite::Connection;

/// Format 3: tables of their own for each deque and index.
const FORMAT_3: &str = "
    PRAGMA journal_mode = WAL; PRAGMA application_id = 0x64736b74; PRAGMA user_version = 3;
    CREATE TABLE structures (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, format INTEGER NOT NULL,
        codec TEXT NOT NULL);
    CREATE TABLE value_files (id INTEGER PRIMARY KEY, bytes INTEGER NOT NULL);
    CREATE TABLE boards (id INTEGER PRIMARY KEY, era INTEGER NOT NULL);
    CREATE TABLE fences (structure INTEGER NOT NULL, slot INTEGER NOT NULL, token INTEGER NOT NULL,
        PRIMARY KEY (structure, slot));
    CREATE TABLE garbage (id INTEGER PRIMARY KEY, era INTEGER);

    INSERT INTO structures VALUES (1, 'todo', 'deque', 1, 'bincode'), (2, 'ages', 'index', 1, 'bincode'),
        (3, 'empty', 'deque', 1, 'bincode');
    CREATE TABLE deques (id INTEGER PRIMARY KEY, max_len BIGINT, when_full BIGINT NOT NULL);
    INSERT INTO deques VALUES (1, 10, 1), (3, NULL, 0);
    CREATE TABLE deque_1 (pos INTEGER PRIMARY KEY, file BIGINT, value BLOB);
    CREATE TABLE deque_1_gaps (pos INTEGER PRIMARY KEY, owner BIGINT, token BIGINT, since BIGINT, file BIGINT, value BLOB);
    CREATE INDEX deque_1_holes ON deque_1_gaps (pos) WHERE owner IS NULL;
    CREATE TABLE deque_3 (pos INTEGER PRIMARY KEY, file BIGINT, value BLOB);
    CREATE TABLE deque_3_gaps (pos INTEGER PRIMARY KEY, owner BIGINT, token BIGINT, since BIGINT, file BIGINT, value BLOB);
    CREATE INDEX deque_3_holes ON deque_3_gaps (pos) WHERE owner IS NULL;
    -- The first is claimed by somebody dead, and there is a hole between the last two.
    INSERT INTO deque_1_gaps VALUES (-2, 77, 1, 0, NULL, x'05'), (1, NULL, NULL, NULL, NULL, NULL);
    INSERT INTO deque_1 VALUES (-1, NULL, x'06'), (0, NULL, x'07'), (2, NULL, x'08');

    CREATE TABLE indexes (id INTEGER PRIMARY KEY, base BIGINT NOT NULL);
    CREATE TABLE index_2 (id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, file BIGINT, value BLOB);
";

fn write_down(path: &Path) {
    fs::create_dir(path).unwrap();
    fs::create_dir(path.join("owners")).unwrap();
    #[allow(clippy::disallowed_methods, reason = "nobody has it open")]
    let earlier = Connection::open(path.join("store.db")).unwrap();
    earlier.execute_batch(FORMAT_3).unwrap();
    for (id, name, age) in [(-3, "Bob", 25_u8), (4, "Ada", 36)] {
        let mut bytes = Vec::new();
        key::encode(name, &mut bytes).unwrap();
        let row = (id, bytes, vec![age]);
        let add = "INSERT INTO index_2 (id, key, value) VALUES (?1, ?2, ?3)";
        earlier.execute(add, row).unwrap();
    }
    // The number of rows is the greatest id less this.
    let base = "INSERT INTO indexes VALUES (2, 2)";
    earlier.execute(base, ()).unwrap();
}

#[test]
fn who_may_only_read_does_not_bring_a_store_over() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    write_down(&path);
    let look = || Store::options().read_only(true).open(&path);
    let todo = |store: &Store| {
        let as_written = Deque::<u64>::options().codec::<Bincode>();
        as_written.find(store, "todo")
    };
    let once = |error: Error| error.is_read_only() && error.to_string().contains("open it once");
    assert!(once(look().unwrap_err()));
    // The tables of a kind are brought over with its first structure.
    drop(Store::open(&path).unwrap());
    let store = look().unwrap();
    assert!(once(todo(&store).unwrap_err()));
    drop(store);
    todo(&Store::open(&path).unwrap()).unwrap();
    let todo = todo(&look().unwrap()).unwrap().unwrap();
    assert_eq!(todo.to_vec().unwrap(), [5, 6, 7, 8]);
}

#[test]
fn a_store_of_the_format_before_is_brought_over() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    write_down(&path);
    for _ in 0..2 {
        let store = Store::open(&path).unwrap();
        let as_written = || Deque::<u64>::options().codec::<Bincode>();
        let todo = as_written().new(&store, "todo").unwrap();
        assert_eq!(todo.to_vec().unwrap(), [5, 6, 7, 8]);
        assert_eq!((todo.len().unwrap(), todo.claimed().unwrap()), (4, 0));
        assert_eq!(todo.max_len().unwrap(), Some(10));
        assert_eq!(todo.get(3).unwrap(), Some(8));
        let empty = as_written().new(&store, "empty").unwrap();
        assert!(empty.is_empty().unwrap());

        let ages = Index::<String, u8>::options()
            .codec::<Bincode>()
            .new(&store, "ages")
            .unwrap();
        assert_eq!(ages.len().unwrap(), 2);
        assert_eq!(ages.get("Ada").unwrap(), Some(36));
        let names = ages.keys().collect::<Result<Vec<_>, _>>().unwrap();
        assert_eq!(names, ["Bob", "Ada"]);
        assert_eq!(ages.first_key_value().unwrap().unwrap().0, "Ada");
        // This test doesn't write its tables down to the letter.
        let problems = store.check().unwrap().problems;
        assert!(
            problems.iter().all(|it| matches!(it, Problem::Schema(_))),
            "{problems:?}"
        );
    }
    let store = Store::open(&path).unwrap();
    let ages = Index::<String, u8>::new(&store, "ages").unwrap_err();
    assert!(
        ages.is_wrong_kind() && ages.to_string().contains("bincode"),
        "{ages}"
    );
}

/// SIEVE went by ranks, that are times: as places they are beyond all that there are.
#[test]
fn a_cache_that_went_by_ranks_goes_by_places() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let three = || Cache::<u8, u8>::options().max_entries(3);
    let cache = three().new(&Store::open(&path).unwrap(), "cache").unwrap();
    (0..3).for_each(|n| cache.insert(&n, &n).unwrap());
    drop(cache);
    eventually(PATIENCE, || !path.join("store.db-wal").exists());
    #[allow(clippy::disallowed_methods, reason = "nobody has it open")]
    let before = Connection::open(path.join("store.db")).unwrap();
    let as_before = "UPDATE cache_entries SET rank = stored; UPDATE caches SET hand = 1 << 62; \
        UPDATE kinds SET format = 1 WHERE name = 'cache'";
    before.execute_batch(as_before).unwrap();
    drop(before);
    let store = Store::open(&path).unwrap();
    let cache = three().new(&store, "cache").unwrap();
    cache.insert(&3, &3).unwrap();
    let left: Vec<_> = cache.keys().map(Result::unwrap).collect();
    assert_eq!(left, [1, 2, 3]);
    assert!(store.check().unwrap().is_sound());
}

role! {
    /// Has a store open as a diskette did that knows of no locks in memory, and writes as it is told.
    fn earlier(parent) {
        let path: PathBuf = parent.arg(0);
        let owners = Owners::open(&path.join("owners"), path.join("locks/owners")).unwrap();
        owners.me().unwrap();
        #[allow(clippy::disallowed_methods)]
        let database = Connection::open(path.join("store.db")).unwrap();
        loop {
            let era = "UPDATE boards SET era = era + 1";
            parent.say(database.execute(era, ()).is_ok());
            parent.hear();
        }
    }
}

#[test]
fn a_store_is_not_brought_over_under_who_has_it_open() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    drop(Store::open(&path).unwrap());
    eventually(PATIENCE, || !path.join("store.db-wal").exists());
    #[allow(clippy::disallowed_methods, reason = "nobody has it open")]
    let before = Connection::open(path.join("store.db")).unwrap();
    before.execute_batch("PRAGMA user_version = 5").unwrap();
    drop(before);
    let mut earlier = Child::spawn(earlier, &[&path.display()]);
    assert_eq!(earlier.hear(PATIENCE), "true");
    let error = Store::open(&path).unwrap_err();
    let way_out = error.to_string().contains("end them");
    assert!(error.is_unsupported() && way_out, "{error}");
    earlier.say("");
    assert_eq!(earlier.hear(PATIENCE), "true");
    earlier.kill();
    assert!(Store::open(&path).unwrap().check().unwrap().is_sound());
}
