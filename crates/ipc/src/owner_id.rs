//! The name of one process in one directory.

use std::fmt;
use std::io;

use crate::random;

/// Names a process among all that ever were: a random positive number of 63 bits, never given twice in practice.
///
/// It goes into a database as an integer, and into file names as 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OwnerId(i64);

impl OwnerId {
    /// The owner that [`as_i64`](Self::as_i64) wrote down.
    #[must_use]
    pub const fn from_i64(id: i64) -> Self {
        Self(id)
    }

    /// The number to write down.
    #[must_use]
    pub const fn as_i64(self) -> i64 {
        self.0
    }

    pub(crate) fn random() -> io::Result<Self> {
        random::number().map(Self)
    }

    pub(crate) fn from_file_name(name: &[u8]) -> Option<Self> {
        let digits = str::from_utf8(name).ok()?;
        let id = Self(i64::from_str_radix(digits, 16).ok()?);
        (id.to_string() == digits).then_some(id)
    }
}

impl fmt::Display for OwnerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}
