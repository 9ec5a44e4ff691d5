//! The threads that hold something, or wait for it.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::sync::atomic::Ordering::{Acquire, Relaxed, SeqCst};
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64};
use std::sync::{Arc, LazyLock, Weak};
use std::thread;

use crate::board::Board;
use crate::line::Line;
use crate::mapping::Shared;
use crate::{OwnerId, fork};

/// How many threads can sit at one board; a power of two.
pub(crate) const SEATS: usize = 4096;

/// Somebody who holds something, or waits for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Party {
    /// The process, by its number in the container that it runs in.
    pub pid: u32,
    /// The name of the machine or the container; its beginning, if it is long.
    pub host: String,
    /// The name of the program; its beginning, if it is long.
    pub program: String,
    /// The name of the thread, or what Rust calls it; its beginning, if it is long.
    pub thread: String,
}

impl Party {
    /// This thread.
    #[must_use]
    pub fn me() -> Self {
        Self {
            pid: std::process::id(),
            host: HOST.clone(),
            program: PROGRAM.clone(),
            thread: thread_name(),
        }
    }
}

fn thread_name() -> String {
    let thread = thread::current();
    match thread.name() {
        Some(name) => name.to_owned(),
        None => format!("{:?}", thread.id()),
    }
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            pid,
            host,
            program,
            thread,
        } = self;
        write!(f, "{program} (pid {pid} on {host}, thread {thread})")
    }
}

/// The seat of one thread, on the board.
#[derive(Debug)]
#[repr(C, align(128))]
pub(crate) struct Row {
    /// 0: it is free.
    pub(crate) key: AtomicU64,
    pub(crate) owner: AtomicI64,
    /// See [`Want`](crate::queue::Want).
    pub(crate) wants: AtomicU64,
    /// When it came to wait, in the order of all who came.
    pub(crate) arrival: AtomicU64,
    /// When it was first rung since it last looked, or 0.
    pub(crate) rung: AtomicU64,
    /// Rung when it should look again.
    pub(crate) line: Line,
    pid: AtomicU32,
    program: Text<4>,
    thread: Text<3>,
    host: Text<3>,
}

// SAFETY: it consists of atomics.
unsafe impl Shared for Row {}

impl Row {
    pub(crate) fn owner(&self) -> OwnerId {
        OwnerId::from_i64(self.owner.load(SeqCst))
    }

    /// Frees the seat if it is `owner`'s.
    pub(crate) fn free_of(&self, owner: OwnerId) {
        // Who has this key doesn't change: one that is read before the owner is his.
        let key = self.key.load(SeqCst);
        if key != 0 && self.owner() == owner {
            self.free(key);
        }
    }

    pub(crate) fn free(&self, key: u64) {
        // A key of 0 changes nothing: it is that of a free seat.
        let _ = self.key.compare_exchange(key, 0, SeqCst, Relaxed);
    }

    pub(crate) fn party(&self) -> Party {
        Party {
            pid: self.pid.load(Relaxed),
            host: self.host.get(),
            program: self.program.get(),
            thread: self.thread.get(),
        }
    }

    fn fill(&self) {
        self.wants.store(0, SeqCst);
        self.rung.store(0, SeqCst);
        self.pid.store(std::process::id(), Relaxed);
        self.program.set(&PROGRAM);
        self.host.set(&HOST);
        self.thread.set(&thread_name());
    }
}

static PROGRAM: LazyLock<String> = LazyLock::new(|| {
    let program = std::env::current_exe().ok();
    let name = program.as_ref().and_then(|program| program.file_name());
    name.unwrap_or_default().to_string_lossy().into_owned()
});

static HOST: LazyLock<String> = LazyLock::new(|| {
    let name = nix::unistd::gethostname().unwrap_or_default();
    name.to_string_lossy().into_owned()
});

/// Looks the names up that are written on seats, before there can be a fork in the middle of that.
pub(crate) fn know_thyself() {
    LazyLock::force(&PROGRAM);
    LazyLock::force(&HOST);
}

/// The seat of a thread of this process, freed with its last clone.
#[derive(Debug)]
pub(crate) struct Seat {
    board: Weak<Board>,
    serial: u64,
    pub(crate) key: u64,
    generation: u64,
}

impl Seat {
    /// The seat of this thread at `board`.
    pub(crate) fn mine(board: &Arc<Board>) -> io::Result<Arc<Self>> {
        thread_local! {
            static MINE: RefCell<Vec<Arc<Seat>>> = const { RefCell::new(Vec::new()) };
        }
        let serial = board.serial();
        let find = |mine: &RefCell<Vec<Arc<Seat>>>| -> io::Result<Arc<Seat>> {
            let is_here = |seat: &&Arc<Seat>| seat.serial == serial && !seat.is_inherited();
            if let Some(seat) = mine.borrow().iter().find(is_here) {
                return Ok(Arc::clone(seat));
            }
            let seat = Arc::new(Self {
                board: Arc::downgrade(board),
                serial,
                key: board.sit_down(Row::fill)?,
                generation: fork::generation(),
            });
            let mut mine = mine.borrow_mut();
            mine.retain(|seat| !seat.is_inherited() && seat.board.strong_count() > 0);
            mine.push(Arc::clone(&seat));
            Ok(seat)
        };
        let seat = MINE
            .try_with(find)
            .map_err(|_| io::Error::other("a thread that is ending can't hold anything"))??;
        seat.must_be_kept(board)?;
        Ok(seat)
    }

    /// Refuses if it was taken away.
    pub(crate) fn must_be_kept(&self, board: &Board) -> io::Result<()> {
        if board.is_seated(self.key) {
            return Ok(());
        }
        Err(taken_for_dead())
    }

    /// Is it the seat of a process that this one was forked from?
    pub(crate) fn is_inherited(&self) -> bool {
        self.generation != fork::generation()
    }

    pub(crate) fn row<'b>(&self, board: &'b Board) -> &'b Row {
        board.seat_row(self.key as usize)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(board) = self.board.upgrade()
            && !self.is_inherited()
            && board.must_be_intact().is_ok()
        {
            self.row(&board).free(self.key);
        }
    }
}

pub(crate) fn taken_for_dead() -> io::Error {
    io::Error::new(
        io::ErrorKind::NotFound,
        "the owner file of this process was removed, so that others take it for dead",
    )
}

/// The beginning of a text, in shared memory.
#[derive(Debug)]
struct Text<const WORDS: usize>([AtomicU64; WORDS]);

impl<const WORDS: usize> Text<WORDS> {
    fn set(&self, text: &str) {
        let fits = |&end: &usize| text.is_char_boundary(end);
        let end = (0..=text.len().min(WORDS * 8)).rev().find(fits);
        let text = &text.as_bytes()[..end.unwrap_or(0)];
        for (i, word) in self.0.iter().enumerate() {
            let mut bytes = [0; 8];
            let rest = text.get(i * 8..).unwrap_or_default();
            let rest = &rest[..rest.len().min(8)];
            bytes[..rest.len()].copy_from_slice(rest);
            word.store(u64::from_ne_bytes(bytes), Relaxed);
        }
    }

    fn get(&self) -> String {
        let bytes = self
            .0
            .iter()
            .flat_map(|word| word.load(Acquire).to_ne_bytes());
        let bytes: Vec<u8> = bytes.take_while(|&byte| byte != 0).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}
