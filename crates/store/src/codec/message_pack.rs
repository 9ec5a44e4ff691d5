use std::cell::Cell;
use std::fmt;
use std::io::Write;

use rmp_serde::decode::Error as DecodeError;
use rmp_serde::encode::Error as EncodeError;
use serde::Serialize;
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, Visitor};

use super::limits::{self, Format, Seed, Writing};
use super::refusal::Refusal;
use super::{Codec, stream};
use crate::error::{Error, Result};

/// MessagePack: compact, with names, for types that will grow and readers in other languages.
///
/// Structs are written as maps of their fields, so that fields may be reordered, removed, and added with
/// `#[serde(default)]` (an added `Option` needs none). Enum variants are written by name.
///
/// `Some(None)` and `Some(())` are written as `nil` and come back as `None`. Bytes are compact through
/// `serde_bytes`; a plain `Vec<u8>` is an array of integers.
///
/// # Example
///
/// ```
/// use diskette_store::{Codec, MessagePack};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize)]
/// struct Page {
///     url: String,
/// }
///
/// /// The same, a year later.
/// #[derive(Deserialize)]
/// struct PageNow {
///     title: Option<String>,
///     url: String,
/// }
///
/// let mut bytes = Vec::new();
/// MessagePack::encode(&Page { url: "https://example.org/".into() }, &mut bytes)?;
///
/// let page: PageNow = MessagePack::decode(&bytes)?;
/// assert_eq!(page.url, "https://example.org/");
/// assert_eq!(page.title, None);
/// # Ok::<(), diskette_store::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct MessagePack;

const FORMAT: Format = Format {
    skipped_fields: true,
    infinities: true,
};

impl Codec for MessagePack {
    const NAME: &'static str = "message-pack";

    fn encode<T: Serialize + ?Sized>(value: &T, into: &mut Vec<u8>) -> Result<()> {
        let start = into.len();
        write(value, into).map_err(|error| {
            into.truncate(start);
            Error::codec(Self::NAME, "encode", error)
        })
    }

    fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
        let mut deserializer = rmp_serde::Deserializer::from_read_ref(bytes);
        let value = limits::read(bytes, |seed: Seed<'_, T>| {
            seed.deserialize(&mut deserializer)
        })
        .map_err(|error: DecodeError| Error::codec(Self::NAME, "decode", error))?;
        match deserializer.deserialize_option(Anything) {
            Ok(()) => Err(Error::codec(Self::NAME, "decode", Refusal::LeftOver)),
            Err(_) => Ok(value),
        }
    }

    fn encode_to<T: Serialize + ?Sized, W: Write>(value: &T, to: W) -> Result<()> {
        stream::write(Self::NAME, to, |sink| write(value, sink))
    }
}

fn write<T: Serialize + ?Sized>(value: &T, to: &mut impl Write) -> Result<(), EncodeError> {
    let elements = Cell::new(0);
    rmp_serde::encode::write_named(to, &Writing::new(FORMAT, &elements).value(value))
}

/// Takes the first byte of a value for the value: the deserializer doesn't say where it is, but reading
/// this fails just where there are no more bytes.
struct Anything;

impl<'de> Visitor<'de> for Anything {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_none<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_some<D: Deserializer<'de>>(self, _: D) -> Result<(), D::Error> {
        Ok(())
    }
}
