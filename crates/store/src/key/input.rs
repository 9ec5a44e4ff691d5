use super::failure::{Failure, Result};
use super::tag;

/// The bytes of a key that are still to be read.
pub(super) struct Input<'de> {
    rest: &'de [u8],
}

impl<'de> Input<'de> {
    pub(super) fn new(bytes: &'de [u8]) -> Self {
        Input { rest: bytes }
    }

    pub(super) fn rest(&self) -> &'de [u8] {
        self.rest
    }

    pub(super) fn byte(&mut self) -> Result<u8> {
        let (&first, rest) = self.rest.split_first().ok_or_else(ends_early)?;
        self.rest = rest;
        Ok(first)
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'de [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or_else(ends_early)?;
        self.rest = rest;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or_else(ends_early)?;
        self.rest = rest;
        Ok(*taken)
    }

    /// Reads one byte if it is `wanted`.
    pub(super) fn next_is(&mut self, wanted: u8) -> Result<bool> {
        let found = *self.rest.first().ok_or_else(ends_early)?;
        if found == wanted {
            self.rest = &self.rest[1..];
        }
        Ok(found == wanted)
    }

    /// Reads `tag`, which begins `what`.
    pub(super) fn expect(&mut self, tag: u8, what: &str) -> Result<()> {
        match self.byte()? {
            found if found == tag => Ok(()),
            found => Err(unexpected(what, found)),
        }
    }
}

#[cold]
pub(super) fn unexpected(expected: &str, found: u8) -> Failure {
    Failure::new(format!("expected {expected}, found {}", tag::name(found)))
}

#[cold]
fn ends_early() -> Failure {
    Failure::new("the bytes end early")
}
