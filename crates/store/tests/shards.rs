//! Databases below a store, over which one of its structures is spread.
#![allow(clippy::unwrap_used, reason = "this is how a test fails")]

use std::fs;
use std::path::Path;

use diskette_store::{Access, Durability, Shards, Store};
use diskette_testkit::{Forked, PATIENCE, eventually};
use tempfile::tempdir;

const SET: Shards = Shards {
    structure: 7,
    set: 1,
};

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
    let shards = store.shards(SET, 64).unwrap();
    for shard in &shards {
        write(shard).unwrap();
        assert_eq!(written(shard), 1);
    }
    let open = fs::read_dir("/proc/self/fd").unwrap();
    let open = open.filter_map(|fd| fs::read_link(fd.unwrap().path()).ok());
    let open = open.filter(|file| file.starts_with(&path)).count();
    assert!(open <= 64 * 6 + 10, "{open} files are open");
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
        let shards = store.shards(SET, 2).unwrap();
        assert_eq!(shards[1].durability(), Durability::Power);
        // Neither waits for a turn that the other, or their store, has.
        store
            .transaction(|_| shards[0].transaction(|_| write(&shards[1])))
            .unwrap();
        assert!(Forked::child(|| write(&shards[1]).unwrap()).ended_well());
    }
    let shards = open().shards(SET, 2).unwrap();
    assert_eq!(written(&shards[1]), 2);
    let again = open().shards(SET, 2).unwrap();
    write(&again[1]).unwrap();
    assert_eq!(written(&shards[1]), 3);
}

#[test]
fn a_shard_is_no_store_by_itself() {
    let dir = tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let shard = store.shards(SET, 1).unwrap().remove(0);
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
    let written_before = Store::open(dir.path()).unwrap().shards(SET, 2).unwrap();
    write(&written_before[1]).unwrap();
    drop(written_before);
    let store = Store::options().read_only(true).open(dir.path()).unwrap();
    let shards = store.shards(SET, 2).unwrap();
    assert_eq!(written(&shards[1]), 1);
    assert!(write(&shards[1]).unwrap_err().is_read_only());
    assert!(store.shards(SET, 3).unwrap_err().is_not_a_store());
}

/// What a process was about to write into a shard when it died is in its will, and only who has the shards open can tell
/// whether a row names it: so until then the will is kept.
#[test]
fn a_large_value_of_a_dead_process_leaves_its_shard() {
    let dir = tempdir().unwrap();
    drop(Store::open(dir.path()).unwrap().shards(SET, 2).unwrap());
    let (orphan, name) = (0x1234_5678_9abc_def0_i64, "values/12/3456789abcdef0");
    let file = dir.path().join("shards/7-1/001").join(name);
    let owner = dir.path().join("owners/0000000000000007");
    let write = |path: &Path, bytes: &[u8]| {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    };
    write(&file, b"half of it");
    write(&owner, &orphan.to_le_bytes());

    let store = Store::open(dir.path()).unwrap();
    store.repair().unwrap();
    assert!(owner.exists() && file.exists());
    let _shards = store.shards(SET, 2).unwrap();
    eventually(PATIENCE, || !owner.exists());
    assert!(!file.exists());
}
