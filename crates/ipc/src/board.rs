//! Who holds what, in memory that all processes share.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::num::NonZeroUsize;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize};

use nix::sys::stat::fstat;

use crate::mapping::{Mapping, Shared, lengthen};
use crate::mutex::Mutex;
use crate::places::{Places, STEP};
use crate::seat::{self, Party, Row, SEATS};
use crate::slots::Slots;
use crate::{FileLock, Mode, OwnerId, Owners, boot, fork, plain_file};

/// A file that says, for each structure that can be held, which thread of which process holds it, and who waits for it.
/// All processes of a store have it in their memory, so that taking what is free costs no more than a few atomic writes.
///
/// A thread that takes something sits down first: it gets a *seat*, with a key that nobody had before it, and writes that
/// key into the *slot* that it takes. A slot is held if and only if
///
/// > the key in it is that of a seat, and the owner of that seat is alive
///
/// so a process that is killed holds nothing from that moment on, at whichever instruction it was: its owner
/// file is unlocked, and whoever meets its keys frees its seats.
///
/// # Process safety
///
/// All threads of all processes may use one board. A child made by `fork` holds nothing and has seats of its own.
///
/// # Crashes
///
/// See above. Once the system was started again another one is made, with a greater [era](Self::era), since a power cut may
/// have taken tokens back.
///
/// # Cost
///
/// 580 KiB of disk for the seats of 4096 threads and the first thousand of locks, which take 64 bytes each.
#[derive(Debug)]
pub struct Board {
    pub(crate) mapping: Mapping,
    pub(crate) file: File,
    path: PathBuf,
    /// So long the file has been.
    pub(crate) length: AtomicUsize,
    /// Locked while a seat is given, or a place for a structure.
    pub(crate) lock: PathBuf,
    owners: Arc<Owners>,
    pub(crate) era: u64,
    /// The keys of the seats that it has given, and the generation in which it began to.
    given: Box<[AtomicU64]>,
    /// Where the structures are that it has met.
    pub(crate) places: Mutex<Places>,
    generation: AtomicU64,
    /// Tells the boards of one process apart.
    serial: u64,
}

/// The first page.
#[repr(C)]
pub(crate) struct Header {
    magic: AtomicU64,
    /// The run of the system in which it was made.
    boot: AtomicU64,
    era: AtomicU64,
    /// Of this very file: a copy is no board, or there would be two.
    inode: AtomicU64,
    /// Not 0: the above is on the disk.
    synced: AtomicU64,
    /// Where the next head goes, in units.
    pub(crate) end: AtomicU32,
    /// All seats that were ever given are before this one.
    pub(crate) seats: AtomicU32,
    /// Of the last seat, and of the last wait.
    keys: AtomicU64,
    arrivals: AtomicU64,
    /// How many listen at the doorbell, and have been killed while they did.
    pub(crate) listeners: AtomicU32,
    /// How often structures went.
    pub(crate) removals: AtomicU64,
}

// SAFETY: it consists of atomics.
unsafe impl Shared for Header {}

/// "dskboar" and the format.
const MAGIC: u64 = u64::from_be_bytes(*b"dskboar\x04");

/// A unit at the end of the first page, to which all go that go astray.
pub(crate) const NOBODYS: usize = FIRST_SEAT - 64;

/// The number of runs of the system that a store can see: that tokens are positive numbers of a database.
const LAST_ERA: u64 = (1 << 23) - 1;

const FIRST_SEAT: usize = 4096;
/// After the seats come the places of the structures.
pub(crate) const PLACES: usize = FIRST_SEAT + SEATS * size_of::<Row>();

/// What is mapped from the start; the file grows up to it.
pub(crate) const MAPPED: NonZeroUsize = NonZeroUsize::new(64 << 20).expect("not zero");

