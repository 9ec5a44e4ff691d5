//! What this process has read of late, kept in memory for as long as it would be read again.
//!
//! What is kept is what a row says, or that there is none, under its key. It belongs to a [`Header`] of the WAL-index:
//!
//! - *Kept*: the header is read before the row.
//! - *Given*: the header is compared within the call, and is the same. Since none comes again, it was there all the time, also when
//!   SQLite took the state in which it read the row; so that is still what the row says. And it was so at a moment of the call:
//!   what had been committed before, by any process, is in it.
//!
//! All on one shelf belongs to one header. Both happen under the lock of the shelf, under which a fork takes the index away, and all
//! that is on the shelves with it: once no connection is open, a header may come again.
//!
//! Threads that are given something change nothing that they share: they read the shelf side by side, each by a lane of its lock.

use std::cell::Cell;
use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};
use std::iter;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use diskette_ipc::{ArcLaneWriteGuard, ArcMutexGuard, LaneLock, Lanes, Mutex};
use diskette_wal_index::{Header, WalIndex};
use smallvec::SmallVec;
use twox_hash::XxHash3_64;

use crate::error::{Result, from_sqlite};
use crate::sqlite::Sqlite;
use crate::sqlite::connection::{self, Role};
use crate::sqlite::fork;

/// What is kept in memory of a database.
#[derive(Clone, Copy)]
pub struct Memory<'s>(&'s Sqlite);

/// What is known of a row.
#[derive(Debug)]
pub enum Recalled<'s> {
    /// It says this.
    Row(Kept),
    /// There is none.
    NoRow,
    /// It has to be read.
    Unknown(Keeping<'s>),
}

/// What a row says, as whoever read it wanted it kept.
#[derive(Debug)]
pub struct Kept(Bytes);

#[derive(Debug)]
enum Bytes {
    /// Faster than to count who shares them, and no memory that threads share is changed.
    Copied(SmallVec<[u8; SMALL]>),
    /// Those after the key.
    Shared { with_key: Arc<[u8]>, key: usize },
}

/// Keeps what is read from now on; or nothing, by default.
#[derive(Debug, Default)]
pub struct Keeping<'s> {
    since: Option<(Memory<'s>, Moment)>,
    found_none: Cell<bool>,
}

/// What the header was, through an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Moment {
    index: u64,
    header: Header,
}

impl<'s> Memory<'s> {
    /// What is known of the row of a key.
    pub fn recall(self, key: &[u8]) -> Recalled<'s> {
        let shelves = self.shelves();
        let hash = shelves.hash(key);
        let mut shelf = shelves.shelf(hash).read();
        if shelf.index.is_none() {
            drop(shelf);
            shelves.get_index(self.0);
            shelf = shelves.shelf(hash).read();
        }
        if !shelf.is_true() {
            let moment = shelf.moment();
            return Recalled::Unknown(self.keeping(moment));
        }
        match shelf.entries.get(&hash) {
            Some(entry) if entry.key() == key => {
                shelves.hits.mine().fetch_add(1, Ordering::Relaxed);
                entry.recall()
            }
            _ => Recalled::Unknown(self.keeping(shelf.known())),
        }
    }

    /// What is known of the rows of several keys, all at one moment; or the way to keep them.
    pub fn recall_all<'k>(
        self,
        keys: impl Iterator<Item = &'k [u8]>,
    ) -> Result<Vec<Option<Kept>>, Keeping<'s>> {
        let moment = self.moment();
        let mut all = Vec::new();
        for key in keys {
            match self.recall(key) {
                Recalled::Row(kept) => all.push(Some(kept)),
                Recalled::NoRow => all.push(None),
                Recalled::Unknown(_) => return Err(self.keeping(moment)),
            }
        }
        match moment.is_some() && self.moment() == moment {
            true => Ok(all),
            false => Err(self.keeping(moment)),
        }
    }

    fn moment(self) -> Option<Moment> {
        self.shelves().shelf(0).read().moment()
    }

    fn keeping(self, moment: Option<Moment>) -> Keeping<'s> {
        Keeping {
            since: moment.map(|moment| (self, moment)),
            found_none: Cell::new(false),
        }
    }

    fn shelves(self) -> &'s Shelves {
        &self.0.shared.memory
    }
}

