//! The model: a `VecDeque` of places.

use std::collections::VecDeque;

use diskette_deque::WhenFull;

/// The places of a deque: items, and those in the hands of the claim with this number.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places {
    pub(crate) places: VecDeque<(u32, Option<usize>)>,
    pub(crate) bound: Option<(usize, WhenFull)>,
}

#[derive(Clone, Copy)]
pub(crate) enum End {
    Front,
    Back,
}

impl Places {
    pub(crate) fn items(&self) -> Vec<u32> {
        let items = self.places.iter().filter(|(_, claim)| claim.is_none());
        items.map(|(value, _)| *value).collect()
    }

    /// The place of the item with this index.
    pub(crate) fn place(&self, index: usize) -> Option<usize> {
        let mut items = (0..self.places.len()).filter(|&place| self.places[place].1.is_none());
        items.nth(index)
    }

    pub(crate) fn place_at(&self, end: End) -> Option<usize> {
        match end {
            End::Front => self.place(0),
            End::Back => self.place(self.items().len().checked_sub(1)?),
        }
    }

    pub(crate) fn pop(&mut self, end: End) -> Option<u32> {
        let place = self.place_at(end)?;
        self.places.remove(place).map(|(value, _)| value)
    }

    /// Pushes all, or says that there is no room.
    pub(crate) fn push(&mut self, end: End, values: &[u32]) -> bool {
        if values.is_empty() {
            return true;
        }
        let max_len = self.bound.map_or(usize::MAX, |(max_len, _)| max_len);
        let mut excess = (self.places.len() + values.len()).saturating_sub(max_len);
        let mut values = values;
        if let Some((_, WhenFull::DropOther)) = self.bound {
            let other = match end {
                End::Front => End::Back,
                End::Back => End::Front,
            };
            while excess > 0 && self.pop(other).is_some() {
                excess -= 1;
            }
            values = &values[excess.min(values.len() - 1)..];
        } else if excess > 0 {
            return false;
        }
        for &value in values {
            match end {
                End::Front => self.places.push_front((value, None)),
                End::Back => self.places.push_back((value, None)),
            }
        }
        true
    }

    pub(crate) fn rotate_left(&mut self, count: usize) {
        let len = self.items().len();
        if len > 0 && !count.is_multiple_of(len) {
            let place = self.place(count % len);
            self.places.rotate_left(place.unwrap_or(0));
        }
    }

    pub(crate) fn claimed(&mut self, number: usize) -> Option<usize> {
        self.places
            .iter()
            .position(|(_, claim)| *claim == Some(number))
    }
}
