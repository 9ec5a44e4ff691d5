//! What bounds a value on its way through any codec.
//!
//! [`Bounded`] stands in for a value where it is serialized, and for a type where it is deserialized,
//! and passes every call through, counting. So the codecs below it need not be trusted, and `encode`
//! refuses just what `decode` would refuse.

use std::cell::Cell;
use std::marker::PhantomData;

use super::format::Failure;
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
pub struct Gaps {
    /// A struct's fields that are left out.
    pub(super) skipped_fields: bool,
    /// Infinities and NaN.
    pub(super) infinities: bool,
    /// `Some` of what is written as `None` is.
    pub(super) some_of_nothing: bool,
    /// The same of a struct without fields.
    pub(super) some_of_unit_struct: bool,
    /// Keys of maps that are no strings, for types that ask the bytes what they are.
    pub(super) odd_keys: bool,
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
    gaps: Gaps,
    /// Within `Some`, and nothing else.
    in_some: bool,
    written: &'a Cell<Written>,
}

/// What was written.
#[derive(Clone, Copy, Default)]
pub(super) struct Written {
    /// The elements of all sequences and maps.
    elements: usize,
    /// Whether the format may not give it back to every type that writes so.
    pub(super) doubtful: bool,
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
    /// What is written may not be given back to every type.
    fn doubt(self) {
        let mut written = self.written.get();
        written.doubtful = true;
        self.written.set(written);
    }

    pub(super) fn value<T: ?Sized>(self, value: &T) -> Bounded<&T, Self> {
        Bounded {
            inner: value,
            limits: self,
        }
    }
}

/// Writes a value by giving `write` the limits to put around it; that says how many bytes it took, where an element may take
/// none: there may be no more elements than would be read from them.
pub(super) fn write(
    gaps: Gaps,
    write: impl FnOnce(Writing<'_>) -> Result<Option<usize>, Failure>,
) -> Result<Written, Failure> {
    let written = Cell::default();
    let bytes = write(Writing {
        levels: LEVELS,
        gaps,
        in_some: false,
        written: &written,
    })?;
    let written = written.get();
    match bytes {
        Some(bytes) if written.elements > bytes.saturating_add(EMPTY) => {
            let elements = written.elements;
            Err(Refusal::TooManyEmpty { elements, bytes }.into())
        }
        _ => Ok(written),
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
