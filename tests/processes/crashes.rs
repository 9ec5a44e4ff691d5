//! `kill -9` at any moment: nothing that was acknowledged is lost, and nothing is half done.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;
use std::{fs, thread};

use diskette::{Deque, Durability, Index, Store};
use diskette_ipc::{Deadline, clock};
use diskette_testkit::{Child, PATIENCE, eventually, files_below, role};

role! {
    /// Moves numbers from a deque into two indexes, and says each one that is committed.
    fn mover(parent) {
        let dir: String = parent.arg(0);
        let store = Store::open(&dir).unwrap();
        let numbers = Deque::<u64>::new(&store, "numbers").unwrap();
        let left = Index::<u64, String>::new(&store, "left").unwrap();
        let right = Index::<u64, String>::new(&store, "right").unwrap();
        let mut next = right.newest().unwrap().map_or(0, |(n, _)| n + 1);
        loop {
            store
                .transaction(|tx| {
                    numbers.within(tx).push_back(&next)?;
                    left.within(tx).insert(&next, &"x".repeat(usize::try_from(next % 3000).unwrap()))?;
                    right.within(tx).insert(&next, "right")?;
                    numbers.within(tx).rotate_left(1)
                })
                .unwrap();
            parent.say(next);
            next += 1;
        }
    }
}

role! {
    /// Writes and replaces large values, which are files.
    fn hoarder(parent) {
        let dir: String = parent.arg(0);
        let large = Index::<u64, String>::new(&Store::open(&dir).unwrap(), "large").unwrap();
        for n in 0.. {
            large.insert(&(n % 3), &content(n)).unwrap();
            if n % 7 == 6 {
                large.remove(&(n % 3)).unwrap();
            }
            parent.say(n);
        }
    }
}

role! {
    /// Eight threads, which say what they have written.
    fn crew(parent) {
        let options = Store::options().durability(durability(parent.arg(1)));
        let store = options.open(parent.arg::<String>(0)).unwrap();
        let written = Index::<(u64, u64), String>::new(&store, "written").unwrap();
        let (said, heard) = mpsc::channel();
        thread::scope(|scope| {
            for me in 0..8 {
                let (said, written) = (said.clone(), &written);
                let begun = written.range((me, 0)..(me + 1, 0)).count() as u64;
                scope.spawn(move || {
                    for n in begun.. {
                        written.insert(&(me, n), "x").unwrap();
                        said.send((me, n)).unwrap();
                    }
                });
            }
            for (me, n) in heard {
                parent.say(format!("{me} {n}"));
            }
        });
    }
}

role! {
    /// Looks at one moment of a store for long.
    fn onlooker(parent) {
        let dir: String = parent.arg(0);
        let looked = Store::open(&dir).unwrap().snapshot(|_| {
            parent.say("looking");
            parent.hear();
            Ok::<_, diskette::Error>(())
        });
        looked.unwrap();
    }
}

role! {
    /// Writes until the log is long, then what it is told.
    fn writer(parent) {
        let store = Store::open(parent.arg::<String>(0)).unwrap();
        let numbers = Index::<u64, String>::new(&store, "numbers").unwrap();
        for n in 0..200 {
            numbers.insert(&n, &"x".repeat(100_000)).unwrap();
        }
        loop {
            parent.say("written");
            let number: u64 = parent.hear().parse().unwrap();
            numbers.insert(&number, &"new".repeat(30_000)).unwrap();
        }
    }
}

role! {
    /// Empties the log as SQLite does, and is killed before it says that none of it is copied.
    fn half_beginner(parent) {
        let path: PathBuf = parent.arg(0);
        let index = OpenOptions::new().write(true).open(&path).unwrap();
        let mut words = words(&path);
        words.truncate(12);
        words[4] = 0;
        words[8] = words[8].swap_bytes().wrapping_add(1).swap_bytes();
        let (one, two) = words[..10].chunks(2).fold((0_u32, 0_u32), |(one, two), it| {
            let one = one.wrapping_add(it[0]).wrapping_add(two);
            (one, two.wrapping_add(it[1]).wrapping_add(one))
        });
        (words[10], words[11]) = (one, two);
        let header: Vec<u8> = words.iter().flat_map(|it| it.to_ne_bytes()).collect();
        for copy in [48, 0] {
            index.write_all_at(&header, copy).unwrap();
        }
        parent.say("begun");
    }
}

/// Those of SQLite's WAL-index.
fn words(index: &Path) -> Vec<u32> {
    let bytes = fs::read(index).unwrap();
    let words = bytes[..136].chunks_exact(4);
    words
        .map(|it| u32::from_ne_bytes(it.try_into().unwrap()))
        .collect()
}

fn content(n: u64) -> String {
    format!("{n} ").repeat(400_000)
}

/// Lets a role work, a little longer each time, and kills it.
fn kill_again_and_again(
    times: u64,
    mut start: impl FnMut() -> Child,
    mut look: impl FnMut(Option<u64>),
) {
    for time in 0..times {
        let mut child = start();
        let mut last = None;
        for _ in 0..=time {
            last = Some(child.hear(PATIENCE).parse().unwrap());
        }
        child.kill();
        while let Some(line) = child.heard() {
            last = Some(line.parse().unwrap());
        }
        look(last);
    }
}

