//! Who is here, what each shows to the others, and who holds what: in shared memory, without a system call.

use std::io;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicU32, AtomicU64, fence};

use nix::errno::Errno;
use nix::fcntl::fcntl;

use crate::mapping::{Mapping, Shared, lengthen};
use crate::record::{GET_LOCK, Kind, SET_LOCK, is_there, record};
use crate::{FileLock, fork, plain_file, random};

/// A file of members, and of a few words that one of them at a time holds.
///
/// A member shows a number to all others, and who wants to be alone with something looks at what they show. It is Dekker's
/// protocol: each side writes down what it is about to do *before* it looks at the other, so that at least one of two sees that
/// the other is there; then that one gives way. Nothing here waits.
///
/// # Process safety
///
/// Any number of threads of any number of processes; a [`Member`] is used by one thread at a time. A child made by `fork` is no
/// member, and keeps none of its parent's alive. For Linux only: elsewhere a lock of a byte belongs to no open file.
///
/// # Crashes
///
/// Behind each member is a lock of one byte of the file, which the kernel takes back at the moment of death. From then on it
/// shows and holds nothing: whoever is in its way asks the kernel, and nobody else does.
///
/// # Cost
///
/// No system call, but for joining and leaving (two), and for whoever meets what another process shows or holds (one).
/// The file takes 20 KiB and grows with the members, up to 260 KiB.
///
/// # Example
///
/// ```
/// use diskette_ipc::Roster;
///
/// # let dir = tempfile::tempdir()?;
/// let roster = Roster::open(&dir.path().join("roster"))?;
/// let (mut reader, mut cleaner) = (roster.join()?, roster.join()?);
///
/// reader.show(7);
/// assert!(cleaner.hold(0));
/// assert_eq!(cleaner.least_shown(|_| true)?, Some(7)); // so it cleans up what is before 7
/// assert!(reader.is_held(0)?);
/// cleaner.release(0);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Roster {
    mapping: Mapping,
    /// A child made by `fork` opens it anew.
    file: FileLock,
    id: u64,
    /// The [marks](mark) of the members in this process: the kernel doesn't tell a process of its own locks.
    mine: Box<[AtomicU64]>,
}

/// One who is on the roster, until it is dropped.
#[derive(Debug)]
pub struct Member {
    roster: Arc<Roster>,
    at: usize,
    key: u64,
    /// The words that it holds, a bit each.
    holds: u32,
    generation: u64,
}

#[repr(C)]
struct Header {
    id: AtomicU64,
    /// All members that ever were are before this one.
    used: AtomicU32,
    told: AtomicU64,
}

// SAFETY: it consists of atomics.
unsafe impl Shared for Header {}

/// The key of who holds it, or 0.
#[repr(C, align(64))]
struct Word(AtomicU64);

// SAFETY: it consists of atomics.
unsafe impl Shared for Word {}

#[repr(C, align(64))]
struct Entry {
    /// Drawn at random when the member came; the lowest 16 bits are its place, counted from 1. 0: nobody.
    key: AtomicU64,
    shows: AtomicU64,
}

// SAFETY: it consists of atomics.
unsafe impl Shared for Entry {}

/// How many words there are.
const WORDS: usize = 8;
const FIRST_WORD: usize = 64;
const FIRST_ENTRY: usize = 4096;
/// How many members there can be.
const MEMBERS: usize = 4096;
/// So many more there is room for when the file grows.
const STEP: usize = 256;
const WHOLE: NonZeroUsize =
    NonZeroUsize::new(FIRST_ENTRY + MEMBERS * size_of::<Entry>()).expect("not zero");
/// Odd, so that no two products are the same.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
/// The lock of the first member: a byte that need not exist.
const FIRST_LOCK: u64 = 1 << 30;

impl Roster {
    /// Opens the roster at `path`, making it if it isn't there, and clears away what the dead have left. The caller keeps others
    /// from doing so meanwhile.
    ///
    /// # Errors
    ///
    /// What opening, lengthening and mapping a file can fail with.
    pub fn open(path: &Path) -> io::Result<Arc<Self>> {
        let file = FileLock::open(path)?;
        // Another open file: a forked child keeps what is mapped open, and would keep the locks of it with it.
        let mapped = plain_file::write_or_create(path)?;
        if !file.is_of(&mapped.metadata()?) {
            return Err(io::Error::other("the roster was replaced as it was opened"));
        }
        let mapping = Mapping::new(&mapped, WHOLE)?;
        lengthen_to(&file, STEP)?;
        let header: &Header = mapping.at(0);
        let mut id = header.id.load(Acquire);
        if id == 0 {
            id = random::number()?.cast_unsigned();
            header.id.store(id, Release);
        }
        let roster = Self {
            mapping,
            id: id ^ file.inode().wrapping_mul(SPREAD),
            file,
            mine: (0..MEMBERS).map(|_| AtomicU64::new(0)).collect(),
        };
        roster.clear()?;
        Ok(Arc::new(roster))
    }

