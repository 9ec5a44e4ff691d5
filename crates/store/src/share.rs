use std::ops::Range;

use crate::error::{Error, ErrorKind, Result};
use crate::row::Value;

/// The share of one structure in a table of its kind, which all structures of the kind have together.
///
/// Rows that are numbered have the structure's number in their upper bits, keys that are bytes begin with it. So what a
/// structure has is a range, in the one index that the table has anyway; and no statement differs from structure to
/// structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share(i64);

/// The bits of a row's number below those of the structure's.
const BITS: u32 = 39;

/// Structures are numbered up to here: twice a row's number still fits into 64 bits, and so does its negative.
const STRUCTURES: i64 = 1 << 23;

impl Share {
    /// Of the structure with this number.
    pub(crate) fn of(structure: i64) -> Result<Self> {
        if (1..STRUCTURES).contains(&structure) {
            return Ok(Share(structure));
        }
        Err(Error::new(
            ErrorKind::Unsupported,
            format!(
                "no more than {STRUCTURES} structures can be made in a store, those counted that were removed: go on in \
                 another store"
            ),
        ))
    }

    /// Of the structure that has the row with this number.
    pub(crate) fn around(row: i64) -> Result<Self> {
        Self::of(row >> BITS)
    }

    /// The number of the structure.
    pub fn structure(self) -> i64 {
        self.0
    }

    /// The numbers of its rows.
    pub fn rows(self) -> Range<i64> {
        self.0 << BITS..(self.0 + 1) << BITS
    }

    /// The first of those numbers and the one after the last, as statements want them.
    pub fn bounds(self) -> [Value<'static>; 2] {
        let rows = self.rows();
        [rows.start.into(), rows.end.into()]
    }

    /// Where its rows begin, with room to both sides.
    pub fn middle(self) -> i64 {
        (self.0 << BITS) + (1 << (BITS - 1))
    }

    /// Whether there is plenty of room around a row, on both sides.
    pub fn has_room_around(self, row: i64) -> bool {
        let room = 1 << (BITS - 3);
        (self.middle() - room..self.middle() + room).contains(&row)
    }

    /// Where a row can be kept for a moment, out of the way of all others: at its number and this.
    pub const ASIDE: i64 = -(STRUCTURES << BITS);

    /// Its keys begin with these bytes.
    pub fn beginning(self) -> [u8; 3] {
        let [.., a, b, c] = self.0.to_be_bytes();
        [a, b, c]
    }

    /// The keys that it may have.
    pub fn keys(self) -> Range<[u8; 3]> {
        self.beginning()..Share(self.0 + 1).beginning()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_lie_side_by_side_in_the_order_of_numbers() -> Result<()> {
        for number in [1, 2, 300, 70_000, STRUCTURES - 2] {
            let (this, next) = (Share::of(number)?, Share::of(number + 1)?);
            assert_eq!(this.rows().end, next.rows().start);
            assert_eq!(this.keys().end, next.beginning());
            assert!(this.beginning() < next.beginning());
            assert_eq!(Share::around(this.rows().end - 1)?, this);
            assert!(this.has_room_around(this.middle()));
            assert!(
                !this.has_room_around(this.rows().start) && !this.has_room_around(this.rows().end)
            );
        }
        let last = Share::of(STRUCTURES - 1)?.rows().end - 1;
        assert!(last.checked_mul(2).is_some());
        assert!(last + Share::ASIDE < 0);
        for beyond in [0, -1, STRUCTURES] {
            assert!(Share::of(beyond).is_err());
        }
        Ok(())
    }
}
