//! Members and strangers, all at once, and killed at any moment.

use std::path::PathBuf;

use diskette_testkit::{Child, role};

use crate::contents::{
    PATIENCE, copy_log, count_on, member, must_be_sound, number, stranger, write_aside,
};

role! {
    fn writer(parent) {
        let mut connection = member(&parent.arg::<PathBuf>(0));
        if std::process::id().is_multiple_of(2) {
            connection.execute_batch("PRAGMA synchronous = FULL").unwrap();
        }
        loop {
            write_aside(&connection).unwrap();
            parent.say(count_on(&mut connection).unwrap());
        }
    }
}

role! {
    /// Copies the log, in each of the ways that there are.
    fn copier(parent) {
        let connection = member(&parent.arg::<PathBuf>(0));
        connection.busy_timeout(std::time::Duration::from_millis(20)).unwrap();
        for how in ["PASSIVE", "FULL", "PASSIVE", "RESTART", "PASSIVE", "TRUNCATE"].iter().cycle() {
            // Whoever writes and reads may be in the way.
            let _ = copy_log(&connection, how);
            parent.say("copied");
        }
    }
}

role! {
    fn member_reader(parent) {
        let dir: PathBuf = parent.arg(0);
        read_on(&member(&dir), parent);
    }
}

role! {
    fn stranger_reader(parent) {
        let dir: PathBuf = parent.arg(0);
        read_on(&stranger(&dir), parent);
    }
}

/// Reads one state several times, then the next.
fn read_on(connection: &rusqlite::Connection, parent: &diskette_testkit::Parent) {
    let mut last = 0;
    for long in (0..3).cycle() {
        connection.execute_batch("BEGIN").unwrap();
        let state = number(connection).unwrap();
        assert!(state >= last, "{state} after {last}");
        for _ in 0..[1, 3, 30][long] {
            assert_eq!(number(connection).unwrap(), state);
        }
        connection.execute_batch("COMMIT").unwrap();
        last = state;
        parent.say(state);
    }
}

#[test]
fn nobody_sees_half_a_state_or_loses_one() {
    const ROUNDS: usize = 40;
    let dir = tempfile::tempdir().unwrap();
    let here = dir.path().display().to_string();
    drop(member(dir.path()));
    let start = |number: usize| match number {
        0 | 1 => Child::spawn(writer, &[&here]),
        2 => Child::spawn(copier, &[&here]),
        3 | 4 => Child::spawn(member_reader, &[&here]),
        _ => Child::spawn(stranger_reader, &[&here]),
    };
    let mut all: Vec<Child> = (0..7).map(start).collect();
    let mut last = 0;
    for round in 0..ROUNDS {
        // Everybody gets on.
        for one in &mut all {
            one.hear(PATIENCE);
        }
        let number = round % all.len();
        all[number].kill();
        for said in all[number].last_words() {
            if number < 2 {
                last = last.max(said.parse().unwrap());
            }
        }
        all[number] = start(number);
    }
    for number in [0, 1] {
        let said = all[number].last_words();
        last = said
            .iter()
            .map(|it| it.parse().unwrap())
            .fold(last, i64::max);
    }
    drop(all);
    let connection = member(dir.path());
    must_be_sound(&connection);
    assert!(number(&connection).unwrap() >= last);
}
