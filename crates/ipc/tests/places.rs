//! A board that one process makes longer while another uses it: two openings of one file stand for the two.
#![cfg(target_os = "linux")]
#![allow(clippy::expect_used)]

use std::path::Path;
use std::sync::Arc;
use std::{fs, io, thread};

use diskette_ipc::{Board, Deadline, FileLock, Mode, Owners};
use tempfile::TempDir;

/// Who waited for its turn to add a structure did not see how far the file had grown meanwhile, so it didn't find that
/// the structure was there and added it again: both processes could hold the same lock.
#[test]
fn processes_that_add_a_structure_at_once_get_the_same_slots() -> io::Result<()> {
    let home = tempfile::tempdir()?;
    let [board, _] = two_openings(&home)?;
    let length = || fs::metadata(home.path().join("board")).map_or(0, |file| file.len());
    let mut growths = (1..).filter(|&id| {
        let before = length();
        board.slots(id, 1).expect("there is room");
        length() > before
    });
    // The first is up to where the steps begin.
    let last = growths.nth(1).expect("it grows again");

    let home = tempfile::tempdir()?;
    let boards = two_openings(&home)?;
    for id in 1..last {
        boards[0].slots(id, 1)?;
    }
    let lock = home.path().join("seats");
    let turn = FileLock::open(&lock)?;
    assert!(turn.lock(Mode::Exclusive, Deadline::never())?);
    let [one, two] = thread::scope(|scope| {
        let opening = boards
            .each_ref()
            .map(|board| scope.spawn(|| board.slots(last, 1)));
        // Both have looked, and wait for their turn.
        while times_open(&lock) < 3 {
            thread::yield_now();
        }
        turn.unlock().expect("it is locked");
        opening.map(|opening| opening.join().expect("no panic"))
    });
    let (one, two) = (one?, two?);

    let _held = one.try_take(1)?.expect("it is free");
    assert!(two.try_take(1)?.is_none());
    Ok(())
}

/// A new board, as two processes have it.
fn two_openings(home: &TempDir) -> io::Result<[Arc<Board>; 2]> {
    let path = |name| home.path().join(name);
    fs::create_dir(path("owners"))?;
    let owners = Arc::new(Owners::open(&path("owners"), path("owners.lock"))?);
    let board = Board::create(&path("board"), path("seats"), Arc::clone(&owners), 1)?;
    let same = Board::open(&path("board"), path("seats"), owners)?.expect("it is there");
    Ok([Arc::new(board), Arc::new(same)])
}

fn times_open(path: &Path) -> usize {
    let open = fs::read_dir("/proc/self/fd").expect("Linux has it");
    let targets = open.filter_map(|fd| fs::read_link(fd.ok()?.path()).ok());
    targets.filter(|target| target == path).count()
}
