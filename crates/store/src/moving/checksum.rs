use std::fmt;
use std::hash::Hasher;

use twox_hash::XxHash3_64;

use crate::row::Value;

/// Of the rows of a table, in whichever order they come: their number, and the sum of what each hashes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Checksum {
    rows: u64,
    sum: u64,
    /// Of one row, kept for the next.
    bytes: Vec<u8>,
}

/// Of the bytes of a large value.
#[derive(Default)]
pub(crate) struct Content {
    hasher: XxHash3_64,
    bytes: u64,
}

impl Checksum {
    pub(crate) fn add(&mut self, row: &[Value<'_>]) {
        let mut bytes = std::mem::take(&mut self.bytes);
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
            bytes.push(tag);
            bytes.extend_from_slice(&content.len().to_le_bytes());
            bytes.extend_from_slice(content);
        }
        self.rows += 1;
        self.sum = self.sum.wrapping_add(XxHash3_64::oneshot(&bytes));
        bytes.clear();
        self.bytes = bytes;
    }
}

impl Content {
    pub(crate) fn add(&mut self, chunk: &[u8]) {
        self.hasher.write(chunk);
        self.bytes += chunk.len() as u64;
    }

    /// As if it were in a table.
    pub(crate) fn row(&self, id: i64) -> [Value<'static>; 3] {
        let (sum, bytes) = (self.hasher.finish(), self.bytes);
        [id, sum.cast_signed(), bytes.cast_signed()].map(Value::Int)
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
            let mut sum = Checksum::default();
            rows.iter().for_each(|row| sum.add(row));
            sum
        };
        let (a, b) = ([1.into(), "x".into()], [2.into(), Value::Null]);
        assert_eq!(of(&[a, b]), of(&[b, a]));
        assert_ne!(of(&[a, b]), of(&[a, a]));
        assert_ne!(of(&[a]), of(&[[1.into(), b"x".as_slice().into()]]));
        assert_ne!(of(&[a, a]), of(&[]));
    }
}
