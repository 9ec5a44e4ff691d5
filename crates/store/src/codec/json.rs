use std::io::Write;

use serde::Serialize;
use serde::de::DeserializeSeed;

use super::format::{Failure, Format};
use super::limits::Gaps;

/// JSON: readable by everyone, `sqlite3` and its JSON functions included.
///
/// Structs may grow as with [`MessagePack`](super::MessagePack). The keys of maps must be strings, numbers, `bool`s or unit
/// variants. Refused are infinities and NaN, which JSON lacks, and `Some(None)` and `Some(())`, which would come back as
/// `None`.
///
/// # Example
///
/// ```
/// use diskette::{Codec, Json};
/// use std::collections::BTreeMap;
///
/// let stock = BTreeMap::from([("milk", 1.5), ("tea", 7.0)]);
/// let mut bytes = Vec::new();
/// Json::encode(&stock, &mut bytes)?;
/// assert_eq!(bytes, br#"{"milk":1.5,"tea":7.0}"#);
///
/// assert!(Json::encode(&f64::NAN, &mut bytes).unwrap_err().is_codec());
/// # Ok::<(), diskette::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Json;

impl Format for Json {
    const NAME: &'static str = "json";

    const GAPS: Gaps = Gaps {
        skipped_fields: false,
        infinities: true,
        some_of_nothing: true,
        some_of_unit_struct: true,
        odd_keys: true,
    };

    const READ_BACK: usize = 16 * 1024;

    fn write<T: Serialize + ?Sized>(
        value: &T,
        to: &mut impl Write,
    ) -> Result<Option<usize>, Failure> {
        serde_json::to_writer(to, value)?;
        Ok(None)
    }

    fn read<'b, S: DeserializeSeed<'b>>(seed: S, bytes: &'b [u8]) -> Result<S::Value, Failure> {
        let mut deserializer = serde_json::Deserializer::from_slice(bytes);
        let value = seed.deserialize(&mut deserializer)?;
        deserializer.end()?;
        Ok(value)
    }
}
