use std::io::Write;

use bincode::config;
use bincode::error::{DecodeError, EncodeError};
use serde::Serialize;
use serde::de::DeserializeSeed;

use super::format::{Failure, Format};
use super::limits::Gaps;
use super::refusal::Refusal;

/// bincode 2, the smallest and fastest of the three: for those who want its bytes, of types that never change.
///
/// Values are written without names or types, in bincode's standard configuration: little-endian, integers
/// in as few bytes as they need.
///
/// A type is frozen once values of it are stored: nothing but an enum may grow, by variants at its end. Bytes of another
/// type may be read as this one, without an error: those of a `u64` are an `i64`, of another number. If structs are to gain
/// fields, choose [`MessagePack`](super::MessagePack).
///
/// Types must say what they are made of. Refused are `skip_serializing_if`, `flatten`, `serde_json::Value`, and enums that
/// are untagged or tagged by a field. That is known only by reading what was written: so each value is, before it is stored.
///
/// # Example
///
/// ```
/// use diskette::{Bincode, Codec};
///
/// let mut bytes = Vec::new();
/// Bincode::encode(&("tea", 7u64, None::<u8>), &mut bytes)?;
/// assert_eq!(bytes, b"\x03tea\x07\x00");
///
/// let value: (String, u64, Option<u8>) = Bincode::decode(&bytes)?;
/// assert_eq!(value, ("tea".to_string(), 7, None));
/// assert!(Bincode::decode::<String>(&bytes).unwrap_err().is_codec());
/// # Ok::<(), diskette::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Bincode;

impl Format for Bincode {
    const NAME: &'static str = "bincode";

    const GAPS: Gaps = Gaps {
        skipped_fields: true,
        infinities: false,
        some_of_nothing: false,
        some_of_unit_struct: false,
        odd_keys: false,
    };

    const READ_BACK: usize = usize::MAX;

    fn write<T: Serialize + ?Sized>(
        value: &T,
        to: &mut impl Write,
    ) -> Result<Option<usize>, Failure> {
        bincode::serde::encode_into_std_write(value, to, config::standard())
            .map(Some)
            .map_err(not_written)
    }

    fn read<'b, S: DeserializeSeed<'b>>(seed: S, bytes: &'b [u8]) -> Result<S::Value, Failure> {
        let read = bincode::serde::seed_decode_from_slice(seed, bytes, config::standard());
        match read.map_err(not_read)? {
            (value, length) if length == bytes.len() => Ok(value),
            _ => Err(Refusal::LeftOver.into()),
        }
    }
}

/// In words: bincode's own are the names of its enums.
fn not_written(error: EncodeError) -> Failure {
    match error {
        EncodeError::Io { inner, .. } => inner.into(),
        EncodeError::OtherString(why) => why.into(),
        EncodeError::Other(why) => why.into(),
        EncodeError::Serde(bincode::serde::EncodeError::SequenceMustHaveLength) => {
            Refusal::NoLength.into()
        }
        _ => "bincode has no bytes for it".into(),
    }
}

fn not_read(error: DecodeError) -> Failure {
    use bincode::serde::DecodeError as Serde;
    match error {
        DecodeError::Serde(
            Serde::AnyNotSupported | Serde::IdentifierNotSupported | Serde::IgnoredAnyNotSupported,
        ) => Refusal::NotSelfDescribing.into(),
        DecodeError::UnexpectedEnd { .. } => "the bytes end too early".into(),
        DecodeError::OtherString(why) => why.into(),
        DecodeError::Other(why) => why.into(),
        DecodeError::Utf8 { inner } => inner.into(),
        DecodeError::InvalidBooleanValue(byte) => format!("{byte} is no bool").into(),
        DecodeError::InvalidIntegerType { .. } => "an integer is too large for its type".into(),
        _ => "they are no bytes of this type".into(),
    }
}
