//! Databases below a store, over which one of its structures is spread.
#![allow(clippy::unwrap_used, reason = "this is how a test fails")]

use std::fs;
use std::path::Path;
use std::sync::mpsc;

use diskette_store::{Access, Durability, Kind, ShardSet, Store, Structure};
use diskette_testkit::{Forked, PATIENCE, eventually};
use tempfile::tempdir;

static KIND: Kind = Kind {
    name: "spread",
    format: 1,
    schema: &[],
    tables: &[],
    bring_over: &[],
    claims: None,
};

/// The shards of a structure, which is made if it is missing.
fn spread(store: &Store, count: u32) -> diskette_store::Result<Vec<Store>> {
    let structure = Structure::open(store, &KIND, "spread", "", |_, _| Ok(()))?;
    let of = ShardSet {
        structure: structure.id(),
        set: 1,
    };
    store.shards(of, count)
}

fn write(store: &Store) -> diskette_store::Result<()> {
    store.write(|db| {
        db.execute("CREATE TABLE IF NOT EXISTS t (n INTEGER)", &[])?;
        db.execute("INSERT INTO t VALUES (1)", &[]).map(drop)
    })
}

fn written(store: &Store) -> i64 {
    let count = store.read_one(|db| db.query_one("SELECT count(*) FROM t", &[], |row| row.int(0)));
    count.unwrap().unwrap()
}

/// Ten files for each of 64 shards, and two threads, would be more than many a system lets a process have.
#[test]
fn many_shards_have_few_files_open() {
    let dir = tempdir().unwrap();
    let path = dir.path().canonicalize().unwrap();
    let store = Store::open(&path).unwrap();
    let shards = spread(&store, 64).unwrap();
    for shard in &shards {
        write(shard).unwrap();
        assert_eq!(written(shard), 1);
    }
    let open = fs::read_dir("/proc/self/fd").unwrap();
    let open = open.filter_map(|fd| fs::read_link(fd.unwrap().path()).ok());
    let open = open.filter(|file| file.starts_with(&path)).count();
    assert!(open <= 64 * 7 + 12, "{open} files are open");
}

#[test]
fn shards_are_each_for_itself_and_the_same_when_they_are_opened_again() {
    let dir = tempdir().unwrap();
    let open = || {
        Store::options()
            .durability(Durability::Power)
            .open(dir.path())
            .unwrap()
    };
    {
        let store = open();
        let shards = spread(&store, 2).unwrap();
        assert_eq!(shards[1].durability(), Durability::Power);
        // Neither waits for a turn that the other, or their store, has.
        store
            .transaction(|_| shards[0].transaction(|_| write(&shards[1])))
            .unwrap();
        assert!(Forked::child(|| write(&shards[1]).unwrap()).ended_well());
    }
    let shards = spread(&open(), 2).unwrap();
    assert_eq!(written(&shards[1]), 2);
    let again = spread(&open(), 2).unwrap();
    write(&again[1]).unwrap();
    assert_eq!(written(&shards[1]), 3);
}

#[test]
fn a_shard_is_no_store_by_itself() {
    let dir = tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let shard = spread(&store, 1).unwrap().remove(0);
    for read_only in [false, true] {
        let error = Store::options().read_only(read_only).open(shard.path());
        let error = error.unwrap_err();
        assert!(error.is_not_a_store(), "{error}");
        assert!(error.to_string().contains("a part of the store"), "{error}");
    }
}

#[test]
fn shards_can_be_read_where_nobody_may_write() {
    let dir = tempdir().unwrap();
    let written_before = spread(&Store::open(dir.path()).unwrap(), 2).unwrap();
    write(&written_before[1]).unwrap();
    drop(written_before);
    let store = Store::options().read_only(true).open(dir.path()).unwrap();
    let shards = spread(&store, 2).unwrap();
    assert_eq!(written(&shards[1]), 1);
    assert!(write(&shards[1]).unwrap_err().is_read_only());
    assert!(spread(&store, 3).unwrap_err().is_not_a_store());
}

/// What a process was about to write into a shard when it died is in its will, and only who has the shards open can tell
/// whether a row names it: so until then the will is kept.
#[test]
fn a_large_value_of_a_dead_process_leaves_its_shard() {
    let dir = tempdir().unwrap();
    drop(spread(&Store::open(dir.path()).unwrap(), 2).unwrap());
    let (orphan, name) = (0x1234_5678_9abc_def0_i64, "values/12/3456789abcdef0");
    let file = dir.path().join("shards/1-0000000000000001/001").join(name);
    let owner = dir.path().join("owners/0000000000000007");
    let write = |path: &Path, bytes: &[u8]| {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    };
    write(&file, b"half of it");
    write(&owner, &orphan.to_le_bytes());

    let store = Store::open(dir.path()).unwrap();
    let (done, settled) = mpsc::channel();
    store.in_background(move |_| done.send(()).unwrap());
    settled.recv().unwrap();
    assert!(owner.exists() && file.exists());
    let _shards = spread(&store, 2).unwrap();
    eventually(PATIENCE, || !owner.exists());
    assert!(!file.exists());
}

#[test]
fn what_is_done_to_a_store_is_done_to_its_shards() {
    let dir = tempdir().unwrap();
    let (path, copy) = (dir.path().join("store"), dir.path().join("copy"));
    let store = Store::open(&path).unwrap();
    let shards = spread(&store, 2).unwrap();
    write(&shards[1]).unwrap();
    let stored = shards[1].store_stream(&mut [7; 1000].as_slice()).unwrap();
    shards[1].write(|db| stored.link(db)).unwrap();
    assert_eq!(store.stats().unwrap().value_bytes, 1000);
    store.compact().unwrap();

    store.backup(&copy).unwrap();
    assert_eq!(
        written(&spread(&Store::open(&copy).unwrap(), 2).unwrap()[1]),
        1
    );
    fs::remove_dir_all(copy.join("shards/1-0000000000000001/001/values")).unwrap();
    let problems = Store::open(&copy).unwrap().check().unwrap().problems;
    assert!(
        problems.iter().any(|it| it
            .to_string()
            .starts_with("shards/1-0000000000000001/001: ")),
        "{problems:?}"
    );

    assert!(store.remove_structure("spread").unwrap());
    assert!(!path.join("shards/1-0000000000000001").exists());
}