impl Keeping<'_> {
    /// Keeps what the row of a key says, in several parts. To be called once it was read.
    pub fn keep(&self, key: &[u8], parts: [&[u8]; 2]) {
        self.put(key, Some(parts));
    }

    /// Says that the key was looked for and has no row, which is kept once it is known that its structure is there.
    pub fn found_none(&self) {
        self.found_none.set(true);
    }

    /// Keeps that the key has no row, if that was found.
    pub(crate) fn keep_none(&self, key: &[u8]) {
        if self.found_none.get() {
            self.put(key, None);
        }
    }

    fn put(&self, key: &[u8], parts: Option<[&[u8]; 2]>) {
        let Some((memory, moment)) = self.since else {
            return;
        };
        let shelves = memory.shelves();
        let bytes = key.len() + parts.iter().flatten().map(|part| part.len()).sum::<usize>();
        let room = shelves.limit.load(Ordering::Relaxed) / SHELVES;
        if bytes + ENTRY > room / 8 {
            return;
        }
        let hash = shelves.hash(key);
        let entry = Entry::new(key, parts, bytes);
        let mut shelf = shelves.shelf(hash).write();
        // Else nobody would ever find it.
        if shelf.is_still(&moment) {
            shelf.begin(moment.header);
            shelf.put(hash, entry, room);
        }
    }
}

impl Deref for Kept {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Bytes::Copied(bytes) => bytes,
            Bytes::Shared { with_key, key } => with_key.get(*key..).unwrap_or_default(),
        }
    }
}

impl fmt::Debug for Memory<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Memory").finish()
    }
}

impl Sqlite {
    /// Nothing within a transaction of this thread, where a plain call is an error, and where nobody may write.
    pub(crate) fn memory(&self) -> Option<Memory<'_>> {
        let is_wanted = self.ways.memory && !self.is_for_reading();
        let is_free = !fork::is_torn() && !self.writer().is_mine() && self.is_known_to_be_here();
        (is_wanted && is_free).then_some(Memory(self))
    }
}

/// So many, that threads meet rarely.
const SHELVES: usize = 32;

/// What a row says is copied for who reads it up to so many bytes.
const SMALL: usize = 128;

/// What an entry takes besides its bytes.
const ENTRY: usize = 64;

/// Of reads after which the index is opened, which costs about as much: who reads little needs none. After a failure the same.
const READS: u32 = 100;

/// What the handles of a database share.
pub(crate) struct Shelves {
    shelves: Box<[Arc<LaneLock<Shelf>>]>,
    index: Arc<Mutex<Opened>>,
    /// Of all shelves.
    hits: Lanes<AtomicU64>,
    /// Since the index was last asked for.
    reads: AtomicU32,
    /// In bytes.
    limit: AtomicUsize,
    seed: u64,
}

/// The index, where there is one, and how often there was.
#[derive(Default)]
pub(crate) struct Opened {
    index: Option<Arc<WalIndex>>,
    count: u64,
}

/// Kept still over a fork, with nothing in it.
pub(crate) struct Emptied {
    _shelves: Vec<ArcLaneWriteGuard<Shelf>>,
    _index: ArcMutexGuard<Opened>,
}

impl Shelves {
    /// From now on it may take so many bytes, if it mayn't already.
    pub(crate) fn allow(&self, bytes: usize) {
        self.limit.fetch_max(bytes, Ordering::Relaxed);
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit.load(Ordering::Relaxed)
    }

    /// How many bytes it takes, and how many reads it has answered.
    pub(crate) fn usage(&self) -> (u64, u64) {
        let bytes = self.shelves.iter().map(|shelf| shelf.read().bytes as u64);
        let hits = self.hits.iter().map(|hits| hits.load(Ordering::Relaxed));
        (bytes.sum(), hits.sum())
    }

    /// Forgets everything, and closes the connection, before a fork. `None`: one is being opened.
    pub(crate) fn retire(&self) -> Option<Emptied> {
        let patience = fork::Patience::begin();
        let mut opened = loop {
            match self.index.try_lock_arc_for(fork::LOOK) {
                Some(opened) => break opened,
                None if patience.goes_on(false) => {}
                None => return None,
            }
        };
        let mut shelves: Vec<_> = self.shelves.iter().map(LaneLock::write_arc).collect();
        for shelf in &mut shelves {
            **shelf = Shelf::default();
        }
        let index = opened.index.take().and_then(Arc::into_inner);
        if let Some(index) = index {
            connection::close_for_fork(index.into_connection());
        }
        Some(Emptied {
            _shelves: shelves,
            _index: opened,
        })
    }

    /// Opens the index, if it is worth it.
    fn get_index(&self, sqlite: &Sqlite) {
        if self.reads.fetch_add(1, Ordering::Relaxed) < READS {
            return;
        }
        self.reads.store(0, Ordering::Relaxed);
        sqlite.door().pass();
        let mut opened = self.index.lock();
        if opened.index.is_none() {
            let open = || {
                let connection = sqlite.connect(Role::Reader)?;
                WalIndex::of(connection).map_err(from_sqlite)
            };
            let Ok(index) = open() else { return };
            opened.index = Some(Arc::new(index));
            opened.count += 1;
        }
        for shelf in &self.shelves {
            let index = opened.index.clone();
            shelf.write().index = index.map(|index| (opened.count, index));
        }
    }

    fn hash(&self, key: &[u8]) -> u64 {
        XxHash3_64::oneshot_with_seed(self.seed, key)
    }

