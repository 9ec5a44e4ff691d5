//! Who is alive, who is dead, and what the dead leave.
#![allow(clippy::unwrap_used)]

use std::fs::{self, OpenOptions, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use diskette_ipc::{OwnerId, Owners};
use diskette_testkit::{Child, Gate, PATIENCE, role};
use tempfile::{TempDir, tempdir};

role! {
    /// Lives, with a will of three entries.
    fn testator(parent) {
        let owners = open(&parent.arg::<PathBuf>(0));
        owners.bequeath(9).unwrap();
        owners.settled(9).unwrap();
        for entry in [1, 4, -2, i64::MAX] {
            owners.bequeath(entry).unwrap();
        }
        owners.settled(4).unwrap();
        parent.say(owners.me().unwrap().as_i64());
        parent.hear();
    }
}

role! {
    /// Reads all the owner files there are.
    fn archivist(parent) {
        let home: PathBuf = parent.arg(0);
        let owners = open(&home);
        let me = owners.me().unwrap();
        for entry in fs::read_dir(home.join("owners")).unwrap() {
            fs::read(entry.unwrap().path()).unwrap();
        }
        parent.say(me.as_i64());
        parent.hear();
    }
}

role! {
    /// Lives many short lives.
    fn mayfly(parent) {
        let home: PathBuf = parent.arg(0);
        parent.say("ready");
        Gate::pass(home.join("gate"));
        for _ in 0..300 {
            let owners = open(&home);
            let me = owners.me().unwrap();
            assert!(file(&home, me).exists(), "buried alive");
            assert!(owners.dead().unwrap().is_empty(), "someone looks dead");
            assert!(file(&home, me).exists(), "buried alive");
        }
        parent.say("done");
    }
}

fn home() -> TempDir {
    let home = tempdir().unwrap();
    fs::create_dir(home.path().join("owners")).unwrap();
    home
}

fn open(home: &Path) -> Owners {
    Owners::open(&home.join("owners"), home.join("lock")).unwrap()
}

fn file(home: &Path, id: OwnerId) -> PathBuf {
    home.join("owners").join(id.to_string())
}

fn id(said: &str) -> OwnerId {
    OwnerId::from_i64(said.parse().unwrap())
}

#[test]
fn the_killed_are_dead_at_once_and_leave_their_will() {
    let home = home();
    let owners = open(home.path());
    let mut child = Child::spawn(testator, &[&home.path().display()]);
    let other = id(&child.hear(PATIENCE));

    assert_ne!(owners.me().unwrap(), other);
    assert!(owners.is_alive(other).unwrap());
    assert!(owners.dead().unwrap().is_empty());
    assert_eq!(
        owners.bury(other).unwrap_err().kind(),
        ErrorKind::InvalidInput
    );

    child.kill();
    assert!(!owners.is_alive(other).unwrap());
    assert_eq!(owners.dead().unwrap(), [other]);
    assert_eq!(owners.will(other).unwrap(), [1, -2, i64::MAX]);

    // Rotten: some bytes too many.
    fs::set_permissions(file(home.path(), other), Permissions::from_mode(0o600)).unwrap();
    let mut rotten = OpenOptions::new()
        .append(true)
        .open(file(home.path(), other))
        .unwrap();
    rotten.write_all(b"rot").unwrap();
    assert_eq!(owners.will(other).unwrap(), [1, -2, i64::MAX]);

    owners.bury(other).unwrap();
    owners.bury(other).unwrap();
    assert!(owners.dead().unwrap().is_empty());
    assert!(!owners.is_alive(other).unwrap());
    assert!(owners.will(other).unwrap().is_empty());
}

#[test]
fn a_process_is_one_owner_until_its_last_handle_is_dropped() {
    let home = home();
    let (one, two) = (open(home.path()), open(home.path()));
    let me = one.me().unwrap();
    assert_eq!(two.me().unwrap(), me);
    assert!(two.is_alive(me).unwrap());
    assert!(one.bury(me).is_err());
    assert!(one.will(me).unwrap().is_empty());

    drop(one);
    assert!(file(home.path(), me).exists());
    drop(two);
    assert!(
        !file(home.path(), me).exists(),
        "an orderly end leaves nothing"
    );

    let last = open(home.path());
    let with_will = last.me().unwrap();
    assert_ne!(with_will, me);
    last.bequeath(5).unwrap();
    drop(last);
    let next = open(home.path());
    assert_eq!(next.dead().unwrap(), [with_will]);
    assert_eq!(next.will(with_will).unwrap(), [5]);
}

/// Between its creation and its lock an owner file looks like a dead owner's; and a process that opened and closed its
/// own would lose the lock.
#[test]
fn nobody_is_taken_for_dead_while_being_born() {
    let home = home();
    let gate = Gate::closed(home.path().join("gate"));
    let spawn = |_| Child::spawn(mayfly, &[&home.path().display()]);
    let mut children: Vec<_> = (0..4).map(spawn).collect();
    for child in &mut children {
        child.hear(PATIENCE);
    }
    gate.open();
    for child in &mut children {
        assert_eq!(child.hear(PATIENCE), "done");
    }
}

/// A program that read its own owner file (it archived the directory) lost its lock with the descriptor that it closed:
/// others took it for dead and had its lock while it worked.
#[test]
fn whoever_reads_its_own_owner_file_stays_alive() {
    let home = home();
    let owners = open(home.path());
    let mut reader = Child::spawn(archivist, &[&home.path().display()]);
    let other = id(&reader.hear(PATIENCE));
    assert!(owners.is_alive(other).unwrap());
    assert!(owners.dead().unwrap().is_empty());
    reader.kill();
    assert_eq!(owners.dead().unwrap(), [other]);
}

/// The file of a process of root's was root's alone: its owner could not open the store any more. Whom one can't ask about
/// is alive.
#[test]
fn an_owner_file_can_be_read_by_all_and_stops_nobody() {
    let home = home();
    let owners = open(home.path());
    let me = owners.me().unwrap();
    let mode = |id| fs::metadata(file(home.path(), id)).unwrap().permissions();
    assert_eq!(mode(me).mode() & 0o777, 0o444);

    let (link, directory) = (OwnerId::from_i64(1), OwnerId::from_i64(2));
    symlink(file(home.path(), me), file(home.path(), link)).unwrap();
    fs::create_dir(file(home.path(), directory)).unwrap();
    assert!(owners.dead().unwrap().is_empty());
    assert!(!owners.is_alive(link).unwrap());
}

/// A will was emptied only when nothing at all was in it, so that threads which overlap filled it up, and no more large value
/// could be written.
#[test]
fn a_will_takes_no_more_room_than_what_is_in_it_at_once() {
    let home = home();
    let owners = open(home.path());
    let me = owners.me().unwrap();
    owners.bequeath(1).unwrap();
    for entry in 2..1000 {
        owners.bequeath(entry).unwrap();
        owners.settled(entry - 1).unwrap();
    }
    assert_eq!(owners.will(me).unwrap(), [999]);
    assert_eq!(fs::metadata(file(home.path(), me)).unwrap().len(), 16);
}

#[test]
fn strange_files_are_nobody() {
    let home = home();
    let owners = open(home.path());
    for name in [
        "notes",
        "12",
        "000000000000000G",
        "00000000000000AB",
        ".tmp",
    ] {
        fs::write(home.path().join("owners").join(name), "?").unwrap();
    }
    assert!(owners.dead().unwrap().is_empty());
    assert!(owners.others().unwrap().is_empty());
}
