//! Members that are killed at each step that others can see: each change of the locks and of the head of the WAL-index, and each call.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use diskette_testkit::{Child, Parent, kill_at_step, role, thread_id};
use rusqlite::Connection;

use crate::contents::{
    PATIENCE, READ_ASIDE, WRITE_ASIDE, aside, copy_log, count_on, member, must_be_sound, newcomer,
    number, write_aside,
};
use crate::strangers::program;

role! {
    /// Does one thing: comes, goes, or runs a statement.
    fn victim(parent) {
        let (dir, what): (PathBuf, String) = (parent.arg(0), parent.arg(1));
        match what.as_str() {
            COME => {
                // A setting would make it a member.
                let connection = newcomer(&dir);
                step_by_step(parent, || assert!(aside(&connection).unwrap() >= 0));
            }
            GO => {
                let connection = prepared(member(&dir));
                step_by_step(parent, || drop(connection));
            }
            sql => {
                let connection = prepared(member(&dir));
                assert!(aside(&connection).unwrap() >= 0);
                let mut statement = connection.prepare(sql).unwrap();
                step_by_step(parent, || {
                    let _ = statement.query([]).unwrap().next().unwrap();
                });
            }
        }
    }
}

fn step_by_step(parent: &Parent, act: impl FnOnce()) {
    parent.say(thread_id());
    parent.hear();
    act();
    parent.say("done");
    parent.hear();
}

/// It does nothing but what it does to the files and the memory that others share.
fn prepared(connection: Connection) -> Connection {
    connection
        .execute_batch("PRAGMA cache_size = 1000")
        .unwrap();
    connection
}

/// What is done that is no statement.
const COME: &str = "come";
const GO: &str = "go";

role! {
    /// Leaves the WAL-index as one who is killed while he writes its header.
    fn spoiler(parent) {
        let index = parent.arg::<PathBuf>(0).join("database-shm");
        let index = OpenOptions::new().write(true).open(index).unwrap();
        index.write_all_at(&[0xab; 8], 16).unwrap();
        parent.say("spoilt");
    }
}

/// Kills one who does this at each of its steps. Others who live meanwhile see one state or the other, go on at once, and
/// what one of them `reads` on the side, if he does, stays as it is.
#[track_caller]
fn survives(statement: &str, reads: bool, prepare: impl Fn(&Path, &Connection)) {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path();
    let mut writer = member(dir);
    let reader = member(dir);
    let mut stranger = program(dir);
    for connection in [&writer, &reader] {
        connection.busy_timeout(Duration::ZERO).unwrap();
    }
    let shared = [("database-shm", 136), ("locks", 4096 + 16 * 64)];
    let shared = shared.map(|(name, size)| (dir.join(name), size));
    let shared = shared
        .each_ref()
        .map(|(path, size)| (path.as_path(), *size));
    let mut steps = 0;
    loop {
        let at = format!("at step {steps} of {statement}");
        let mut child = Child::spawn(victim, &[&dir.display(), &statement]);
        let thread = child.hear(PATIENCE).parse().unwrap();
        assert!(copy_log(&writer, "TRUNCATE").unwrap(), "{at}");
        write_aside(&writer).unwrap();
        let before = (number(&writer).unwrap(), aside(&writer).unwrap());
        if reads {
            reader.execute_batch("BEGIN").unwrap();
            assert_eq!(aside(&reader).unwrap(), before.1, "{at}");
        }
        prepare(dir, &writer);
        let was_killed = kill_at_step(child, thread, "go", &shared, steps);

        let now = aside(&writer).unwrap();
        assert!((before.1..before.1 + 3).contains(&now), "{now} {at}");
        count_on(&mut writer).unwrap();
        copy_log(&writer, "PASSIVE").unwrap();
        count_on(&mut writer).unwrap();
        if reads {
            assert_eq!(aside(&reader).unwrap(), before.1, "{at}");
            assert_eq!(number(&reader).unwrap(), before.0, "{at}");
            reader.execute_batch("COMMIT").unwrap();
        }
        let expected = before.0 + 2;
        assert_eq!(number(&reader).unwrap(), expected, "{at}");
        stranger.say("read");
        assert_eq!(stranger.hear(PATIENCE), expected.to_string(), "{at}");
        must_be_sound(&writer);
        if !was_killed {
            assert!(steps > 3, "{at}");
            return;
        }
        steps += 1;
    }
}

#[test]
fn a_commit() {
    survives(WRITE_ASIDE, true, |_, writer| write_aside(writer).unwrap());
}

#[test]
fn a_commit_that_begins_the_log_anew() {
    survives(WRITE_ASIDE, false, |_, writer| {
        assert!(copy_log(writer, "PASSIVE").unwrap());
    });
}

#[test]
fn a_checkpoint() {
    let copy = "PRAGMA wal_checkpoint(PASSIVE)";
    survives(copy, true, |_, writer| write_aside(writer).unwrap());
}

#[test]
fn a_checkpoint_that_empties_the_log() {
    survives("PRAGMA wal_checkpoint(TRUNCATE)", false, |_, _| {});
}

#[test]
fn a_recovery() {
    survives(READ_ASIDE, true, |dir, _| {
        let mut child = Child::spawn(spoiler, &[&dir.display()]);
        assert_eq!(child.hear(PATIENCE), "spoilt");
        assert!(child.wait(PATIENCE).success());
    });
}

#[test]
fn joining() {
    survives(COME, true, |_, _| {});
}

#[test]
fn leaving() {
    survives(GO, true, |_, _| {});
}
