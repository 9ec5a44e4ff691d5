//! A board that is removed, cut short, or full of rotten bytes.

use std::fs::{self, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{FileExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use diskette_ipc::{Board, Custody, Deadline, OwnerId, Slots};
use diskette_testkit::{Child, PATIENCE, Random, role};

use crate::{asleep, create, home, open, owners, soon};

#[test]
fn what_is_no_board_is_none_and_one_of_another_run_says_so() {
    let home = home();
    let path = home.path().join("board");
    assert!(open(home.path()).is_none());
    assert_eq!(Board::last_era(&path).unwrap(), 0);
    let board = Board::create(&path, home.path().join("seats"), owners(home.path()), 41);
    assert_eq!(board.unwrap().era(), 41);
    assert_eq!(open(home.path()).unwrap().era(), 41);
    let whole = fs::read(&path).unwrap();

    let of_this_run = || open(home.path()).map(|board| board.is_of_this_run().unwrap());
    let rewritten = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        fs::write(&path, bytes).unwrap();
        (of_this_run(), Board::last_era(&path).unwrap())
    };
    assert_eq!(of_this_run(), Some(true));
    assert_eq!(rewritten(0), (None, 0)); // not a board
    assert_eq!(rewritten(8), (Some(false), 41)); // of another run
    for length in [0, 7, 16, 4096, whole.len() - 1] {
        fs::write(&path, &whole[..length]).unwrap();
        assert!(open(home.path()).is_none());
        Board::last_era(&path).unwrap();
    }
}

/// A board was moved aside, by an editor say, and copied back: those who had it open and those who came then held the same
/// lock.
#[test]
fn the_copy_of_a_board_is_none() {
    let home = home();
    let board = create(home.path());
    let (path, aside) = (home.path().join("board"), home.path().join("aside"));
    fs::rename(&path, &aside).unwrap();
    fs::copy(&aside, &path).unwrap();
    assert!(open(home.path()).is_none());
    fs::rename(&aside, &path).unwrap();
    assert_eq!(open(home.path()).unwrap().era(), board.era());
}

/// A link in place of the file that a board begins as made it write over what the link led to.
#[test]
fn a_board_is_made_through_no_link() {
    let home = home();
    let victim = home.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    symlink(&victim, home.path().join("board.new")).unwrap();
    create(home.path());
    assert_eq!(fs::read(&victim).unwrap(), b"precious");

    let path = home.path().join("board");
    fs::remove_file(&path).unwrap();
    symlink(&victim, &path).unwrap();
    let opened = Board::open(&path, home.path().join("seats"), owners(home.path()));
    assert_eq!(opened.unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn a_removed_board_is_an_error() {
    let home = home();
    let board = create(home.path());
    let slots = board.slots(1, 1).unwrap();
    let hold = slots.try_take(1).unwrap().unwrap();
    thread::scope(|scope| {
        let waits = asleep(scope, &slots, take_error);
        fs::remove_file(home.path().join("board")).unwrap();
        assert_eq!(waits.join().unwrap(), ErrorKind::NotFound);
    });
    all_fail(&board, &slots);
    assert!(!hold.is_held());
    assert!(hold.give_back().is_err());
}

fn take_error(slots: &Slots) -> ErrorKind {
    slots
        .take(1, soon(), Custody::Any)
        .map(drop)
        .unwrap_err()
        .kind()
}

fn all_fail(board: &Arc<Board>, slots: &Slots) {
    let errors = [
        slots.try_take(1).map(drop).unwrap_err(),
        slots.take(1, soon(), Custody::Any).map(drop).unwrap_err(),
        slots.holders().map(drop).unwrap_err(),
        slots.free().map(drop).unwrap_err(),
        slots.set_limit(9).unwrap_err(),
        board.slots(1, 1).map(drop).unwrap_err(),
    ];
    assert!(
        errors
            .iter()
            .all(|error| error.kind() == ErrorKind::NotFound),
        "{errors:?}"
    );
}

role! {
    /// Cuts the board short that it has in use, which may kill nobody.
    fn vandal(parent) {
        let home: PathBuf = parent.arg(0);
        let board = create(&home);
        let slots = board.slots(1, 1).unwrap();
        let hold = slots.try_take(1).unwrap().unwrap();
        thread::scope(|scope| {
            let waits = asleep(scope, &slots, take_error);
            let file = OpenOptions::new().write(true).open(home.join("board"));
            file.unwrap().set_len(0).unwrap();
            all_fail(&board, &slots);
            assert!(!hold.is_held());
            assert_eq!(hold.tokens().count(), 1);
            assert!(hold.give_back().is_err());
            parent.say("the holder knows");
            assert_eq!(waits.join().unwrap(), ErrorKind::NotFound);
        });
        drop((slots, board));
        parent.say("and so does who waits");
    }
}

/// A page that isn't there any more is a SIGBUS for whoever looks at it.
#[test]
fn a_board_that_is_cut_short_is_an_error_and_kills_nobody() {
    let home = home();
    let mut child = Child::spawn(vandal, &[&home.path().display()]);
    assert_eq!(child.hear(PATIENCE), "the holder knows");
    assert_eq!(child.hear(PATIENCE), "and so does who waits");
    assert!(child.wait(PATIENCE).success());
}

/// Rotten bytes panicked (sums of them overflow) and were believed (a room of four thousand million slots).
#[test]
fn rotten_bytes_are_survived() {
    for seed in 0..60 {
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            let home = home();
            let board = create(home.path());
            let slots: Vec<Slots> = [1, 3, 200]
                .iter()
                .zip(1..)
                .map(|(&limit, id)| board.slots(id, limit).unwrap())
                .collect();
            let hold = slots[1].try_take(2).unwrap();
            rot(&home.path().join("board"), seed);
            slots.iter().for_each(use_all);
            use_board(&board);
            if let Some(board) = open(home.path()) {
                use_board(&board);
            }
            drop((hold, slots, board));
            sender.send(()).unwrap();
        });
        let outcome = receiver.recv_timeout(PATIENCE);
        assert_eq!(
            outcome,
            Ok(()),
            "panicked or hangs, with the bytes of {seed}"
        );
    }
}

/// Writes words that somebody might believe over the header but for its first two, over some seats, and over what the
/// structures have.
fn rot(board: &Path, seed: u64) {
    let mut random = Random::new(seed);
    let mut random = || random.number();
    let file = OpenOptions::new().write(true).open(board).unwrap();
    let length = file.metadata().unwrap().len();
    let (header, seats, places) = (
        2..7,
        512..576,
        (length - (64 << 10)) / 8..(length - (60 << 10)) / 8,
    );
    for _ in 0..1 + random() % 60 {
        let within = [&header, &seats, &places][(random() % 3) as usize];
        let word = within.start + random() % (within.end - within.start);
        let value = match random() % 8 {
            0 => 0,
            1 => u64::MAX,
            2 => random() % 300,
            3 => (random() % 300) << 32,
            4 => u64::from(u32::MAX),
            5 => u64::from(u32::MAX) << 32,
            6 => 1 << 63,
            _ => random(),
        };
        file.write_all_at(&value.to_ne_bytes(), word * 8).unwrap();
    }
}

/// Does all that can be done; errors are fine.
fn use_all(slots: &Slots) {
    let soon = || Deadline::after(Duration::from_millis(5));
    for n in [1, 2] {
        if let Ok(Some(hold)) = slots.try_take(n) {
            let _ = (hold.is_held(), hold.tokens().count());
            let _ = hold.give_back();
        }
    }
    let hold = slots.take(1, soon(), Custody::Thread);
    drop(slots.take(2, soon(), Custody::Thread));
    drop(hold);
    let _ = (slots.free(), slots.limit(), slots.holders());
    let _ = (slots.set_limit(250), slots.set_limit(2));
}

fn use_board(board: &Arc<Board>) {
    for id in 1..6 {
        if let Ok(slots) = board.slots(id, 2) {
            use_all(&slots);
        }
    }
    board.bury(OwnerId::from_i64(5));
}
