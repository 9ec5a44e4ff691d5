use std::io::{Read, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Result;

mod bincode;
mod format;
mod json;
mod limits;
mod message_pack;
mod refusal;
mod stream;
#[cfg(feature = "zstd")]
mod zstd;

pub use self::bincode::Bincode;
pub use self::json::Json;
pub use self::message_pack::MessagePack;
#[cfg(feature = "zstd")]
pub use self::zstd::Zstd;

/// How values become bytes and bytes values.
///
/// A structure is created with one codec, [`MessagePack`] unless another is asked for, and records its
/// name; it can't be opened with another. Choose by what may change:
///
/// | | size, speed | a struct may gain fields | untagged enums, `serde_json::Value` | read by others |
/// |---|---|---|---|---|
/// | [`Bincode`] | smallest, fastest | no | no | no |
/// | [`MessagePack`] | small, fast | yes | yes | most languages |
/// | [`Json`] | largest, slower | yes | yes | everyone, and people |
///
/// With the feature `zstd`, each of them can compress what it writes: `Zstd<Json>`, and so on.
///
/// What the three promise, and another implementation must too:
///
/// - `decode` gives back what `encode_as` was given, or else that had refused it. Where only the type knows whether it can be
///   read (it is untagged, or flattened, or asks otherwise what the bytes are), the value is read once before it is
///   stored: always in [`Bincode`], up to 16 KiB in the others, and beyond that where they hold what they have trouble with.
/// - Decoding runs nothing but the type's own `Deserialize`. On any bytes whatsoever it returns a value or an
///   error: it doesn't panic, doesn't exhaust the stack, and allocates in proportion to the bytes,
///   not to what they claim.
/// - The bytes are those of one value, to the last.
///
/// Values may nest 100 levels deep, where each sequence, map, tuple, struct, newtype, `Some` and enum
/// variant with one field is a level, and an enum variant with several fields is two. Deeper values are
/// refused alike by `encode` and `decode`, as are more than 4096 elements that a codec writes as nothing
/// (those of a `Vec<()>` in [`Bincode`]). A type whose own `Serialize` or `Deserialize` recurses without serde's
/// knowledge, or allocates ahead of what it reads, is beyond these bounds.
///
/// # Cost
///
/// Nothing but the bytes and the value is allocated. Values are decoded from memory: a large one is read from its file
/// first, so that its bytes and the value exist at once.
///
/// # Example
///
/// ```
/// use diskette::{Bincode, Codec, Json, MessagePack};
///
/// fn size<C: Codec>(value: &[(u32, &str)]) -> Result<usize, diskette::Error> {
///     let mut bytes = Vec::new();
///     C::encode(value, &mut bytes)?;
///     let back: Vec<(u32, String)> = C::decode(&bytes)?;
///     assert_eq!(back.len(), value.len());
///     Ok(bytes.len())
/// }
///
/// let value = [(1, "tea"), (300, "milk")];
/// assert_eq!(size::<Bincode>(&value)?, 14);
/// assert_eq!(size::<MessagePack>(&value)?, 16);
/// assert_eq!(size::<Json>(&value)?, 24);
/// # Ok::<(), diskette::Error>(())
/// ```
pub trait Codec: Send + Sync + 'static {
    /// What a structure records, and refuses to be opened without.
    const NAME: &'static str;

    /// Appends the bytes of `value`.
    ///
    /// # Errors
    ///
    /// [`is_codec`](crate::Error::is_codec) if the value can't be written, or could not be read back. `into` is then
    /// as it was.
    fn encode<T: Serialize + ?Sized>(value: &T, into: &mut Vec<u8>) -> Result<()>;

    /// Appends the bytes of `value`, if they can be read as a `V`, which it stands for.
    ///
    /// # Errors
    ///
    /// As for [`encode`](Self::encode).
    fn encode_as<V, T>(value: &T, into: &mut Vec<u8>) -> Result<()>
    where
        V: DeserializeOwned,
        T: Serialize + ?Sized,
    {
        let start = into.len();
        Self::encode(value, into)?;
        let read = Self::decode::<V>(&into[start..]);
        read.map(drop).inspect_err(|_| into.truncate(start))
    }

    /// Reads the value that `bytes` are.
    ///
    /// # Errors
    ///
    /// [`is_codec`](crate::Error::is_codec) if they are not those of a `T`, to the last.
    fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T>;

    /// Writes the bytes of `value`, buffered, without holding them all in memory.
    ///
    /// # Errors
    ///
    /// As for [`encode`](Self::encode); and those of `to`, as what they are
    /// ([`is_disk_full`](crate::Error::is_disk_full), ...). Something may then have been written.
    fn encode_to<T: Serialize + ?Sized, W: Write>(value: &T, to: W) -> Result<()>;

    /// Reads the value that the `length` bytes of `from` are.
    ///
    /// # Errors
    ///
    /// As for [`decode`](Self::decode), and if there are fewer bytes or more; and those of `from`, as what they are.
    fn decode_from<T: DeserializeOwned, R: Read>(from: R, length: u64) -> Result<T> {
        Self::decode(&stream::read(Self::NAME, from, length)?)
    }
}

/// How a structure is opened that was written with the codec of this name.
pub(crate) fn way_to(name: &str) -> String {
    let (inner, compressed) = match name.strip_prefix("zstd+") {
        Some(inner) => (inner, true),
        None => (name, false),
    };
    let codec = match inner {
        "message-pack" => "MessagePack",
        "bincode" => "Bincode",
        "json" => "Json",
        "stream" => return "`Stream` as the type of its values".into(),
        _ => return format!("the codec that is called {name}"),
    };
    match compressed {
        true => format!("`codec::<Zstd<{codec}>>()`, which comes with the feature `zstd`"),
        false => format!("`codec::<{codec}>()`"),
    }
}
