//! Where on a board the slots of each structure are.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64};

use crate::board::{Board, MAPPED, NOBODYS, PLACES};
use crate::mapping::{Shared, lengthen};
use crate::{FileLock, Mode};

/// Of one structure: here the slots begin.
#[derive(Debug)]
#[repr(C, align(32))]
pub(crate) struct Head {
    /// Of the structure; 0 where the slots of another head go on.
    pub(crate) id: AtomicI64,
    /// How many slots follow.
    room: AtomicU32,
    /// How many may be taken, here and where it goes on.
    pub(crate) limit: AtomicU32,
    /// Not 0: perhaps somebody waits.
    pub(crate) waited: AtomicU32,
    /// Where the slots go on, or 0.
    next: AtomicU32,
    /// When it last went to somebody who waited.
    pub(crate) turn: AtomicU64,
}

/// What one thread can hold.
#[derive(Debug)]
#[repr(C, align(32))]
pub(crate) struct Slot {
    /// The key of a seat.
    pub(crate) holder: AtomicU64,
    /// How often it was taken, on top of the era.
    pub(crate) token: AtomicU64,
    /// When it was taken.
    pub(crate) since: AtomicU64,
    /// The token with which the process has it, and no thread of it: whichever may give it back.
    pub(crate) of_process: AtomicU64,
}

// SAFETY: it consists of atomics.
unsafe impl Shared for Head {}
// SAFETY: as above.
unsafe impl Shared for Slot {}

impl Slot {
    /// Whether it is held, if it is, by a process rather than by a thread.
    pub(crate) fn is_of_process(&self) -> bool {
        self.of_process.load(SeqCst) == self.token.load(SeqCst)
    }
}

/// The heads that a process has met, by structure.
#[derive(Debug, Default)]
pub(crate) struct Places {
    known: HashMap<i64, u32>,
    /// All heads before this unit.
    seen: u32,
    /// How often structures had been removed by then: since then heads may have become those of others.
    removals: u64,
}

/// The number of the head of a room that is free, and of nothing that could be there.
const FREE: i64 = i64::MIN;

/// Heads and slots have the same size, and are counted in it.
const UNIT: usize = size_of::<Slot>();
const _: () = assert!(size_of::<Head>() == UNIT);

/// A board's file grows by this.
pub(crate) const STEP: usize = 64 << 10;

impl Board {
    /// Makes room for `limit` slots in all.
    pub(crate) fn reserve(&self, at: u32, limit: u32) -> io::Result<()> {
        let _guard = self.guard()?;
        self.make_room(at, limit)
    }

    /// Says how many slots may be taken, and makes room for them.
    pub(crate) fn set_limit(&self, at: u32, limit: u32) -> io::Result<()> {
        let _guard = self.guard()?;
        self.make_room(at, limit)?;
        self.head(at).limit.store(limit, SeqCst);
        Ok(())
    }

    /// Keeps others from adding to the board. How long it is now is known then.
    pub(crate) fn guard(&self) -> io::Result<FileLock> {
        let guard = FileLock::guard(&self.lock, Mode::Exclusive)?;
        self.must_be_intact()?;
        Ok(guard)
    }

    /// A head, by the unit that it is; where that is out of reach, one of nobody's.
    pub(crate) fn head(&self, at: u32) -> &Head {
        self.mapping.at(self.offset(at))
    }

    /// A slot, by the unit that it is; where that is out of reach, a free one that nobody takes.
    pub(crate) fn slot(&self, at: u32) -> &Slot {
        self.mapping.at(self.offset(at))
    }

    /// The slots of the structure at `at`, by the units that they are.
    pub(crate) fn each(&self, at: u32) -> impl Iterator<Item = u32> {
        let end = self.units();
        let slots = move |run| (run + 1..end).take(self.head(run).room.load(Acquire) as usize);
        self.runs(at).flat_map(slots).take(end as usize)
    }

    /// How many they are.
    pub(crate) fn room(&self, at: u32) -> u32 {
        let rooms = self.runs(at).map(|run| self.head(run).room.load(Acquire));
        rooms.fold(0, u32::saturating_add)
    }

    fn offset(&self, at: u32) -> usize {
        match at {
            at if at < self.units() => PLACES + at as usize * UNIT,
            _ => NOBODYS,
        }
    }

