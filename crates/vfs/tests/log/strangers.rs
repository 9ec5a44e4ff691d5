//! Programs that open the database by stock SQLite.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use diskette_testkit::{Child, Parent, role};
use rusqlite::{Connection, ErrorCode};

use crate::contents::{
    PATIENCE, begin, change, copy_log, count_on, member, must_be_sound, number, reader_only,
    stranger, write_aside,
};

role! {
    /// Does as it is told.
    pub(crate) fn other_program(parent) {
        obey(stranger(&parent.arg::<PathBuf>(0)), parent);
    }
}

role! {
    /// The same, by one who may only read.
    fn onlooker(parent) {
        obey(reader_only(&parent.arg::<PathBuf>(0)), parent);
    }
}

fn obey(mut connection: Connection, parent: &Parent) {
    parent.say(HERE);
    loop {
        match parent.hear().as_str() {
            "read" => parent.say(number(&connection).unwrap()),
            "begin" => connection.execute_batch("BEGIN").unwrap(),
            "end" => connection.execute_batch("COMMIT").unwrap(),
            "begin to write" => {
                connection.execute_batch("BEGIN IMMEDIATE").unwrap();
                parent.say("begun");
            }
            "write at once" => {
                connection.busy_timeout(Duration::ZERO).unwrap();
                parent.say(is_busy(count_on(&mut connection)));
            }
            "copy at once" => {
                connection.busy_timeout(Duration::ZERO).unwrap();
                parent.say(!copy_log(&connection, "TRUNCATE").unwrap());
            }
            "leave the log at once" => {
                connection.busy_timeout(Duration::ZERO).unwrap();
                let left = connection.query_row("PRAGMA journal_mode = DELETE", [], |row| {
                    row.get::<_, String>(0)
                });
                parent.say(is_busy(left));
            }
            "write" => parent.say(count_on(&mut connection).unwrap()),
            "half write" => {
                connection.execute_batch("PRAGMA cache_spill = ON").unwrap();
                let next = begin(&mut connection).unwrap();
                change(&next).unwrap();
                parent.say("half written");
                parent.hear();
            }
            _ => return,
        }
    }
}

fn is_busy<T>(answer: rusqlite::Result<T>) -> bool {
    matches!(answer, Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy))
}

fn ask(program: &mut Child, what: &str) -> String {
    program.say(what);
    program.hear(PATIENCE)
}

const HERE: &str = "here";

/// One that has opened the database: what it reads for that keeps nobody from copying the log any more.
pub(crate) fn program(dir: impl AsRef<Path>) -> Child {
    spawn(other_program, dir)
}

fn spawn(role: impl Fn(), dir: impl AsRef<Path>) -> Child {
    let mut child = Child::spawn(role, &[&dir.as_ref().display()]);
    assert_eq!(child.hear(PATIENCE), HERE);
    child
}

#[test]
fn they_read_what_is_committed_and_change_nothing_while_there_is_a_member() {
    let dir = tempfile::tempdir().unwrap();
    let mut connection = member(dir.path());
    let mut other = program(&dir);
    for expected in 1..=3 {
        assert_eq!(count_on(&mut connection).unwrap(), expected);
        assert_eq!(ask(&mut other, "read"), expected.to_string());
        assert_eq!(ask(&mut other, "write at once"), "true");
        assert_eq!(ask(&mut other, "copy at once"), "true");
        assert_eq!(ask(&mut other, "leave the log at once"), "true");
    }
    drop(connection);
    assert_eq!(ask(&mut other, "write"), "4");
    let mut connection = member(dir.path());
    assert_eq!(number(&connection).unwrap(), 4);
    assert_eq!(count_on(&mut connection).unwrap(), 5);
    assert_eq!(ask(&mut other, "read"), "5");
}

/// For weeks, say, while the log is copied and begun anew a hundred times.
#[test]
fn what_one_of_them_reads_stays_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let mut connection = member(dir.path());
    for copied_before in [false, true] {
        let expected = count_on(&mut connection).unwrap().to_string();
        if copied_before {
            assert!(copy_log(&connection, "PASSIVE").unwrap());
        }
        let mut other = program(&dir);
        other.say("begin");
        assert_eq!(ask(&mut other, "read"), expected);
        for _ in 0..100 {
            count_on(&mut connection).unwrap();
            copy_log(&connection, "PASSIVE").unwrap();
        }
        assert_eq!(ask(&mut other, "read"), expected);
        connection.busy_timeout(Duration::ZERO).unwrap();
        assert!(!copy_log(&connection, "TRUNCATE").unwrap());
        assert_eq!(ask(&mut other, "read"), expected);
        other.say("end");
        connection.busy_timeout(PATIENCE).unwrap();
        let copied = copy_log(&connection, "TRUNCATE").unwrap();
        assert_eq!(
            ask(&mut other, "read"),
            number(&connection).unwrap().to_string()
        );
        assert!(copied);
        must_be_sound(&connection);
    }
}

