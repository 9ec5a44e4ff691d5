//! A store that several users have, and one that isn't there.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::PathBuf;
use std::process::Command;

use diskette::{Deque, Index, Lock, Store};
use diskette_testkit::{Child, PATIENCE, role};

const GROUP: u32 = 54_321;

role! {
    /// Works in a store, for a while.
    fn member(parent) {
        let path: PathBuf = parent.arg(0);
        let store = Store::options().share_with_group(true).open(&path).unwrap();
        let todo = Deque::<String>::new(&store, "todo").unwrap();
        let large = Index::<u32, String>::new(&store, "large").unwrap();
        let lock = Lock::new(&store, "lock").unwrap();
        let me = std::process::id();
        parent.say("open");
        while parent.hear() == "go on" {
            let _guard = lock.lock().unwrap();
            todo.push_back("item").unwrap();
            large.insert(&0, &me.to_string().repeat(200_000)).unwrap();
            large.insert(&me, &"x".repeat(600_000)).unwrap();
            let claim = todo.claim_front(PATIENCE).unwrap().unwrap();
            claim.complete_now().unwrap();
            parent.say(large.len().unwrap());
        }
    }
}

/// A service and its operator couldn't share a store, however its directory was set up: all was made 0600.
#[test]
fn users_of_a_group_share_a_store() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    fs::create_dir(&path).unwrap();
    let as_user = |user: u32| {
        let ids = [
            format!("--reuid={user}"),
            format!("--regid={user}"),
            format!("--groups={GROUP}"),
        ];
        ["setpriv".to_owned()]
            .into_iter()
            .chain(ids)
            .collect::<Vec<_>>()
    };
    let may = |user: u32| {
        let starter = as_user(user);
        let this = std::env::current_exe().unwrap();
        let list = Command::new(&starter[0])
            .args(&starter[1..])
            .arg(this)
            .arg("--list")
            .output();
        list.is_ok_and(|list| list.status.success())
    };
    if chown(&path, Some(54_001), Some(GROUP)).is_err() || !may(54_001) {
        eprintln!("not tested: this user can't become others, or they can't run this program");
        return;
    }
    fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
    let mut members: Vec<Child> = [54_001, 54_002]
        .into_iter()
        .map(|user| {
            let starter = as_user(user);
            let starter: Vec<&str> = starter.iter().map(String::as_str).collect();
            let mut child = Child::spawn_under(&starter, member, &[&path.display()]);
            // Only its owner can share a directory.
            assert_eq!(child.hear(PATIENCE), "open");
            child
        })
        .collect();
    for _ in 0..3 {
        for member in &mut members {
            member.say("go on");
        }
        for member in &mut members {
            member.hear(PATIENCE);
        }
    }
    // One dies with the lock, the other goes on.
    members[0].kill();
    members[1].say("go on");
    assert_eq!(members[1].hear(PATIENCE), "3");
    for entry in [
        path.join("store.db"),
        path.join("board"),
        path.join("values"),
    ] {
        let found = fs::metadata(&entry).unwrap();
        assert_eq!(
            (found.gid(), found.mode() & 0o070),
            (GROUP, if found.is_dir() { 0o070 } else { 0o060 })
        );
        assert_eq!(found.mode() & 0o007, 0);
    }
}

/// To look at a mistyped path made a store there, and said that all was well.
#[test]
fn where_none_is_to_be_made_there_is_none() {
    let dir = tempfile::tempdir().unwrap();
    for path in [dir.path().join("mistyped"), dir.path().to_owned()] {
        let look = || Store::options().create(false).open(&path);
        let error = look().unwrap_err();
        assert!(
            error.is_not_a_store() && error.to_string().contains("no store"),
            "{error}"
        );
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    let path = dir.path().join("store");
    let store = Store::open(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o700);
    drop(store);
    Store::options().create(false).open(&path).unwrap();
    let shared = Store::options().share_with_group(true).open(&path);
    assert!(shared.unwrap_err().is_unsupported());
}

/// Where `umask` is 002, each new directory is group-writable; that alone shares nothing, and is no reason to refuse it.
#[test]
fn a_group_writable_directory_that_nobody_shared_holds_a_private_store() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    fs::create_dir(&path).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o775)).unwrap();
    let store = Store::open(&path).unwrap();
    let index = Index::<u32, String>::new(&store, "index").unwrap();
    index.insert(&0, &"x".repeat(600_000)).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o775);
    for entry in fs::read_dir(&path).unwrap() {
        let found = entry.unwrap().metadata().unwrap();
        assert_eq!(found.mode() & 0o077, 0);
    }
}
