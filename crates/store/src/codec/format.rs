use std::io::Write;

use serde::Serialize;
use serde::de::{DeserializeOwned, DeserializeSeed};

use super::limits::{self, Gaps, Seed, Writing, Written};
use super::refusal::Refusal;
use super::{Codec, stream};
use crate::error::{Error, Result};

/// A format that serde has, and what it lacks: all that the codecs of this house differ in.
pub trait Format: Send + Sync + 'static {
    const NAME: &'static str;

    /// What it could write but not give back.
    const GAPS: Gaps;

    /// Of longer values only those are read back at once that hold what not every type reads back.
    const READ_BACK: usize;

    /// Writes a value; says how many bytes that took, where an element of a sequence may take none.
    fn write<T: Serialize + ?Sized>(
        value: &T,
        to: &mut impl Write,
    ) -> Result<Option<usize>, Failure>;

    /// Reads the value that all of the bytes are.
    fn read<'b, S: DeserializeSeed<'b>>(seed: S, bytes: &'b [u8]) -> Result<S::Value, Failure>;
}

/// Why a format can't write or read a value.
pub(super) type Failure = Box<dyn std::error::Error + Send + Sync>;

impl<F: Format> Codec for F {
    const NAME: &'static str = F::NAME;

    fn encode<T: Serialize + ?Sized>(value: &T, into: &mut Vec<u8>) -> Result<()> {
        append::<F, T>(value, into).map(drop)
    }

    fn encode_as<V, T>(value: &T, into: &mut Vec<u8>) -> Result<()>
    where
        V: DeserializeOwned,
        T: Serialize + ?Sized,
    {
        let start = into.len();
        let written = append::<F, T>(value, into)?;
        if (written.doubtful || into.len() - start <= F::READ_BACK)
            && let Err(failure) = read::<F, V>(&into[start..])
        {
            into.truncate(start);
            return Err(Error::codec(
                Self::NAME,
                "encode",
                Refusal::Unreadable(failure),
            ));
        }
        Ok(())
    }

    fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
        read::<F, T>(bytes).map_err(|failure| Error::codec(Self::NAME, "decode", failure))
    }

    fn encode_to<T: Serialize + ?Sized, W: Write>(value: &T, to: W) -> Result<()> {
        stream::write(Self::NAME, to, |sink| write::<F, T>(value, sink).map(drop))
    }
}

fn append<F: Format, T: Serialize + ?Sized>(value: &T, into: &mut Vec<u8>) -> Result<Written> {
    let start = into.len();
    write::<F, T>(value, into).map_err(|failure| {
        into.truncate(start);
        Error::codec(F::NAME, "encode", failure)
    })
}

fn write<F: Format, T: Serialize + ?Sized>(
    value: &T,
    to: &mut impl Write,
) -> Result<Written, Failure> {
    limits::write(F::GAPS, |limits: Writing<'_>| {
        F::write(&limits.value(value), to)
    })
}

fn read<F: Format, T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Failure> {
    limits::read(bytes, |seed: Seed<'_, T>| F::read(seed, bytes))
}