    /// A number that this very file has, and no other, nor a copy of it.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Another number whenever somebody has [told](Self::tell).
    #[must_use]
    pub fn told(&self) -> u64 {
        self.header().told.load(SeqCst)
    }

    /// Tells all who have it open to look whether something has changed that they go by.
    pub fn tell(&self) {
        self.header().told.fetch_add(1, SeqCst);
    }

    /// Makes a member.
    ///
    /// # Errors
    ///
    /// What locking a byte and lengthening a file can fail with; [`QuotaExceeded`](io::ErrorKind::QuotaExceeded) if there are 4096
    /// members already.
    pub fn join(self: &Arc<Self>) -> io::Result<Member> {
        // The places of those that died come last: looking at each of the living would cost a call.
        let used = self.used();
        let free = |at: &usize| self.entry(*at).key.load(Acquire) == 0;
        for at in (0..used).filter(free).chain(used..MEMBERS).chain(0..used) {
            if at >= used {
                lengthen_to(&self.file, (at / STEP + 1) * STEP)?;
            }
            if self.take(at)? {
                return self.seat(at);
            }
        }
        Err(io::Error::new(
            io::ErrorKind::QuotaExceeded,
            format!("{MEMBERS} connections are open: close some"),
        ))
    }
}

impl Member {
    /// Shows `state` to all others; 0 is nothing. All that is read afterwards is read after all others can see it.
    pub fn show(&mut self, state: u64) {
        // What was read while something else was shown was read before.
        self.entry().shows.store(state, Release);
        fence(SeqCst);
    }

    /// Shows nothing any more, after all that was read while something was shown.
    pub fn show_nothing(&mut self) {
        self.entry().shows.store(0, Release);
    }

    /// Takes the word number `word`, if no living member has it.
    ///
    /// # Panics
    ///
    /// If there is no such word: there are 8.
    #[must_use]
    pub fn hold(&mut self, word: usize) -> bool {
        let place = self.roster.word(word);
        let mut found = 0;
        loop {
            match place.compare_exchange(found, self.key, SeqCst, SeqCst) {
                Ok(_) => {
                    fence(SeqCst);
                    self.holds |= 1 << word;
                    return true;
                }
                // Who doubts whether another lives takes him to.
                Err(holder) if holder != 0 && self.roster.lives(holder).unwrap_or(true) => {
                    return false;
                }
                Err(holder) => found = holder,
            }
        }
    }

    /// Gives the word back, if it is held by this one.
    ///
    /// # Panics
    ///
    /// As [`hold`](Self::hold).
    pub fn release(&mut self, word: usize) {
        if self.holds(word) {
            self.holds &= !(1 << word);
            self.roster.word(word).store(0, SeqCst);
        }
    }

    /// Whether this one has the word.
    #[must_use]
    pub fn holds(&self, word: usize) -> bool {
        self.holds & 1 << word != 0
    }

    /// Whether a living member has the word.
    ///
    /// # Errors
    ///
    /// What asking for a lock can fail with.
    ///
    /// # Panics
    ///
    /// As [`hold`](Self::hold).
    pub fn is_held(&self, word: usize) -> io::Result<bool> {
        match self.roster.word(word).load(SeqCst) {
            0 => Ok(false),
            holder => self.roster.lives(holder),
        }
    }

    /// The least of what living members show, this one too, and what `matters`; the kernel is asked for those alone.
    ///
    /// # Errors
    ///
    /// What asking for a lock can fail with.
    pub fn least_shown(&self, matters: impl Fn(u64) -> bool) -> io::Result<Option<u64>> {
        fence(SeqCst);
        let mut least = None;
        for at in 0..self.roster.used() {
            let entry = self.roster.entry(at);
            let shown = entry.shows.load(SeqCst);
            if shown == 0 || !matters(shown) || least.is_some_and(|least| least <= shown) {
                continue;
            }
            let key = entry.key.load(SeqCst);
            if key != 0 && self.roster.lives(key)? {
                least = Some(shown);
            }
        }
        Ok(least)
    }

    fn entry(&self) -> &Entry {
        self.roster.entry(self.at)
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        if self.generation != fork::generation() {
            return; // its parent's
        }
        for word in 0..WORDS {
            self.release(word);
        }
        self.show_nothing();
        self.entry().key.store(0, SeqCst);
        self.roster.give_back(self.at);
    }
}

