//! The files of a store: looked at by its own program, put in its way by strangers, copied, cut short.

use std::fs::{self, Permissions};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use diskette::{Deque, Error, Index, Lock, Store};
use diskette_testkit::{Child, PATIENCE, files_below, role};

role! {
    /// Holds a lock, and reads all the files of the store meanwhile, as a program does that backs up its directory.
    fn archivist(parent) {
        let path: PathBuf = parent.arg(0);
        let store = Store::open(&path).unwrap();
        let lock = Lock::new(&store, "lock").unwrap();
        let guard = lock.try_lock().unwrap().unwrap();
        for file in files_below(&path) {
            fs::read(file).unwrap();
        }
        parent.say("read");
        parent.hear();
        parent.say(guard.is_held());
        parent.hear();
    }
}

role! {
    /// Reads the files of a database of which it has a snapshot open.
    fn onlooker(parent) {
        let path: PathBuf = parent.arg(0);
        let store = Store::open(&path).unwrap();
        let entries = Index::<u64, Vec<u8>>::new(&store, "entries").unwrap();
        let seen = store.snapshot(|snapshot| {
            let entries = entries.within(snapshot);
            assert_eq!(entries.len()?, 100);
            for file in ["store.db", "store.db-wal", "store.db-shm"] {
                fs::read(path.join(file)).unwrap();
            }
            parent.say("looking");
            parent.hear();
            let seen: Result<Vec<_>, Error> = entries.iter().collect();
            Ok::<_, Error>(seen?.len())
        });
        parent.say(seen.unwrap());
    }
}

fn store() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    (dir, path)
}

/// It closed its owner file with whatever it had opened it by, and others had its lock while it worked.
#[test]
fn a_program_that_reads_its_own_store_keeps_what_it_holds() {
    let (_dir, path) = store();
    let mut child = Child::spawn(archivist, &[&path.display()]);
    assert_eq!(child.hear(PATIENCE), "read");
    let store = Store::open(&path).unwrap();
    let lock = Lock::new(&store, "lock").unwrap();
    assert!(lock.try_lock().unwrap().is_none());
    child.say("go on");
    assert_eq!(child.hear(PATIENCE), "true");
    child.kill();
    assert!(lock.try_lock().unwrap().is_some());
}

/// SQLite's own locks are lost by that, and a compaction in another process went through beneath a snapshot, which then
/// said that the database is damaged.
#[test]
fn no_compaction_goes_through_beneath_a_snapshot_whose_program_reads_the_database() {
    let (_dir, path) = store();
    let store = Store::open(&path).unwrap();
    let entries = Index::<u64, Vec<u8>>::new(&store, "entries").unwrap();
    for key in 0..100 {
        entries.insert(&key, &vec![7; 3000]).unwrap();
    }
    let mut child = Child::spawn(onlooker, &[&path.display()]);
    assert_eq!(child.hear(PATIENCE), "looking");
    for key in 0..90 {
        entries.remove(&key).unwrap();
    }
    let hasty = store.with_timeout(std::time::Duration::from_millis(100));
    assert!(hasty.compact().unwrap_err().is_timeout());
    child.say("go on");
    assert_eq!(child.hear(PATIENCE), "100");
    store.compact().unwrap();
}

role! {
    /// Holds a lock until it is killed.
    fn holder(parent) {
        let store = Store::open(parent.arg::<PathBuf>(0)).unwrap();
        let lock = Lock::new(&store, "lock").unwrap();
        let _guard = lock.try_lock().unwrap().unwrap();
        parent.say("held");
        parent.hear();
        parent.say(_guard.is_held());
        parent.hear();
    }
}

/// Containers may have each a number of their own for the run of the one system: each made a board, and both held one lock.
#[test]
fn a_board_of_another_boot_id_is_shared_while_anybody_lives() {
    let (_dir, path) = store();
    let mut child = Child::spawn(holder, &[&path.display()]);
    assert_eq!(child.hear(PATIENCE), "held");
    // As the other container sees it.
    let board = fs::OpenOptions::new().write(true).open(path.join("board"));
    board.unwrap().write_all_at(&[7; 8], 8).unwrap();

    let lock = |store: &Store| Lock::new(store, "lock").unwrap().try_lock().unwrap();
    let store = Store::open(&path).unwrap();
    assert!(lock(&store).is_none());
    child.say("still?");
    assert_eq!(child.hear(PATIENCE), "true");
    child.kill();
    assert!(lock(&store).is_some());
    drop(store);

    let era = |path: &Path| diskette_ipc::Board::last_era(&path.join("board")).unwrap();
    let before = era(&path);
    let store = Store::open(&path).unwrap();
    assert!(lock(&store).is_some());
    assert_eq!(era(&path), before + 1, "nobody lived any more who knew it");
}

