//! Damage from outside: each gets its own clear error, and loses nothing that is not damaged itself.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use diskette::{Deque, Error, Index, Store};
use diskette_testkit::{Child, PATIENCE, SmallDisk, files_below, role};

role! {
    /// Inserts until it is killed, so that the WAL stays.
    fn writer(parent) {
        let dir: String = parent.arg(0);
        let entries = Index::<u64, u64>::new(&Store::open(&dir).unwrap(), "entries").unwrap();
        for n in 0.. {
            entries.insert(&n, &n).unwrap();
            parent.say(n);
        }
    }
}

fn a_killed_store(dir: &Path) -> PathBuf {
    let path = dir.join("store");
    let mut child = Child::spawn(writer, &[&path.display()]);
    while child.hear(PATIENCE) != "200" {}
    child.kill();
    path
}

#[test]
fn a_truncated_wal_loses_its_end_and_nothing_else() {
    for keep in [0, 20, 32, 40_000, 40_011, 150_000] {
        let dir = tempfile::tempdir().unwrap();
        let path = a_killed_store(dir.path());
        let wal = OpenOptions::new()
            .write(true)
            .open(path.join("store.db-wal"))
            .unwrap();
        let length = wal.metadata().unwrap().len();
        wal.set_len(length.min(keep)).unwrap();
        drop(wal);
        let store = Store::open(&path).unwrap();
        let entries = Index::<u64, u64>::new(&store, "entries").unwrap();
        let there: Vec<_> = entries.keys().map(Result::unwrap).collect();
        assert!(
            there.iter().copied().eq(0..there.len() as u64),
            "a beginning of what was there: {there:?}"
        );
        assert!(store.check().unwrap().is_sound());
        entries.insert(&7, &7).unwrap();
    }
}

#[test]
fn a_flipped_byte_is_an_error_or_harmless_and_never_a_panic() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    {
        let store = Store::open(&path).unwrap();
        let entries = Index::<u64, String>::new(&store, "entries").unwrap();
        entries
            .extend((0..400_u64).map(|n| (n, format!("value {n}"))))
            .unwrap();
        Deque::<u64>::new(&store, "todo")
            .unwrap()
            .extend(0..400_u64)
            .unwrap();
    }
    let database = path.join("store.db");
    let length = fs::metadata(&database).unwrap().len();
    let mut noticed = 0;
    for at in (0..length).step_by(usize::try_from(length / 150).unwrap()) {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&database)
            .unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 0x55], at).unwrap();
        let all = |store: &Store| -> Result<usize, Error> {
            let entries = Index::<u64, String>::new(store, "entries")?;
            let todo = Deque::<u64>::new(store, "todo")?;
            entries.get(&7)?;
            todo.get(7)?;
            Ok(entries.iter().collect::<Result<Vec<_>, _>>()?.len()
                + todo.iter().collect::<Result<Vec<_>, _>>()?.len())
        };
        let looked = Store::open(&path).and_then(|store| {
            let read = all(&store);
            let sound = store.check()?.is_sound();
            if !sound {
                noticed += 1;
            }
            read
        });
        if let Err(error) = looked {
            noticed += 1;
            assert!(!error.to_string().is_empty());
        }
        file.write_all_at(&byte, at).unwrap();
    }
    assert!(noticed > 10, "{noticed} of 150 flips were noticed");
    let store = Store::open(&path).unwrap();
    assert!(
        store.check().unwrap().is_sound(),
        "the bytes are back in place"
    );
}

#[test]
fn a_value_file_that_is_gone_or_cut_short_is_named_and_the_rest_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let store = Store::open(&path).unwrap();
    let large = Index::<u32, Vec<u8>>::new(&store, "large").unwrap();
    let value = |n: u8| vec![n; 1 << 20];
    let mut names = Vec::new();
    for n in 0..4 {
        large.insert(&u32::from(n), &value(n)).unwrap();
        let now = files_below(&path.join("values"));
        names.extend(
            now.into_iter()
                .filter(|file| !names.contains(file))
                .collect::<Vec<_>>(),
        );
    }
    fs::remove_file(&names[0]).unwrap();
    OpenOptions::new()
        .write(true)
        .open(&names[1])
        .unwrap()
        .set_len(5000)
        .unwrap();
    OpenOptions::new()
        .write(true)
        .open(&names[2])
        .unwrap()
        .write_all_at(b"rot", 70_000)
        .unwrap();
    for n in 0..3 {
        let error = large.get(&n).unwrap_err();
        assert!(
            error.is_corrupt()
                && error
                    .to_string()
                    .contains(&names[n as usize].display().to_string()),
            "{error}"
        );
    }
    assert_eq!(large.get(&3).unwrap(), Some(value(3)));
    assert_eq!(
        store.check().unwrap().problems.len(),
        2,
        "the third is as long as it was"
    );
    for n in 0..3 {
        assert!(large.delete(&n).unwrap());
    }
    assert!(store.check().unwrap().is_sound());
    assert_eq!(large.len().unwrap(), 1);
}

#[test]
fn a_full_disk_is_an_error_that_loses_nothing() {
    let Some(disk) = SmallDisk::mount(4) else {
        eprintln!("skipped: mounting takes privileges that this user does not have");
        return;
    };
    fs::write(disk.path().join("ballast"), vec![0; 1 << 20]).unwrap();
    let store = Store::open(disk.path().join("store")).unwrap();
    let todo = Deque::<Vec<u8>>::new(&store, "todo").unwrap();
    let large = Index::<u32, Vec<u8>>::new(&store, "large").unwrap();
    let mut pushed = 0_u32;
    let full = loop {
        match todo.push_back(&vec![7; 30_000]) {
            Ok(()) => pushed += 1,
            Err(error) => break error,
        }
    };
    assert!(full.is_disk_full(), "{full}");
    assert!(
        large
            .insert(&1, &vec![1; 3 << 20])
            .unwrap_err()
            .is_disk_full()
    );
    assert_eq!(todo.len().unwrap(), pushed as usize);
    assert!(todo.iter().all(|item| item.unwrap() == vec![7; 30_000]));
    assert!(store.check().unwrap().is_sound());
    fs::remove_file(disk.path().join("ballast")).unwrap();
    todo.push_front(&vec![8; 30_000]).unwrap();
    assert_eq!(todo.pop_front().unwrap(), Some(vec![8; 30_000]));
}

#[test]
fn a_directory_that_may_not_be_written_is_refused_in_so_many_words() {
    let Some(disk) = SmallDisk::mount(4) else {
        eprintln!("skipped: mounting takes privileges that this user does not have");
        return;
    };
    let remounted = Command::new("mount")
        .args(["-o", "remount,ro"])
        .arg(disk.path())
        .status()
        .unwrap();
    assert!(remounted.success());
    let error = Store::open(disk.path().join("store")).unwrap_err();
    assert!(error.is_read_only(), "{error}");
    assert!(error.to_string().contains("read-only"), "{error}");
}
