use std::cell::Cell;
use std::io::Write;

use bincode::config;
use bincode::error::{DecodeError, EncodeError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde::ser::Error as _;

use super::limits::{self, Format, Seed, Writing};
use super::refusal::Refusal;
use super::{Codec, stream};
use crate::error::{Error, Result};

/// The default codec: bincode 2, the smallest and fastest of the three.
///
/// Values are written without names or types, in bincode's standard configuration: little-endian, integers
/// in as few bytes as they need.
///
/// A type is frozen once values of it are stored: nothing but an enum may grow, by variants at its end. If
/// structs are to gain fields, choose [`MessagePack`](super::MessagePack).
///
/// Types must say what they are made of. `encode` refuses `skip_serializing_if` and `flatten`, but can't notice
/// `serde_json::Value` and enums that are untagged or tagged by a field: they are written, and `decode` refuses them.
///
/// # Example
///
/// ```
/// use diskette_store::{Bincode, Codec};
///
/// let mut bytes = Vec::new();
/// Bincode::encode(&("tea", 7u64, None::<u8>), &mut bytes)?;
/// assert_eq!(bytes, b"\x03tea\x07\x00");
///
/// let value: (String, u64, Option<u8>) = Bincode::decode(&bytes)?;
/// assert_eq!(value, ("tea".to_string(), 7, None));
/// assert!(Bincode::decode::<String>(&bytes).unwrap_err().is_codec());
/// # Ok::<(), diskette_store::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Bincode;

const FORMAT: Format = Format {
    skipped_fields: false,
    infinities: true,
};

impl Codec for Bincode {
    const NAME: &'static str = "bincode";

    fn encode<T: Serialize + ?Sized>(value: &T, into: &mut Vec<u8>) -> Result<()> {
        let start = into.len();
        write(value, into).map_err(|error| {
            into.truncate(start);
            Error::codec(Self::NAME, "encode", error)
        })
    }

    fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
        let read = limits::read(bytes, |seed: Seed<'_, T>| {
            bincode::serde::seed_decode_from_slice(seed, bytes, config::standard())
        });
        match read {
            Ok((value, length)) if length == bytes.len() => Ok(value),
            Ok(_) => Err(Error::codec(Self::NAME, "decode", Refusal::LeftOver)),
            Err(DecodeError::Serde(bincode::serde::DecodeError::AnyNotSupported)) => Err(
                Error::codec(Self::NAME, "decode", Refusal::NotSelfDescribing),
            ),
            Err(error) => Err(Error::codec(Self::NAME, "decode", error)),
        }
    }

    fn encode_to<T: Serialize + ?Sized, W: Write>(value: &T, to: W) -> Result<()> {
        stream::write(Self::NAME, to, |sink| write(value, sink))
    }
}

fn write<T: Serialize + ?Sized>(value: &T, to: &mut impl Write) -> Result<(), EncodeError> {
    let elements = Cell::new(0);
    let value = Writing::new(FORMAT, &elements).value(value);
    let written = bincode::serde::encode_into_std_write(value, to, config::standard())?;
    limits::check(elements.get(), written).map_err(EncodeError::custom)
}
