use std::fmt;
use std::hash::Hasher;
use std::ops::AddAssign;

use twox_hash::XxHash3_64;

use crate::moving::Table;
use crate::row::Value;

/// Of the rows of a table, in whichever order they come: their number, and the sum of what each hashes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Checksum {
    pub(crate) rows: u64,
    /// What their values take.
    pub(crate) bytes: u64,
    sum: u64,
}

/// Makes checksums of single rows, which can be added up.
#[derive(Default)]
pub(crate) struct Summer {
    /// Of one row, kept for the next.
    bytes: Vec<u8>,
}

/// Of the bytes of a large value.
#[derive(Default)]
pub(crate) struct Content {
    hasher: XxHash3_64,
    bytes: u64,
}

impl Summer {
    pub(crate) fn of(&mut self, table: &Table, row: &[Value<'_>]) -> Checksum {
        self.bytes.clear();
        for value in row {
            let int;
            let (tag, content) = match value {
                Value::Null => (0, [].as_slice()),
                Value::Int(number) => {
                    int = number.to_le_bytes();
                    (1, int.as_slice())
                }
                Value::Text(text) => (2, text.as_bytes()),
                Value::Blob(bytes) => (3, *bytes),
            };
            self.bytes.push(tag);
            self.bytes.extend_from_slice(&content.len().to_le_bytes());
            self.bytes.extend_from_slice(content);
        }
        Checksum {
            rows: 1,
            bytes: table.bytes_of(row).unsigned_abs(),
            sum: XxHash3_64::oneshot(&self.bytes),
        }
    }
}

impl AddAssign for Checksum {
    fn add_assign(&mut self, other: Self) {
        self.rows += other.rows;
        self.bytes += other.bytes;
        self.sum = self.sum.wrapping_add(other.sum);
    }
}

impl Content {
    pub(crate) fn add(&mut self, chunk: &[u8]) {
        self.hasher.write(chunk);
        self.bytes += chunk.len() as u64;
    }

    pub(crate) fn sum(&self) -> Checksum {
        Checksum {
            rows: 1,
            bytes: self.bytes,
            sum: self.hasher.finish(),
        }
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rows with the checksum {:016x}", self.rows, self.sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checksum_is_of_the_rows_and_not_of_their_order() {
        let of = |rows: &[[Value<'_>; 2]]| {
            let (mut sum, mut summer) = (Checksum::default(), Summer::default());
            let one = |row: &[Value<'_>; 2]| summer.of(&Table::of_kinds(), row);
            rows.iter().map(one).for_each(|it| sum += it);
            sum
        };
        let (a, b) = ([1.into(), "x".into()], [2.into(), Value::Null]);
        assert_eq!(of(&[a, b]), of(&[b, a]));
        assert_ne!(of(&[a, b]), of(&[a, a]));
        assert_ne!(of(&[a]), of(&[[1.into(), b"x".as_slice().into()]]));
        assert_ne!(of(&[a, a]), of(&[]));
    }
}
