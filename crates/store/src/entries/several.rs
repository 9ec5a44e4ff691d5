//! Going through the rows of one structure, or of several that have the entries together.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use crate::access::Access;
use crate::entries::{End, Position, Slot, Walk, own};
use crate::error::Result;

/// Walks that are one to who takes the rows.
pub enum Walks<A, P, T> {
    /// One after the other.
    InTurn(VecDeque<Walk<A, P, T>>),
    /// Row by row, in the order of the keys.
    Merged(Merge<A, T>),
}

impl<A: Access, P: Position, T> Walks<A, P, T> {
    /// The next row from this end.
    pub fn next(&mut self, end: End) -> Option<Result<T>> {
        match self {
            Walks::InTurn(walks) => next_in_turn(walks, end),
            Walks::Merged(merge) => merge.next(end),
        }
    }
}

fn next_in_turn<A, P, T>(walks: &mut VecDeque<Walk<A, P, T>>, end: End) -> Option<Result<T>>
where
    A: Access,
    P: Position,
{
    loop {
        let walk = match end {
            End::Front => walks.front_mut(),
            End::Back => walks.back_mut(),
        };
        match walk?.next(end) {
            Some(Err(error)) => {
                walks.clear();
                return Some(Err(error));
            }
            Some(row) => return Some(row),
            None => drop(match end {
                End::Front => walks.pop_front(),
                End::Back => walks.pop_back(),
            }),
        }
    }
}

/// Rows of several walks by their keys, of which no two are the same.
///
/// Of each walk the nearest row to the end that was asked for is at hand, if it has any left; it may be that of the other end. So
/// the least, or the greatest, of those at hand is next.
pub struct Merge<A, T> {
    walks: Vec<Walk<A, Vec<u8>, T>>,
    at_hand: BTreeMap<Vec<u8>, Head<T>>,
    /// The walks from whose front, and from whose back, a row is to be taken first.
    wanted: [Vec<usize>; 2],
}

/// The nearest row of a walk to one of its ends.
struct Head<T> {
    walk: usize,
    end: End,
    slot: Slot<T>,
}

impl<A: Access, T> Merge<A, T> {
    /// Of walks through several structures.
    pub fn of(walks: Vec<Walk<A, Vec<u8>, T>>) -> Self {
        let all: Vec<_> = (0..walks.len()).collect();
        Merge {
            walks,
            at_hand: BTreeMap::new(),
            wanted: [all.clone(), all],
        }
    }

    fn next(&mut self, end: End) -> Option<Result<T>> {
        let next = self.try_next(end);
        if next.is_err() {
            self.at_hand.clear();
            self.wanted = Default::default();
        }
        next.transpose()
    }

    fn try_next(&mut self, end: End) -> Result<Option<T>> {
        loop {
            while let Some(walk) = self.wanted[end as usize].pop() {
                let found = self.walks[walk].slot(end);
                if let Some((key, slot)) = self.walks[walk].doing(found)? {
                    let head = Head { walk, end, slot };
                    self.at_hand.insert(own(&key).to_owned(), head);
                }
            }
            let next = match end {
                End::Front => self.at_hand.pop_first(),
                End::Back => self.at_hand.pop_last(),
            };
            let Some((_, Head { walk, end, slot })) = next else {
                return Ok(None);
            };
            self.wanted[end as usize].push(walk);
            let walk = &self.walks[walk];
            if let Some(item) = walk.doing(walk.item(slot))? {
                return Ok(Some(item));
            }
        }
    }
}

impl<A, P, T> From<Walk<A, P, T>> for Walks<A, P, T> {
    fn from(walk: Walk<A, P, T>) -> Self {
        Walks::InTurn([walk].into())
    }
}

impl<A, P, T> fmt::Debug for Walks<A, P, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Walks").finish_non_exhaustive()
    }
}