impl Board {
    /// Opens the board at `path`; `None` if there is none, or something else, such as the copy of a board. `lock` is the path of
    /// a lock file. Whoever opens and [creates](Self::create) keeps others from doing so meanwhile.
    ///
    /// # Errors
    ///
    /// What opening and mapping a file can fail with.
    pub fn open(path: &Path, lock: PathBuf, owners: Arc<Owners>) -> io::Result<Option<Self>> {
        let file = match plain_file::write(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let metadata = file.metadata()?;
        if metadata.len() < (PLACES + STEP) as u64 {
            return Ok(None);
        }
        let board = Self::map(path, file, lock, owners)?;
        let header = board.header();
        let valid = header.magic.load(Acquire) == MAGIC
            && header.inode.load(Acquire) == metadata.ino()
            && board.era <= LAST_ERA;
        Ok(valid.then_some(board))
    }

    /// Whether it was made in this run of the system, as this process knows it.
    ///
    /// # Errors
    ///
    /// Those of [`boot::id`].
    pub fn is_of_this_run(&self) -> io::Result<bool> {
        Ok(self.header().boot.load(Acquire) == boot::id()?)
    }

    /// Makes a board, in place of any other at `path`: nobody alive must know that one. Its era must be greater than
    /// [any](Self::last_era) before.
    ///
    /// # Errors
    ///
    /// What creating and mapping a file can fail with; a full disk.
    pub fn create(path: &Path, lock: PathBuf, owners: Arc<Owners>, era: u64) -> io::Result<Self> {
        let aside = path.with_extension("new");
        // Left by one that was killed here.
        match fs::remove_file(&aside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = plain_file::create(&aside)?;
        lengthen(&file, PLACES + STEP)?;
        let inode = file.metadata()?.ino();
        let mut board = Self::map(path, file, lock, owners)?;
        board.era = era;
        let header = board.header();
        header.boot.store(boot::id()?, Relaxed);
        header.era.store(era, Relaxed);
        header.inode.store(inode, Relaxed);
        header.end.store(0, Relaxed);
        header.magic.store(MAGIC, Release);
        fs::rename(&aside, path)?;
        Ok(board)
    }

    /// Makes sure that no power cut takes the era back: to be called before anybody shows a token of it.
    ///
    /// # Errors
    ///
    /// What writing to a disk can fail with.
    pub fn sync(&self) -> io::Result<()> {
        self.must_be_intact()?;
        let synced = &self.header().synced;
        if synced.load(Acquire) == 0 {
            self.file.sync_all()?;
            plain_file::sync_directory(self.path.parent().unwrap_or(&self.path))?;
            synced.store(1, Release);
        }
        Ok(())
    }

    /// The era of whatever board is at `path`, even of an earlier run; 0 if there is none.
    ///
    /// # Errors
    ///
    /// What reading a file can fail with.
    pub fn last_era(path: &Path) -> io::Result<u64> {
        let file = match plain_file::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            file => file?,
        };
        let mut bytes = Vec::new();
        file.take(24).read_to_end(&mut bytes)?;
        let words: Vec<u64> = bytes
            .as_chunks()
            .0
            .iter()
            .copied()
            .map(u64::from_ne_bytes)
            .collect();
        Ok(match words[..] {
            [MAGIC, _, era] if era <= LAST_ERA => era,
            _ => 0,
        })
    }

    fn map(path: &Path, file: File, lock: PathBuf, owners: Arc<Owners>) -> io::Result<Self> {
        static SERIAL: AtomicU64 = AtomicU64::new(0);
        fork::install();
        seat::know_thyself();
        let mapping = Mapping::new(&file, MAPPED)?;
        let header: &Header = mapping.at(0);
        Ok(Self {
            era: header.era.load(Acquire),
            length: AtomicUsize::new(file.metadata()?.len() as usize),
            mapping,
            file,
            path: std::path::absolute(path)?,
            lock: std::path::absolute(lock)?,
            owners,
            given: (0..SEATS).map(|_| AtomicU64::new(0)).collect(),
            places: Mutex::default(),
            generation: AtomicU64::new(fork::generation()),
            serial: SERIAL.fetch_add(1, Relaxed),
        })
    }

    /// Grows from board to board: the upper 24 bits of every token that it gives.
    #[must_use]
    pub fn era(&self) -> u64 {
        self.era
    }

    /// The slots of the structure with this number, which is positive. If it has none yet, `limit` of them.
    ///
    /// # Errors
    ///
    /// What lengthening a file can fail with; that the board is full; [`NotFound`](io::ErrorKind::NotFound) when it was removed.
    pub fn slots(self: &Arc<Self>, id: i64, limit: u32) -> io::Result<Slots> {
        self.must_be_intact()?;
        if let Some(at) = self.find(id) {
            return Ok(Slots::new(Arc::clone(self), at));
        }
        let _guard = self.guard()?;
        let at = match self.find(id) {
            Some(at) => at,
            None => self.add(id, limit)?,
        };
        Ok(Slots::new(Arc::clone(self), at))
    }

    /// How often structures were removed, so that it can be told without asking the database whether one may have been.
    ///
    /// # Errors
    ///
    /// [`NotFound`](io::ErrorKind::NotFound) when the board was removed.
    pub fn removals(&self) -> io::Result<u64> {
        self.must_be_intact()?;
        Ok(self.removals_after_look())
    }

    /// The same, for who has just passed a call that looks whether the board is still there: such as taking a slot.
    #[must_use]
    pub fn removals_after_look(&self) -> u64 {
        self.header().removals.load(SeqCst)
    }

    /// Says that something was changed in the catalog that others may know by heart: they look again as after a removal.
    ///
    /// # Errors
    ///
    /// [`NotFound`](io::ErrorKind::NotFound) when the board was removed.
    pub fn tell_changed(&self) -> io::Result<()> {
        self.must_be_intact()?;
        self.header().removals.fetch_add(1, SeqCst);
        Ok(())
    }

    /// Says that the structure with this number goes or has gone: its slots are taken from all who hold them, and their room
    /// is given back.
    ///
    /// # Errors
    ///
    /// [`NotFound`](io::ErrorKind::NotFound) when the board was removed.
    pub fn remove(&self, id: i64) -> io::Result<()> {
        self.must_be_intact()?;
        self.header().removals.fetch_add(1, SeqCst);
        if self.find(id).is_some() {
            let _guard = self.guard()?;
            if let Some(at) = self.find(id) {
                self.vacate(at);
            }
        }
        self.have_all_look_again();
        Ok(())
    }

    /// Whether the file is still there as it was: if not, nobody can hold anything.
    #[must_use]
    pub fn is_intact(&self) -> bool {
        self.must_be_intact().is_ok()
    }

    /// Who an owner is: one of his threads that sit here, if there is one.
    #[must_use]
    pub fn party_of(&self, owner: OwnerId) -> Option<Party> {
        self.must_be_intact().ok()?;
        let mut seats = self.seats();
        seats
            .find(|row| row.key.load(SeqCst) != 0 && row.owner() == owner)
            .map(Row::party)
    }

    /// Frees what the dead `owner` holds, and lets all who wait look again.
    pub fn bury(&self, owner: OwnerId) {
        if self.must_be_intact().is_err() {
            return; // who waits finds it out
        }
        for row in self.seats() {
            row.free_of(owner);
        }
        self.have_all_look_again();
    }
}

impl Board {
    fn have_all_look_again(&self) {
        for row in self.seats().filter(|row| row.want().is_some()) {
            row.line.ring();
        }
    }