    /// How many units the file has, as far as this process knows. Others may have made it longer, and damage may lead
    /// anywhere.
    fn units(&self) -> u32 {
        let bytes = self.length.load(Relaxed).min(MAPPED.get());
        (bytes.saturating_sub(PLACES) / UNIT) as u32
    }

    /// The heads of one structure. One that another process is just adding may be further than this one can reach yet.
    fn runs(&self, at: u32) -> impl Iterator<Item = u32> {
        let next = move |&at: &u32| {
            let next = self.head(at).next.load(Acquire);
            (at + 1..self.units()).contains(&next).then_some(next)
        };
        std::iter::successors(Some(at), next)
    }

    /// The caller has the guard.
    fn make_room(&self, at: u32, limit: u32) -> io::Result<()> {
        let room = self.room(at);
        if room < limit {
            let more = self.add(0, limit - room)?;
            let last = self.runs(at).last().unwrap_or(at);
            self.head(last).next.store(more, Release);
        }
        Ok(())
    }

    /// Each head is looked at once by each process.
    pub(crate) fn find(&self, id: i64) -> Option<u32> {
        // A fork may have left it locked in this child: then all are looked at.
        let mut kept = self.places.try_lock();
        let places = kept.as_deref_mut();
        let mut afresh = Places::default();
        let places = places.unwrap_or(&mut afresh);
        let removals = self.header().removals.load(SeqCst);
        if places.removals != removals {
            *places = Places {
                removals,
                ..Places::default()
            };
        }
        let end = self.header().end.load(Acquire).min(self.units());
        while places.seen < end {
            let head = self.head(places.seen);
            places
                .known
                .entry(head.id.load(Relaxed))
                .or_insert(places.seen);
            places.seen = places.seen.saturating_add(units(head.room.load(Relaxed)));
        }
        places.known.get(&id).copied()
    }

    /// Takes the slots of a structure from all who hold them, and frees their room. The caller has the guard.
    pub(crate) fn vacate(&self, at: u32) {
        for slot in self.each(at) {
            self.slot(slot).holder.store(0, SeqCst);
        }
        let runs: Vec<u32> = self.runs(at).collect();
        for run in runs {
            let head = self.head(run);
            head.next.store(0, Release);
            head.id.store(FREE, Release);
        }
    }

    /// A free room of this size. The caller has the guard.
    fn free_room(&self, room: u32) -> Option<u32> {
        let (mut at, end) = (0, self.header().end.load(Acquire).min(self.units()));
        while at < end {
            let head = self.head(at);
            let size = head.room.load(Relaxed);
            if head.id.load(Acquire) == FREE && size == room {
                return Some(at);
            }
            at = at.saturating_add(units(size));
        }
        None
    }

    /// The caller has the guard. What a process that is killed here has begun, the next one overwrites.
    pub(crate) fn add(&self, id: i64, room: u32) -> io::Result<u32> {
        // Only where something was removed is there anything free to look for.
        let header = self.header();
        let any = header.removals.load(SeqCst) > 0;
        let free = any.then(|| self.free_room(room)).flatten();
        let at = free.unwrap_or(header.end.load(Relaxed));
        let end = at as usize + units(room) as usize;
        let needed = (PLACES + end * UNIT).next_multiple_of(STEP);
        if needed > MAPPED.get() {
            return Err(io::Error::other(format!(
                "the board, on which it is written who holds what, is full: it has room for {} locks and permits; \
                 Store::remove_structure gives back that of those that are not needed any more",
                (MAPPED.get() - PLACES) / UNIT
            )));
        }
        if needed > self.file.metadata()?.len() as usize {
            lengthen(&self.file, needed)?;
        }
        self.length.fetch_max(needed, Relaxed);
        for i in 1..=room {
            let slot = self.slot(at + i);
            slot.holder.store(0, Relaxed);
            // Going on where it was: no token comes twice in a room, whatever is held there.
            slot.token.fetch_max(self.era << 40, Relaxed);
        }
        let head = self.head(at);
        head.room.store(room, Relaxed);
        head.limit.store(room, Relaxed);
        head.waited.store(0, Relaxed);
        head.next.store(0, Relaxed);
        head.turn.store(0, Relaxed);
        head.id.store(id, Relaxed);
        header.end.fetch_max(end as u32, Release);
        Ok(at)
    }
}

/// What a head and its slots take: a whole cache line or several, so that no two structures share one.
fn units(room: u32) -> u32 {
    room.saturating_add(2) & !1
}
