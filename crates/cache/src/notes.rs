//! Which entries were read, in memory: a note for each.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use diskette_ipc::{Mutex, MutexGuard};

use crate::uses::Use;

/// How often an entry was read since it was last written down, and when the last time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Note {
    pub(crate) id: i64,
    /// As far as that counts.
    pub(crate) times: i64,
    pub(crate) at: i64,
}

/// Nobody waits for them: who finds others at some of them does without.
#[derive(Debug, Default)]
pub(crate) struct Notes([Mutex<Pile>; PILES]);

/// Notes of some of the entries.
#[derive(Debug, Default)]
struct Pile {
    notes: HashMap<i64, Note, BuildHasherDefault<Spread>>,
    /// Of entries that somebody has changed since: there may be another in their place.
    earlier: Vec<Note>,
}

/// So many, that threads meet rarely.
const PILES: usize = 16;

/// Of all together more are not kept, but for those by which an entry lives on: up to twice as many. A note takes some 50 bytes.
const MOST: usize = 16_384;

impl Notes {
    /// Takes down a read, which counts so often.
    pub(crate) fn add(&self, of: &Use, times: i64, at: i64) {
        let Some(mut pile) = self.pile(of.id) else {
            return;
        };
        let most = match of.idle {
            Some(_) => 2 * MOST / PILES,
            None => MOST / PILES,
        };
        let is_full = pile.len() >= most;
        let id = of.id;
        let new = Note { id, times, at };
        match pile.notes.get_mut(&id) {
            Some(note) if note.at >= of.used => {
                note.times = note.times.saturating_add(times);
                note.at = note.at.max(at);
            }
            Some(note) => {
                let earlier = std::mem::replace(note, new);
                if !is_full {
                    pile.earlier.push(earlier);
                }
            }
            None if is_full => {}
            None => drop(pile.notes.insert(id, new)),
        }
    }

    /// Whether it is known that an entry, as it is, was read.
    pub(crate) fn has(&self, of: &Use) -> bool {
        let pile = self.pile(of.id);
        let note = pile.as_ref().and_then(|pile| pile.notes.get(&of.id));
        note.is_some_and(|note| note.at >= of.used)
    }

    /// All of them, in the order of their entries.
    pub(crate) fn take(&self) -> Vec<Note> {
        let mut all = Vec::new();
        for mut pile in self.0.iter().filter_map(Mutex::try_lock) {
            if pile.len() > 0 {
                all.append(&mut pile.earlier);
                all.extend(pile.notes.drain().map(|(_, note)| note));
            }
        }
        all.sort_unstable_by_key(|note| (note.id, note.at));
        all
    }

    /// Those of one entry.
    pub(crate) fn take_of(&self, id: i64) -> Vec<Note> {
        let Some(mut pile) = self.pile(id) else {
            return Vec::new();
        };
        let mut some: Vec<_> = pile.earlier.extract_if(.., |note| note.id == id).collect();
        some.extend(pile.notes.remove(&id));
        some
    }

    pub(crate) fn clear(&self) {
        for mut pile in self.0.iter().filter_map(Mutex::try_lock) {
            *pile = Pile::default();
        }
    }

    pub(crate) fn len(&self) -> usize {
        let piles = self.0.iter().filter_map(Mutex::try_lock);
        piles.map(|pile| pile.len()).sum()
    }

    fn pile(&self, id: i64) -> Option<MutexGuard<'_, Pile>> {
        self.0[id.cast_unsigned() as usize % PILES].try_lock()
    }
}

impl Pile {
    fn len(&self) -> usize {
        self.earlier.len() + self.notes.len()
    }
}

/// Of a number, as numbers in turn lie best.
#[derive(Debug, Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_i64(&mut self, number: i64) {
        // The golden ratio.
        self.0 = number.cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn write(&mut self, _: &[u8]) {}
}