    /// By other bits than those by which a map finds its slots.
    fn shelf(&self, hash: u64) -> &LaneLock<Shelf> {
        &self.shelves[(hash >> 32) as usize % SHELVES]
    }
}

impl Default for Shelves {
    fn default() -> Self {
        Shelves {
            shelves: (0..SHELVES).map(|_| Arc::default()).collect(),
            index: Arc::default(),
            hits: Lanes::default(),
            reads: AtomicU32::new(0),
            limit: AtomicUsize::new(0),
            seed: RandomState::new().hash_one(SHELVES),
        }
    }
}

#[derive(Default)]
pub(crate) struct Shelf {
    index: Option<(u64, Arc<WalIndex>)>,
    /// To which all entries belong.
    header: Option<Header>,
    /// By the hashes of their keys.
    entries: HashMap<u64, Entry, BuildHasherDefault<Hashed>>,
    bytes: usize,
}

impl Shelf {
    /// Whether the entries are what would be read now.
    fn is_true(&self) -> bool {
        match (&self.index, &self.header) {
            (Some((_, index)), Some(header)) => index.is(header),
            _ => false,
        }
    }

    /// The header now.
    fn moment(&self) -> Option<Moment> {
        let (count, index) = self.index.as_ref()?;
        index.header().map(|header| Moment {
            index: *count,
            header,
        })
    }

    /// The one to which the entries belong.
    fn known(&self) -> Option<Moment> {
        let (count, _) = self.index.as_ref()?;
        self.header.map(|header| Moment {
            index: *count,
            header,
        })
    }

    fn is_still(&self, moment: &Moment) -> bool {
        let index = self.index.as_ref();
        index.is_some_and(|(count, index)| *count == moment.index && index.is(&moment.header))
    }

    /// What was kept under another header goes.
    fn begin(&mut self, header: Header) {
        if self.header == Some(header) {
            return;
        }
        // Clearing a map takes as long as it once was full.
        match self.entries.len() < self.entries.capacity() / 8 {
            true => self.entries = HashMap::default(),
            false => self.entries.clear(),
        }
        self.bytes = 0;
        self.header = Some(header);
    }

    fn put(&mut self, hash: u64, entry: Entry, room: usize) {
        if self.bytes + entry.size() > room {
            self.make_room(room / 2);
        }
        self.bytes += entry.size();
        if let Some(replaced) = self.entries.insert(hash, entry) {
            self.bytes -= replaced.size();
        }
    }

    /// Of what was used since the last time as much stays as goes into `room`.
    fn make_room(&mut self, room: usize) {
        let mut bytes = 0;
        self.entries.retain(|_, entry| {
            let stays = std::mem::take(entry.used.get_mut()) && bytes + entry.size() <= room;
            bytes += if stays { entry.size() } else { 0 };
            stays
        });
        self.bytes = bytes;
    }
}

struct Entry {
    /// Those of the key, then those of what its row says.
    bytes: Arc<[u8]>,
    key: u32,
    is_row: bool,
    used: AtomicBool,
}

impl Entry {
    fn new(key: &[u8], parts: Option<[&[u8]; 2]>, length: usize) -> Self {
        Entry {
            bytes: joined(key, parts.unwrap_or_default(), length),
            key: u32::try_from(key.len()).unwrap_or(u32::MAX),
            is_row: parts.is_some(),
            used: AtomicBool::new(false),
        }
    }

    fn key(&self) -> &[u8] {
        self.bytes.get(..self.key as usize).unwrap_or_default()
    }

    fn row(&self) -> &[u8] {
        self.bytes.get(self.key as usize..).unwrap_or_default()
    }

    fn recall<'s>(&self) -> Recalled<'s> {
        // Who reads what others read, too, must not change it.
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
        if !self.is_row {
            return Recalled::NoRow;
        }
        let (key, row) = (self.key as usize, self.row());
        Recalled::Row(Kept(match row.len() <= SMALL {
            true => Bytes::Copied(SmallVec::from_slice(row)),
            false => Bytes::Shared {
                with_key: Arc::clone(&self.bytes),
                key,
            },
        }))
    }

    fn size(&self) -> usize {
        self.bytes.len() + ENTRY
    }
}

/// A key and what its row says, copied once.
fn joined(key: &[u8], parts: [&[u8]; 2], length: usize) -> Arc<[u8]> {
    let mut bytes: Arc<[u8]> = iter::repeat_n(0, length).collect();
    // Nobody else has it yet.
    let mut rest = Arc::get_mut(&mut bytes).unwrap_or_default();
    for part in iter::once(key).chain(parts) {
        let (place, after) = rest.split_at_mut(part.len());
        place.copy_from_slice(part);
        rest = after;
    }
    bytes
}

/// Of a number that is a hash.
#[derive(Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn write(&mut self, _: &[u8]) {}
}