/// A board that was moved aside and copied back let those who had it open and those who came then hold the same lock.
#[test]
fn a_board_that_was_copied_back_is_refused_while_anybody_lives() {
    let (_dir, path) = store();
    let mut child = Child::spawn(holder, &[&path.display()]);
    assert_eq!(child.hear(PATIENCE), "held");
    fs::rename(path.join("board"), path.join("aside")).unwrap();
    fs::copy(path.join("aside"), path.join("board")).unwrap();
    assert!(Store::open(&path).unwrap_err().is_removed());
    child.say("still?");
    assert_eq!(child.hear(PATIENCE), "true");
    child.kill();
    let store = Store::open(&path).unwrap();
    assert!(
        Lock::new(&store, "lock")
            .unwrap()
            .try_lock()
            .unwrap()
            .is_some()
    );
}

/// Whoever can put a link into the directory of a store had it write over what the link leads to.
#[test]
fn no_link_in_the_place_of_a_file_is_followed() {
    let names = [
        "board",
        "board.new",
        "bell",
        "locks/open",
        "locks/log",
        "locks/seats",
        "locks",
        "values",
        "owners",
    ];
    for name in names {
        let (dir, path) = store();
        let victim = dir.path().join("victim");
        match name {
            "locks" | "values" | "owners" => fs::create_dir(&victim).unwrap(),
            _ => fs::write(&victim, "precious").unwrap(),
        }
        fs::create_dir_all(path.join(name).parent().unwrap()).unwrap();
        symlink(&victim, path.join(name)).unwrap();
        match Store::open(&path) {
            Ok(_) => assert_eq!(name, "board.new", "is removed and made anew"),
            Err(error) => assert!(error.to_string().contains("remove it"), "{name}: {error}"),
        }
        match victim.is_dir() {
            true => assert_eq!(fs::read_dir(&victim).unwrap().count(), 0, "{name}"),
            false => assert_eq!(fs::read(&victim).unwrap(), b"precious", "{name}"),
        }
    }
}

#[test]
fn a_directory_that_everybody_may_write_to_is_refused_unless_asked_for() {
    let (_dir, path) = store();
    Store::open(&path).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o777)).unwrap();
    let error = Store::open(&path).unwrap_err();
    assert!(
        error.is_unsupported() && error.to_string().contains("chmod o-w"),
        "{error}"
    );
    Store::options()
        .allow_strangers_to_write(true)
        .open(&path)
        .unwrap();
}

/// root looked at a user's store once, and the user could not open it any more.
#[test]
fn what_root_makes_in_a_store_belongs_to_its_owner() {
    let (_dir, path) = store();
    fs::create_dir(&path).unwrap();
    let nobody = 65534;
    let is_root = chown(&path, Some(nobody), Some(nobody)).is_ok();
    let store = Store::open(&path).unwrap();
    let items = Deque::<Vec<u8>>::new(&store, "items").unwrap();
    items.push_back(&vec![0; 600_000]).unwrap();
    let owner = fs::metadata(&path).unwrap().uid();
    assert_eq!(is_root, owner == nobody);
    for file in files_below(&path) {
        assert_eq!(
            fs::metadata(&file).unwrap().uid(),
            owner,
            "{}",
            file.display()
        );
    }
}

/// A trigger in a database from elsewhere took away what was pushed, which said Ok; and `check` found nothing.
#[test]
#[allow(clippy::disallowed_methods, reason = "as another program does")]
fn nothing_that_others_put_into_the_database_is_run() {
    let (_dir, path) = store();
    let items = |store: &Store| Deque::<u64>::new(store, "items").unwrap();
    items(&Store::open(&path).unwrap()).push_back(&1).unwrap();
    let stranger = rusqlite::Connection::open(path.join("store.db")).unwrap();
    let table: String = stranger
        .query_row(
            "SELECT name FROM sqlite_master WHERE name LIKE 'deque%' AND type = 'table'",
            [],
            |row| row.get(0),
        )
        .unwrap();
    let evil =
        format!("CREATE TRIGGER evil AFTER INSERT ON {table} BEGIN DELETE FROM {table}; END");
    stranger.execute_batch(&evil).unwrap();
    stranger
        .execute_batch("CREATE TABLE theirs (x); DROP TABLE fences; CREATE TABLE fences (x)")
        .unwrap();
    drop(stranger);

    let store = Store::open(&path).unwrap();
    items(&store).push_back(&2).unwrap();
    assert_eq!(items(&store).len().unwrap(), 2);
    let problems: Vec<_> = store
        .check()
        .unwrap()
        .problems
        .iter()
        .map(ToString::to_string)
        .collect();
    for name in ["evil", "theirs", "fences"] {
        assert!(
            problems.iter().any(|problem| problem.contains(name)),
            "{name}: {problems:?}"
        );
    }
}
