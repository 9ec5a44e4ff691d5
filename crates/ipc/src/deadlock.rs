//! Waits that would never end.

use std::io;
use std::sync::atomic::Ordering::SeqCst;

use crate::queue::Custody;
use crate::seat::{Party, SEATS, Seat};
use crate::slots::Slots;

/// One of the threads that wait for each other.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Link {
    /// It waits
    pub party: Party,
    /// for the structure with this number.
    pub waits_for: i64,
}

impl Link {
    /// Who waits for what.
    #[must_use]
    pub fn new(party: Party, waits_for: i64) -> Self {
        Self { party, waits_for }
    }
}

/// A wait as it was found: the key of the seat, the arrival, and the unit at which the structure begins. No arrival comes
/// twice, so what is found twice has lasted in between; and who waits for something keeps all else that it holds.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Wait {
    key: u64,
    arrival: u64,
    at: u32,
}

impl Slots {
    /// The circle that the wait of this seat closes, if there is one. Of all who wait in it, only the last to come is
    /// told; if that is another, it is rung, since it may have looked too early.
    pub(crate) fn circle(&self, seat: &Seat) -> io::Result<Option<Vec<Link>>> {
        let Some(found) = self.follow(seat) else {
            return Ok(None);
        };
        // Seen at two moments, each of these waits lasted from the one to the other: so all were there at once.
        if self.follow(seat).as_ref() != Some(&found) {
            return Ok(None);
        }
        let board = self.board();
        let rows = found.iter().map(|wait| board.seat_row(wait.key as usize));
        if board.bury_the_dead_among(rows)? {
            return Ok(None);
        }
        let last = found.iter().max_by_key(|wait| wait.arrival);
        if let Some(last) = last.filter(|last| last.key != seat.key) {
            board.seat_row(last.key as usize).line.ring();
            return Ok(None);
        }
        let link = |wait: &Wait| Link {
            party: board.seat_row(wait.key as usize).party(),
            waits_for: board.head(wait.at).id.load(SeqCst),
        };
        Ok(Some(found.iter().map(link).collect()))
    }

    /// From this seat to who holds what it waits for, to who holds what that one waits for, and back here; `None` if it
    /// ends anywhere else.
    fn follow(&self, seat: &Seat) -> Option<Vec<Wait>> {
        let board = self.board();
        let mut waits = Vec::new();
        let mut key = seat.key;
        loop {
            let row = board.seat_row(key as usize);
            let arrival = row.arrival.load(SeqCst); // before the rest, which so is no older
            let want = row.want().filter(|want| want.custody == Custody::Thread)?;
            let slot = board.slot(want.at.wrapping_add(1));
            let holder = slot.holder.load(SeqCst);
            let at = want.at;
            waits.push(Wait { key, arrival, at });
            if row.key.load(SeqCst) != key || !board.is_seated(holder) || waits.len() > SEATS {
                return None;
            }
            // Another thread than the one that waits may give it back.
            if slot.is_of_process() {
                return None;
            }
            if holder == seat.key {
                return Some(waits);
            }
            key = holder;
        }
    }
}