    /// A removed or shortened file excludes nobody, and must not be touched.
    pub(crate) fn must_be_intact(&self) -> io::Result<()> {
        // Before the look at the file, which another thread may be lengthening.
        let known = self.length.load(Acquire);
        let found = fstat(&self.file)?;
        let length = found.st_size as usize;
        if found.st_nlink > 0 && length >= known {
            if length > known {
                self.length.fetch_max(length, Release);
            }
            return Ok(());
        }
        Err(io::Error::new(
            io::ErrorKind::NotFound,
            "the board, on which it is written who holds what, was removed or cut short while it was in use",
        ))
    }

    pub(crate) fn seats(&self) -> impl Iterator<Item = &Row> {
        let seats = (self.header().seats.load(Acquire) as usize).min(SEATS);
        (0..seats).map(|i| self.seat_row(i))
    }

    pub(crate) fn seat_row(&self, i: usize) -> &Row {
        self.mapping.at(FIRST_SEAT + (i % SEATS) * size_of::<Row>())
    }

    /// Is this the key of somebody who sits?
    pub(crate) fn is_seated(&self, key: u64) -> bool {
        key != 0 && self.seat_row(key as usize).key.load(SeqCst) == key
    }

    /// Later than all before it.
    pub(crate) fn arrival(&self) -> u64 {
        self.header().arrivals.fetch_add(1, SeqCst).wrapping_add(1)
    }

    /// Gives this process a free seat, filled in by `fill`; returns its key.
    pub(crate) fn sit_down(&self, fill: impl FnOnce(&Row)) -> io::Result<u64> {
        let me = self.owners.me()?;
        if !self.owners.am_known()? {
            return Err(seat::taken_for_dead());
        }
        let _guard = FileLock::guard(&self.lock, Mode::Exclusive)?;
        let free = |&i: &usize| self.seat_row(i).key.load(SeqCst) == 0;
        let i = match (0..SEATS).find(free) {
            Some(i) => i,
            None => {
                self.bury_the_dead_among(self.seats())?;
                (0..SEATS).find(free).ok_or_else(|| {
                    io::Error::other(format!(
                        "{SEATS} living threads have written or held something already, which is the most"
                    ))
                })?
            }
        };
        let header = self.header();
        header.seats.fetch_max(i as u32 + 1, SeqCst);
        // The lower digits say which seat, the upper ones make it a key that nobody had.
        let number = header.keys.fetch_add(1, SeqCst).wrapping_add(1);
        let key = number.wrapping_mul(SEATS as u64) + i as u64;
        let row = self.seat_row(i);
        row.owner.store(me.as_i64(), SeqCst);
        fill(row);
        if self.generation.swap(fork::generation(), AcqRel) != fork::generation() {
            self.given.iter().for_each(|key| key.store(0, Relaxed)); // they were the parent's
        }
        self.given[i].store(key, Relaxed);
        row.key.store(key, SeqCst); // last: until then the seat is free, whatever is in it
        Ok(key)
    }

    /// Frees the seats of the owners of `rows` who are dead; says whether there were any.
    pub(crate) fn bury_the_dead_among<'b>(
        &self,
        rows: impl Iterator<Item = &'b Row>,
    ) -> io::Result<bool> {
        let owners: BTreeSet<OwnerId> = rows.map(Row::owner).collect();
        let mut any = false;
        for owner in owners {
            if !self.owners.is_alive(owner)? {
                self.bury(owner);
                any = true;
            }
        }
        Ok(any)
    }

    pub(crate) fn owners(&self) -> &Owners {
        &self.owners
    }

    pub(crate) fn serial(&self) -> u64 {
        self.serial
    }

    pub(crate) fn header(&self) -> &Header {
        self.mapping.at(0)
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        // Nobody holds anything any more: a hold keeps its board.
        if self.generation.load(Acquire) == fork::generation() && self.must_be_intact().is_ok() {
            for key in self.given.iter().map(|key| key.load(Relaxed)) {
                self.seat_row(key as usize).free(key);
            }
        }
    }
}
