//! What bounds a value on its way through any codec.
//!
//! [`Bounded`] stands in for a value where it is serialized, and for a type where it is deserialized,
//! and passes every call through, counting. So the codecs below it need not be trusted, and `encode`
//! refuses just what `decode` would refuse.

use std::cell::Cell;
use std::marker::PhantomData;

use super::refusal::Refusal;

mod deserialize;
mod serialize;

/// How deep a value may nest. JSON's own limit is 127, and a type of some kilobytes, read in a debug build,
/// takes most of a thread's 2 MB of stack for these.
pub(super) const LEVELS: u8 = 100;

/// How many elements that are written as nothing, like those of a `Vec<()>`, a value may hold.
pub(super) const EMPTY: usize = 4096;

/// What a format could write but not give back.
#[derive(Clone, Copy)]
pub(super) struct Format {
    pub(super) skipped_fields: bool,
    pub(super) infinities: bool,
}

/// A value or a type within limits.
pub(super) struct Bounded<T, L> {
    inner: T,
    limits: L,
}

/// Reads a `T` within limits.
pub(super) type Seed<'a, T> = Bounded<PhantomData<T>, Reading<'a>>;

/// Limits on what is written.
#[derive(Clone, Copy)]
pub(super) struct Writing<'a> {
    levels: u8,
    format: Format,
    elements: &'a Cell<usize>,
}

/// Limits on what is read.
#[derive(Clone, Copy)]
pub(super) struct Reading<'a> {
    levels: u8,
    /// How many more elements sequences and maps may claim to have: one for each byte, and [`EMPTY`] ones.
    elements: &'a Cell<usize>,
    /// The elements are as many as the type says, whatever is claimed.
    fixed: bool,
}

impl<'a> Writing<'a> {
    /// Counts the elements of all sequences and maps in `elements`.
    pub(super) fn new(format: Format, elements: &'a Cell<usize>) -> Self {
        Writing {
            levels: LEVELS,
            format,
            elements,
        }
    }

    pub(super) fn value<T: ?Sized>(self, value: &T) -> Bounded<&T, Self> {
        Bounded {
            inner: value,
            limits: self,
        }
    }
}

/// Refuses `elements` that would be refused when read from as many `bytes`.
pub(super) fn check(elements: usize, bytes: usize) -> Result<(), Refusal> {
    match elements > bytes.saturating_add(EMPTY) {
        true => Err(Refusal::TooManyEmpty { elements, bytes }),
        false => Ok(()),
    }
}

/// Reads a `T` out of `bytes` by handing `read` a seed for it.
pub(super) fn read<T, R>(bytes: &[u8], read: impl FnOnce(Seed<'_, T>) -> R) -> R {
    let elements = Cell::new(bytes.len().saturating_add(EMPTY));
    read(Bounded {
        inner: PhantomData,
        limits: Reading {
            levels: LEVELS,
            elements: &elements,
            fixed: false,
        },
    })
}

impl Reading<'_> {
    /// Takes `claimed` elements off what is left, and returns how many of them may be made room for ahead.
    fn claim(&self, claimed: usize) -> Result<usize, Refusal> {
        let left = self.elements.get();
        self.elements.set(
            left.checked_sub(claimed)
                .ok_or(Refusal::Claim { claimed })?,
        );
        Ok(claimed.min(left.saturating_sub(EMPTY)))
    }
}

trait Levels: Copy {
    fn levels(&mut self) -> &mut u8;

    /// The limits of what is one level below.
    fn descend(mut self) -> Result<Self, Refusal> {
        let levels = self.levels();
        *levels = levels.checked_sub(1).ok_or(Refusal::TooDeep)?;
        Ok(self)
    }
}

impl Levels for Writing<'_> {
    fn levels(&mut self) -> &mut u8 {
        &mut self.levels
    }
}

impl Levels for Reading<'_> {
    fn levels(&mut self) -> &mut u8 {
        &mut self.levels
    }
}
