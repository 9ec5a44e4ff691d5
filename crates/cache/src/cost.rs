//! What an entry counts for: what it takes on the disk.

use diskette_store::{Stored, StreamReader};

use crate::terms::Begun;

/// What the row of an entry takes besides the bytes of its key and its value, and what its lines in the indexes take besides those
/// of its key.
const ROW: u64 = 64;
const LINES: u64 = 32;

/// SQLite's pages, and what they have room for: `sqlite.org/fileformat2.html`, 1.6.
const PAGE: u64 = 4096;
const ROOM: u64 = PAGE - 8;
/// A row that is longer goes on in pages of its own, in each of which so much of it is,
const LONGEST: u64 = PAGE - 35;
const BEYOND: u64 = PAGE - 4;
/// and at least so much stays.
const LEAST: u64 = (PAGE - 12) * 32 / 255 - 23;

/// What an entry counts for, unless its terms say so.
pub(crate) fn cost(key: &[u8], stored: &Stored, terms: Option<&Begun<'_>>) -> i64 {
    let bytes = || {
        let key = key.len() as u64;
        let value = match stored.is_file() {
            true => ROW + key + (StreamReader::OFFSET + stored.bytes()).next_multiple_of(PAGE),
            false => taken(ROW + key + stored.bytes()),
        };
        i64::try_from(value + key + LINES).unwrap_or(i64::MAX)
    };
    terms.and_then(|terms| terms.cost).unwrap_or_else(bytes)
}

/// What a row of so many bytes takes: those that are long for a page leave some of it empty.
fn taken(row: u64) -> u64 {
    if row <= PAGE / 8 {
        return row;
    }
    if row <= LONGEST {
        return PAGE / (ROOM / row);
    }
    let rest = LEAST + (row - LEAST) % BEYOND;
    let stays = if rest <= LONGEST { rest } else { LEAST };
    (row - stays).div_ceil(BEYOND) * PAGE + taken(stays)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_counts_for_the_part_of_its_pages_that_nobody_else_can_have() {
        assert_eq!(taken(100), 100);
        assert_eq!(taken(1000), PAGE / 4);
        assert_eq!(taken(1500), PAGE / 2);
        assert_eq!(taken(2100), PAGE);
        assert_eq!(taken(4061), PAGE);
        for row in [4062, 5000, 40_000, 500_000] {
            let pages = taken(row) as f64 / PAGE as f64;
            assert!(pages >= row as f64 / PAGE as f64 && pages < row as f64 / PAGE as f64 + 1.1);
        }
    }
}
