use std::fmt;
use std::io::Write;

use serde::Serialize;
use serde::de::{DeserializeSeed, Deserializer, Visitor};

use super::format::{Failure, Format};
use super::limits::Gaps;
use super::refusal::Refusal;

/// The default codec: MessagePack, compact, with names, for types that will grow and readers in other languages.
///
/// Structs are written as maps of their fields, so that fields may be reordered, removed, and added with
/// `#[serde(default)]` (an added `Option` needs none). Enum variants are written by name.
///
/// Refused are `Some(None)` and `Some(())`, which would come back as `None`. Bytes are compact through `serde_bytes`; a plain
/// `Vec<u8>` is an array of integers, of 1.5 bytes for each of them on average.
///
/// # Example
///
/// ```
/// use diskette::{Codec, MessagePack};
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
/// # Ok::<(), diskette::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct MessagePack;

impl Format for MessagePack {
    const NAME: &'static str = "message-pack";

    const GAPS: Gaps = Gaps {
        skipped_fields: false,
        infinities: false,
        some_of_nothing: true,
        some_of_unit_struct: false,
        odd_keys: false,
    };

    const READ_BACK: usize = 16 * 1024;

    fn write<T: Serialize + ?Sized>(
        value: &T,
        to: &mut impl Write,
    ) -> Result<Option<usize>, Failure> {
        rmp_serde::encode::write_named(to, value)?;
        Ok(None)
    }

    fn read<'b, S: DeserializeSeed<'b>>(seed: S, bytes: &'b [u8]) -> Result<S::Value, Failure> {
        let mut deserializer = rmp_serde::Deserializer::from_read_ref(bytes);
        let value = seed.deserialize(&mut deserializer)?;
        match deserializer.deserialize_option(Anything) {
            Ok(()) => Err(Refusal::LeftOver.into()),
            Err(_) => Ok(value),
        }
    }
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