/// Stock SQLite moves the mark by which somebody reads, when nobody has it locked in the kernel: members haven't.
#[test]
fn what_a_member_reads_stays_as_it_is_when_they_move_its_mark() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = member(dir.path());
    let reader = member(dir.path());
    let mut others = [program(&dir), program(&dir)];
    count_on(&mut writer).unwrap();
    assert!(copy_log(&writer, "PASSIVE").unwrap());
    write_aside(&writer).unwrap();
    reader.execute_batch("BEGIN").unwrap();
    let expected = number(&reader).unwrap();
    for _ in 0..50 {
        let newest = count_on(&mut writer).unwrap().to_string();
        for other in &mut others {
            assert_eq!(ask(other, "read"), newest);
        }
        copy_log(&writer, "PASSIVE").unwrap();
        assert_eq!(number(&reader).unwrap(), expected);
    }
    writer.busy_timeout(Duration::ZERO).unwrap();
    assert!(!copy_log(&writer, "TRUNCATE").unwrap());
    reader.execute_batch("COMMIT").unwrap();
    assert!(copy_log(&writer, "TRUNCATE").unwrap());
    must_be_sound(&reader);
}

/// Whoever may only read moves no mark, and no member moves one to read: so they would read by one for ever, and keep the log from
/// being copied.
#[test]
fn those_who_may_only_read_and_take_turns_do_not_hold_up_the_copying() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = member(dir.path());
    let mut others = [0, 1].map(|_| spawn(onlooker, &dir));
    count_on(&mut writer).unwrap();
    let mut copied = 0;
    others[1].say("begin");
    ask(&mut others[1], "read");
    for turn in 0..8 {
        let [now, next] = [turn % 2, (turn + 1) % 2];
        count_on(&mut writer).unwrap();
        copy_log(&writer, "PASSIVE").unwrap();
        others[now].say("begin");
        ask(&mut others[now], "read");
        others[next].say("end");
        ask(&mut others[next], "read");
        let how_much = "PRAGMA wal_checkpoint(PASSIVE)";
        let now_copied: i64 = writer.query_row(how_much, [], |row| row.get(2)).unwrap();
        assert!(
            turn == 0 || now_copied > copied,
            "{now_copied} after {copied}"
        );
        copied = now_copied;
    }
}

#[test]
fn one_who_writes_is_waited_for_by_who_would_be_a_member() {
    let dir = tempfile::tempdir().unwrap();
    drop(member(dir.path()));
    let mut other = program(&dir);
    assert_eq!(ask(&mut other, "begin to write"), "begun");
    let mut second = Child::spawn(newcomer, &[&dir.path().display()]);
    assert_eq!(second.hear(PATIENCE), "coming");
    other.say("end");
    assert_eq!(second.hear(PATIENCE), "1");
    assert_eq!(ask(&mut other, "write at once"), "true");
    second.kill();
    assert_eq!(ask(&mut other, "write"), "2");
}

role! {
    fn newcomer(parent) {
        parent.say("coming");
        let mut connection = member(&parent.arg::<PathBuf>(0));
        parent.say(count_on(&mut connection).unwrap());
        parent.hear();
    }
}

#[test]
fn one_who_is_killed_while_it_writes_leaves_nothing_half_done() {
    let dir = tempfile::tempdir().unwrap();
    let mut connection = member(dir.path());
    count_on(&mut connection).unwrap();
    drop(connection);
    let mut other = program(&dir);
    assert_eq!(ask(&mut other, "half write"), "half written");
    other.kill();
    let mut connection = member(dir.path());
    assert_eq!(count_on(&mut connection).unwrap(), 2);
    must_be_sound(&connection);
}

/// Two files of locks would keep nobody apart.
#[test]
fn the_file_of_the_locks_is_not_replaced_under_a_member() {
    for copied in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let [locks, aside] = ["locks", "aside"].map(|name| dir.path().join(name));
        let mut connection = member(dir.path());
        count_on(&mut connection).unwrap();
        fs::rename(&locks, &aside).unwrap();
        if copied {
            fs::copy(&aside, &locks).unwrap();
        }
        let mut second = Child::spawn(refused, &[&dir.path().display()]);
        assert_eq!(second.hear(PATIENCE), "true");
        assert_eq!(count_on(&mut connection).unwrap(), 2);
        drop(connection);
        assert_eq!(number(&member(dir.path())).unwrap(), 2);
    }
}

role! {
    fn refused(parent) {
        let dir: PathBuf = parent.arg(0);
        let locks = diskette_vfs::LogLocks::open(&dir.join("locks")).unwrap();
        let open = |vfs: Option<&_>| Connection::open_with_flags_and_vfs(
            dir.join("database"), rusqlite::OpenFlags::default(), vfs.unwrap());
        let connection = locks.connect(open).unwrap();
        let error = number(&connection).unwrap_err();
        parent.say(error.sqlite_error_code() == Some(ErrorCode::FileLockingProtocolFailed));
        parent.hear();
    }
}
