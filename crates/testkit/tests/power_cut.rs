//! That the recorder leaves what POSIX promises and nothing more, and outlives what fails under it.
#![cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
#![allow(clippy::unwrap_used, reason = "this is how a test fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::thread;

use diskette_testkit::{PowerCut, power_cuts, role};

role! {
    /// Writes, syncs, renames and cuts off.
    fn scribe(parent) {
        let disk: PathBuf = parent.arg(0);
        parent.hear();
        let mut file = File::create(disk.join("synced")).unwrap();
        file.write_all(b"surely").unwrap();
        file.sync_all().unwrap();
        file.write_all(b", or not").unwrap();
        fs::write(disk.join("unsynced"), "lost").unwrap();
        parent.say("written");
        // In a thread that was started meanwhile.
        let sync = move || File::open(disk).unwrap().sync_all().unwrap();
        thread::spawn(sync).join().unwrap();
        let disk: PathBuf = parent.arg(0);
        file.set_len(4).unwrap();
        fs::rename(disk.join("old"), disk.join("new")).unwrap();
        parent.say("renamed");
    }
}

role! {
    /// Fails.
    fn clumsy(parent) {
        parent.hear();
        panic!("dropped it");
    }
}

role! {
    /// Waits for what nobody says.
    fn patient(parent) {
        parent.hear();
        parent.say("here");
        parent.hear();
    }
}

type Contents = BTreeMap<String, String>;

fn contents(of: &[(&str, &str)]) -> Contents {
    let owned = of
        .iter()
        .map(|(name, content)| ((*name).to_owned(), (*content).to_owned()));
    owned.collect()
}

fn restored(cut: &PowerCut<'_>) -> Contents {
    let image = tempfile::tempdir().unwrap();
    cut.restore(image.path());
    let read = |path: PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        (name, fs::read_to_string(path).unwrap())
    };
    let entries = fs::read_dir(image.path()).unwrap();
    entries.map(|entry| read(entry.unwrap().path())).collect()
}

#[test]
fn what_was_not_synced_is_there_or_not_whichever_is_worse() {
    let disk = tempfile::tempdir().unwrap();
    fs::write(disk.path().join("old"), "was there").unwrap();
    let mut left = BTreeMap::<String, BTreeSet<Contents>>::new();
    power_cuts(scribe, &[&disk.path().display()], disk.path(), |cut| {
        let said = cut.said().last().cloned().unwrap_or_default();
        left.entry(said).or_default().insert(restored(cut));
    });

    let old = ("old", "was there");
    let unsynced = ("unsynced", "");
    assert_eq!(
        left["written"],
        BTreeSet::from([
            contents(&[old]),
            contents(&[old, ("synced", "surely"), unsynced]),
            // After the sync of the directory and the truncation:
            contents(&[old, ("synced", "sure"), unsynced]),
            // After the renaming:
            contents(&[("new", "was there"), ("synced", "sure"), unsynced]),
            contents(&[("synced", "sure"), unsynced]),
        ])
    );
    assert_eq!(
        left["renamed"],
        BTreeSet::from([
            contents(&[("new", "was there"), ("synced", "sure"), unsynced]),
            contents(&[old, ("synced", "surely"), unsynced]),
            contents(&[("synced", "sure"), unsynced]),
        ])
    );
}

#[test]
#[should_panic(expected = "the child didn't end well")]
fn a_role_that_fails_fails_the_test() {
    power_cuts(clumsy, &[], &nowhere(), |_| ());
}

#[test]
#[should_panic(expected = "found wanting")]
fn a_look_that_fails_ends_the_role() {
    power_cuts(patient, &[], &nowhere(), |cut| {
        assert!(cut.said().is_empty(), "found wanting");
    });
}

fn nowhere() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}
