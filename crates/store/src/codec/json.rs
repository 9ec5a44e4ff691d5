use std::cell::Cell;
use std::io::Write;

use serde::Serialize;
use serde::de::{DeserializeOwned, DeserializeSeed};

use super::limits::{self, Format, Seed, Writing};
use super::{Codec, stream};
use crate::error::{Error, Result};

/// JSON: readable by everyone, `sqlite3` and its JSON functions included.
///
/// Structs may grow as with [`MessagePack`](super::MessagePack), and `Some(None)` and `Some(())` likewise come
/// back as `None`. The keys of maps must be strings, numbers, `bool`s or unit variants. `encode` refuses infinities
/// and NaN, which JSON lacks.
///
/// # Example
///
/// ```
/// use diskette_store::{Codec, Json};
/// use std::collections::BTreeMap;
///
/// let stock = BTreeMap::from([("milk", 1.5), ("tea", 7.0)]);
/// let mut bytes = Vec::new();
/// Json::encode(&stock, &mut bytes)?;
/// assert_eq!(bytes, br#"{"milk":1.5,"tea":7.0}"#);
///
/// assert!(Json::encode(&f64::NAN, &mut bytes).unwrap_err().is_codec());
/// # Ok::<(), diskette_store::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Json;

const FORMAT: Format = Format {
    skipped_fields: true,
    infinities: false,
};

impl Codec for Json {
    const NAME: &'static str = "json";

    fn encode<T: Serialize + ?Sized>(value: &T, into: &mut Vec<u8>) -> Result<()> {
        let start = into.len();
        write(value, into).map_err(|error| {
            into.truncate(start);
            Error::codec(Self::NAME, "encode", error)
        })
    }

    fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
        let mut deserializer = serde_json::Deserializer::from_slice(bytes);
        limits::read(bytes, |seed: Seed<'_, T>| {
            seed.deserialize(&mut deserializer)
        })
        .and_then(|value| deserializer.end().map(|()| value))
        .map_err(|error| Error::codec(Self::NAME, "decode", error))
    }

    fn encode_to<T: Serialize + ?Sized, W: Write>(value: &T, to: W) -> Result<()> {
        stream::write(Self::NAME, to, |sink| write(value, sink))
    }
}

fn write<T: Serialize + ?Sized>(value: &T, to: &mut impl Write) -> serde_json::Result<()> {
    let elements = Cell::new(0);
    serde_json::to_writer(to, &Writing::new(FORMAT, &elements).value(value))
}
