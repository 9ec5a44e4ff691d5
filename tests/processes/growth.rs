//! What would grow for ever if nobody tidied up: the log, the files of large values, the owner files.

use std::fs;
use std::path::PathBuf;

use diskette::{Deque, Error, Index, Store};
use diskette_testkit::{
    Child, Forked, PATIENCE, eventually, files_below, role, take_all_descriptors,
};

role! {
    /// Writes a megabyte in small updates, and ends: in good order, or not.
    fn shortlived(parent) {
        let store = Store::open(parent.arg::<PathBuf>(0)).unwrap();
        let entries = Index::<u64, Vec<u8>>::new(&store, "entries").unwrap();
        for n in 0..60 {
            entries.insert(&(n % 7), &vec![7; 16_000]).unwrap();
        }
        if parent.arg(1) {
            drop((entries, store));
        }
        parent.say("done");
        Forked::end(true);
    }
}

/// A hundred commands, one after the other, left a log of 120 MB beside a process that only reads: each counted what it had
/// written itself, and none wrote enough to copy it.
#[test]
fn the_log_of_short_lived_writers_stays_short() {
    for in_good_order in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store");
        let reader = Store::open(&path).unwrap();
        let _entries = Index::<u64, Vec<u8>>::new(&reader, "entries").unwrap();
        for _ in 0..60 {
            let mut child = Child::spawn(shortlived, &[&path.display(), &in_good_order]);
            assert_eq!(child.hear(PATIENCE), "done");
        }
        let length = reader.stats().unwrap().wal_bytes;
        let most = if in_good_order { 12 } else { 40 };
        assert!(
            length < most << 20,
            "{length} bytes; closed: {in_good_order}"
        );
    }
}

role! {
    /// Has a snapshot open until it is told to end it, and stays.
    fn onlooker(parent) {
        let store = Store::open(parent.arg::<PathBuf>(0)).unwrap();
        let values = Index::<u64, Vec<u8>>::new(&store, "values").unwrap();
        let seen = store.snapshot(|snapshot| {
            let values = values.within(snapshot);
            values.len()?;
            parent.say("looking");
            parent.hear();
            Ok::<_, Error>(values.get(&1)?.unwrap()[0])
        });
        parent.say(seen.unwrap());
        parent.hear();
    }
}

fn large(fill: u8) -> Vec<u8> {
    vec![fill; 600_000]
}

/// They stayed until the next large value was replaced, by the same process; and for ever, if snapshots overlapped.
#[test]
fn replaced_files_go_with_the_last_snapshot_that_may_want_them() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let store = Store::open(&path).unwrap();
    let values = Index::<u64, Vec<u8>>::new(&store, "values").unwrap();
    values.insert(&1, &large(1)).unwrap();
    let look = || {
        let mut child = Child::spawn(onlooker, &[&path.display()]);
        assert_eq!(child.hear(PATIENCE), "looking");
        child
    };
    let mut early = look();
    values.insert(&1, &large(2)).unwrap();
    let mut late = look();
    values.insert(&1, &vec![3]).unwrap();
    early.say("end");
    assert_eq!(early.hear(PATIENCE), "1");
    eventually(PATIENCE, || files_below(&path.join("values")).len() == 1);
    late.say("end");
    assert_eq!(late.hear(PATIENCE), "2");
    eventually(PATIENCE, || files_below(&path.join("values")).is_empty());
    assert_eq!(store.check().unwrap().problems, []);
}

role! {
    /// Claims an item and begins a large value, and stays.
    fn claimer(parent) {
        let store = Store::open(parent.arg::<PathBuf>(0)).unwrap();
        let items = Deque::<u64>::new(&store, "items").unwrap();
        let _claim = items.try_claim_front().unwrap().unwrap();
        parent.say(store.claimant().unwrap());
        parent.hear();
    }
}

/// An estate that could not be settled at once was never tried again.
#[test]
fn an_estate_is_settled_as_soon_as_it_can_be() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let store = Store::open(&path).unwrap();
    let items = Deque::<u64>::new(&store, "items").unwrap();
    items.push_back(&1).unwrap();
    let mut child = Child::spawn(claimer, &[&path.display()]);
    let owner = path.join("owners").join(child.hear(PATIENCE));
    // Its will names what can't be unlinked.
    let (orphan, name) = (0x1234_5678_9abc_def0_i64, "values/12/3456789abcdef0");
    fs::create_dir_all(path.join(name)).unwrap();
    let mut permissions = fs::metadata(&owner).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o644);
    fs::set_permissions(&owner, permissions).unwrap();
    fs::write(&owner, orphan.to_le_bytes()).unwrap();
    child.kill();
    eventually(PATIENCE, || items.try_claim_front().unwrap().is_some());
    assert!(owner.exists());
    fs::remove_dir(path.join(name)).unwrap();
    eventually(PATIENCE, || !owner.exists());
}

role! {
    /// Is out of descriptors while somebody dies, until it is told to go on.
    fn exhausted(parent) {
        let store = Store::open(parent.arg::<PathBuf>(0)).unwrap();
        let items = Deque::<u64>::new(&store, "items").unwrap();
        assert!(items.try_claim_front().unwrap().is_none());
        let files = take_all_descriptors();
        parent.say("exhausted");
        parent.hear();
        drop(files);
        parent.say(items.claim_front(PATIENCE).unwrap().is_some());
    }
}

/// One error ended the watch for deaths for good: the claims of who died then, and of all who died later, stayed.
#[test]
fn deaths_are_heard_of_again_after_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    {
        let store = Store::open(&path).unwrap();
        Deque::<u64>::new(&store, "items")
            .unwrap()
            .push_back(&1)
            .unwrap();
    }
    let mut claimer = Child::spawn(claimer, &[&path.display()]);
    claimer.hear(PATIENCE);
    let mut child = Child::spawn(exhausted, &[&path.display()]);
    assert_eq!(child.hear(PATIENCE), "exhausted");
    let before = undertaker_sleeps(child.id());
    claimer.kill();
    // It has met the error, or is gone.
    eventually(PATIENCE, || {
        undertaker_sleeps(child.id()).is_none_or(|now| Some(now) > before)
    });
    child.say("go on");
    assert_eq!(child.hear(PATIENCE), "true");
}

fn undertaker_sleeps(pid: u32) -> Option<u64> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let status = tasks
        .filter_map(|task| fs::read_to_string(task.unwrap().path().join("status")).ok())
        .find(|status| status.contains("diskette-undert"))?;
    let line = status.lines().find(|line| line.starts_with("voluntary"))?;
    line.split_whitespace().last()?.parse().ok()
}