#[test]
fn transactions_of_a_killed_process_are_there_as_a_whole() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    kill_again_and_again(
        25,
        || Child::spawn(mover, &[&path.display()]),
        |acknowledged| {
            let store = Store::open(&path).unwrap();
            let numbers = Deque::<u64>::new(&store, "numbers").unwrap();
            let left = Index::<u64, String>::new(&store, "left").unwrap();
            let right = Index::<u64, String>::new(&store, "right").unwrap();
            let count = right.len().unwrap() as u64;
            assert!(
                Some(count) > acknowledged,
                "{acknowledged:?} was acknowledged, {count} are there"
            );
            assert_eq!(
                (left.len().unwrap() as u64, numbers.len().unwrap() as u64),
                (count, count)
            );
            assert!(left.keys().map(Result::unwrap).eq(0..count));
            let mut all: Vec<_> = numbers.iter().map(Result::unwrap).collect();
            all.sort_unstable();
            assert!(all.into_iter().eq(0..count));
            assert!(store.check().unwrap().is_sound());
        },
    );
}

#[test]
fn value_files_of_a_killed_process_are_whole_or_swept_away() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    kill_again_and_again(
        15,
        || Child::spawn(hoarder, &[&path.display()]),
        |_| {
            let store = Store::open(&path).unwrap();
            let large = Index::<u64, String>::new(&store, "large").unwrap();
            for entry in large.iter() {
                let (key, value) = entry.unwrap();
                let n: u64 = value.split(' ').next().unwrap().parse().unwrap();
                assert_eq!(n % 3, key);
                assert!(value == content(n), "{n} is not whole");
            }
            assert_eq!(store.check().unwrap().problems, []);
            eventually(PATIENCE, || {
                files_below(&path.join("values")).len() == large.len().unwrap()
            });
        },
    );
}

pub(crate) fn durability(power: bool) -> Durability {
    match power {
        true => Durability::Power,
        false => Durability::Process,
    }
}

/// Threads that wait for each other share a commit: none is told of it before it is made.
#[test]
fn what_threads_have_written_together_is_there_when_they_say_so() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    for time in 1..=10 {
        let power = time % 2 == 0;
        let mut child = Child::spawn(crew, &[&path.display(), &power]);
        let mut said: Vec<String> = (0..time * 20).map(|_| child.hear(PATIENCE)).collect();
        said.extend(child.last_words());
        let store = Store::open(&path).unwrap();
        let written = Index::<(u64, u64), String>::new(&store, "written").unwrap();
        for line in said {
            let (me, n) = line.split_once(' ').unwrap();
            let key = (me.parse().unwrap(), n.parse().unwrap());
            assert!(
                written.contains_key(&key).unwrap(),
                "{key:?} was acknowledged"
            );
        }
        assert!(store.check().unwrap().is_sound());
    }
}

#[test]
fn owner_files_of_the_dead_do_not_pile_up() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    kill_again_and_again(5, || Child::spawn(hoarder, &[&path.display()]), |_| ());
    let _store = Store::open(&path).unwrap();
    eventually(PATIENCE, || files_below(&path.join("owners")).len() <= 1);
}

/// While somebody looked at a snapshot, which may want any value file, a store with an orphan in it could not
/// be opened at all: the sweep that had to wait failed, and the opening with it.
#[test]
fn an_orphan_beside_a_snapshot_goes_and_keeps_nobody_out() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let mut child = Child::spawn(onlooker, &[&path.display()]);
    assert_eq!(child.hear(PATIENCE), "looking");
    // What a process leaves that dies while it writes a large value: its will, and the file.
    let orphan = 0x1234_5678_9abc_def0_i64;
    fs::create_dir_all(path.join("values/12")).unwrap();
    fs::write(path.join("values/12/3456789abcdef0"), "cut off").unwrap();
    fs::write(path.join("owners/0000000000000007"), orphan.to_le_bytes()).unwrap();

    let store = Store::open(&path).unwrap();
    eventually(PATIENCE, || files_below(&path.join("values")).is_empty());
    assert!(store.check().unwrap().is_sound());
    child.kill();
}

/// SQLite empties its log in two steps. Who was killed between them left a log that passes for copied, and nobody saw what was
/// committed to it next.
#[test]
fn what_is_written_after_a_kill_that_left_the_log_half_begun_is_seen() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let index = path.join("store.db-shm");
    let mut writer = Child::spawn(writer, &[&path.display()]);
    assert_eq!(writer.hear(PATIENCE), "written");
    // Else the next commit wouldn't begin it anew.
    let is_copied = || {
        let (frames, copied) = (words(&index)[4], words(&index)[24]);
        frames > 0 && copied == frames
    };
    // It is copied whenever it has grown by so much.
    for number in 200..1000 {
        let soon = Deadline::after(Duration::from_millis(200));
        while !is_copied() && !soon.is_past() {
            clock::sleep(Duration::from_millis(1));
        }
        if is_copied() {
            break;
        }
        writer.say(number);
        assert_eq!(writer.hear(PATIENCE), "written");
    }
    let mut beginner = Child::spawn(half_beginner, &[&index.display()]);
    assert_eq!(beginner.hear(PATIENCE), "begun");
    assert!(beginner.wait(PATIENCE).success());

    writer.say(1000);
    assert_eq!(writer.hear(PATIENCE), "written");
    let store = Store::open(&path).unwrap();
    let numbers = Index::<u64, String>::new(&store, "numbers").unwrap();
    assert!(numbers.contains_key(&1000).unwrap());
    assert_eq!(
        numbers.values().filter(Result::is_ok).count(),
        numbers.len().unwrap()
    );
    assert!(store.check().unwrap().is_sound());
}
