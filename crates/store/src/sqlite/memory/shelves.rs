//! Where it is kept: on shelves, each with the rows of one header.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};
use std::iter;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use diskette_ipc::{ArcLaneWriteGuard, ArcMutexGuard, LaneLock, Lanes, Mutex};
use diskette_wal_index::{Header, WalIndex};
use twox_hash::XxHash3_64;

use super::{Kept, Recalled};
use crate::error::from_sqlite;
use crate::sqlite::Sqlite;
use crate::sqlite::connection::{self, Role};
use crate::sqlite::fork;

/// So many, that threads meet rarely.
const SHELVES: usize = 32;

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

/// What the header was, through an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    index: u64,
    header: Header,
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
    pub(super) fn get_index(&self, sqlite: &Sqlite) {
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

    pub(super) fn count_hit(&self) {
        self.hits.mine().fetch_add(1, Ordering::Relaxed);
    }

    /// What was read since a moment, if that still lasts: else nobody would ever find it.
    pub(super) fn put(&self, key: &[u8], parts: Option<[&[u8]; 2]>, since: &Moment) {
        let bytes = key.len() + parts.iter().flatten().map(|part| part.len()).sum::<usize>();
        let room = self.limit() / SHELVES;
        if bytes + ENTRY > room / 8 {
            return;
        }
        let hash = self.hash(key);
        let entry = Entry::new(key, parts, bytes);
        let mut shelf = self.shelf(hash).write();
        if shelf.is_still(since) {
            shelf.begin(since.header);
            shelf.put(hash, entry, room);
        }
    }

    pub(super) fn hash(&self, key: &[u8]) -> u64 {
        XxHash3_64::oneshot_with_seed(self.seed, key)
    }

    /// By other bits than those by which a map finds its slots.
    pub(super) fn shelf(&self, hash: u64) -> &LaneLock<Shelf> {
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
    pub(super) fn has_index(&self) -> bool {
        self.index.is_some()
    }

    pub(super) fn find(&self, hash: u64, key: &[u8]) -> Option<&Entry> {
        self.entries.get(&hash).filter(|entry| entry.key() == key)
    }

    /// Whether the entries are what would be read now.
    pub(super) fn is_true(&self) -> bool {
        match (&self.index, &self.header) {
            (Some((_, index)), Some(header)) => index.is(header),
            _ => false,
        }
    }

    /// The header now.
    pub(super) fn moment(&self) -> Option<Moment> {
        let (count, index) = self.index.as_ref()?;
        index.header().map(|header| Moment {
            index: *count,
            header,
        })
    }

    /// The one to which the entries belong.
    pub(super) fn known(&self) -> Option<Moment> {
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

pub(super) struct Entry {
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

    pub(super) fn recall<'s>(&self) -> Recalled<'s> {
        // Who reads what others read, too, must not change it.
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
        if !self.is_row {
            return Recalled::NoRow;
        }
        Recalled::Row(Kept::of(&self.bytes, self.key as usize))
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