impl Roster {
    fn clear(&self) -> io::Result<()> {
        let header = self.header();
        // In this order: others lengthen the file before they use more of it.
        let used = header.used.load(SeqCst);
        let room = self.file.file().metadata()?.len() as usize - FIRST_ENTRY;
        let room = (room / size_of::<Entry>()).min(MEMBERS);
        if used as usize > room {
            header.used.store(room as u32, SeqCst); // what a power cut has left
        }
        for at in 0..self.used() {
            let entry = self.entry(at);
            let left = entry.key.load(SeqCst) != 0 || entry.shows.load(SeqCst) != 0;
            if left && self.take(at)? {
                entry.shows.store(0, SeqCst);
                entry.key.store(0, SeqCst);
                self.give_back(at);
            }
        }
        Ok(())
    }

    /// Whether the place is free, or that of one who died: then it is the caller's alone.
    fn take(&self, at: usize) -> io::Result<bool> {
        let mine = &self.mine[at];
        let before = mine.load(SeqCst);
        let taken = is_of_this_process(before)
            || mine
                .compare_exchange(before, mark(0), SeqCst, Relaxed)
                .is_err();
        if taken {
            return Ok(false);
        }
        match fcntl(self.file.file(), SET_LOCK(&lock(Kind::Exclusive, at))) {
            Ok(_) => Ok(true),
            Err(error) => {
                self.mine[at].store(0, SeqCst);
                match error {
                    Errno::EAGAIN | Errno::EACCES => Ok(false),
                    _ => Err(error.into()),
                }
            }
        }
    }

    fn give_back(&self, at: usize) {
        // Giving up a lock on an open file doesn't fail. Before another thread of this process may take it again.
        let _ = fcntl(self.file.file(), SET_LOCK(&lock(Kind::None, at)));
        self.mine[at].store(0, SeqCst);
    }

    fn seat(self: &Arc<Self>, at: usize) -> io::Result<Member> {
        let number = match random::number() {
            Ok(number) => number.cast_unsigned(),
            Err(error) => {
                self.give_back(at);
                return Err(error);
            }
        };
        let key = number << 16 | (at as u64 + 1);
        let entry = self.entry(at);
        entry.shows.store(0, SeqCst);
        self.mine[at].store(mark(key), SeqCst);
        entry.key.store(key, SeqCst);
        self.header().used.fetch_max(at as u32 + 1, SeqCst);
        Ok(Member {
            roster: Arc::clone(self),
            at,
            key,
            holds: 0,
            generation: fork::generation(),
        })
    }

    /// Whether the member with this key, which may be anything, is there and alive.
    fn lives(&self, key: u64) -> io::Result<bool> {
        let at = (key & 0xFFFF) as usize;
        if at == 0 || at > self.used() || self.entry(at - 1).key.load(SeqCst) != key {
            return Ok(false);
        }
        if self.mine[at - 1].load(SeqCst) == mark(key) {
            return Ok(true);
        }
        let mut found = lock(Kind::Exclusive, at - 1);
        fcntl(self.file.file(), GET_LOCK(&mut found))?;
        Ok(is_there(&found))
    }

    fn header(&self) -> &Header {
        self.mapping.at(0)
    }

    fn used(&self) -> usize {
        let header = self.header();
        (header.used.load(SeqCst) as usize).min(MEMBERS)
    }

    fn word(&self, word: usize) -> &AtomicU64 {
        assert!(word < WORDS);
        let word: &Word = self.mapping.at(FIRST_WORD * (word + 1));
        &word.0
    }

    fn entry(&self, at: usize) -> &Entry {
        self.mapping.at(FIRST_ENTRY + at * size_of::<Entry>())
    }
}

/// A key as this process notes it for its own: a child made by `fork` finds the notes of its parent, and they say nothing to it.
fn mark(key: u64) -> u64 {
    (fork::generation() + 1) << 32 | (key >> 16 & u64::from(u32::MAX))
}

fn is_of_this_process(mark: u64) -> bool {
    mark >> 32 == fork::generation() + 1
}

fn lengthen_to(file: &FileLock, members: usize) -> io::Result<()> {
    let size = FIRST_ENTRY + members * size_of::<Entry>();
    match (file.file().metadata()?.len() as usize) < size {
        true => lengthen(file.file(), size),
        false => Ok(()),
    }
}

fn lock(kind: Kind, at: usize) -> nix::libc::flock {
    record(kind, FIRST_LOCK + at as u64, 1)
}
