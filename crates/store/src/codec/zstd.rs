use std::io::Write;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::refusal::Refusal;
use super::{Codec, MessagePack};
use crate::error::{Error, Result};

mod frames;
mod packing;

use self::packing::Packing;

/// What another codec writes, compressed: `Zstd<MessagePack>`, `Zstd<Json>`, `Zstd<Bincode>`, or one of your own in it.
///
/// With the feature `zstd`. Its name is that of the inner one with `zstd+` before it: `zstd+json`. It takes and refuses just what the
/// inner one does, and each value is compressed by itself.
///
/// A value of up to 256 bytes is kept as the inner codec writes it, and so is one whose first MiB doesn't get smaller: a byte before it
/// says so. Others are compressed at zstd's level 1, each MiB by itself.
///
/// # Cost
///
/// Measured with records of JSON, some to thousands in a value, on a busy machine (`cargo bench --bench codecs`), about:
///
/// | bytes | compressed to one in | compressed at | decompressed at |
/// |---|---|---|---|
/// | 220 | 1.2, which it isn't | 70 MB/s: 3 µs | 150 MB/s: 1.5 µs |
/// | 440 | 1.6 | 110 MB/s: 4 µs | 290 MB/s: 1.5 µs |
/// | 1 KB | 2.3 | 180 MB/s: 6 µs | 410 MB/s: 3 µs |
/// | 10 KB | 3.8 | 350 MB/s: 30 µs | 900 MB/s: 11 µs |
/// | 100 KB | 4.2 | 440 MB/s: 230 µs | 1300 MB/s: 80 µs |
///
/// Level 3, zstd's default, makes them 1 to 6 % smaller, in a fifth more time and twice the memory.
///
/// Each thread that writes keeps up to 600 KB for its next value, each that reads 100 KB. While a value is written or read, its bytes
/// and the compressed ones exist at once.
///
/// # Safety from hostile bytes
///
/// A frame of zstd can expand tens of thousands of times. These bytes never expand more than a hundred times: what would be less than
/// a hundredth of the value is filled up to that with zeros when it is written, and what expands more is refused when it is
/// read. Each MiB is allocated when those before it were as long as they claimed to be. What the inner codec allocates is in
/// proportion to the decompressed bytes.
///
/// # Example
///
/// ```
/// use diskette::{Index, Json, Store, Zstd};
///
/// # let dir = tempfile::tempdir()?;
/// # std::env::set_current_dir(&dir)?;
/// let store = Store::open("store")?;
/// let pages = Index::<String, String>::options()
///     .codec::<Zstd<Json>>()
///     .new(&store, "pages")?;
///
/// pages.insert("https://example.org/", &"<li>tea</li>\n".repeat(1000))?;
/// assert!(store.stats()?.structures[0].bytes < 1000);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Zstd<C = MessagePack>(PhantomData<C>);

/// The first byte: how the others are the value.
const PLAIN: u8 = 0;
const PACKED: u8 = 1;

/// Up to here a value stays as it is: a fifth of it, at most, is not worth the time. Measured: `cargo bench --bench codecs`.
const SMALL: usize = 256;

impl<C: Codec> Codec for Zstd<C> {
    const NAME: &'static str = match std::str::from_utf8(Self::LETTERS.split_at(Self::LENGTH).0) {
        Ok(name) => name,
        Err(_) => panic!("two texts are a text"),
    };

    fn encode<T: Serialize + ?Sized>(value: &T, into: &mut Vec<u8>) -> Result<()> {
        pack(into, |into| C::encode(value, into))
    }

    fn encode_as<V, T>(value: &T, into: &mut Vec<u8>) -> Result<()>
    where
        V: DeserializeOwned,
        T: Serialize + ?Sized,
    {
        pack(into, |into| C::encode_as::<V, T>(value, into))
    }

    fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
        let refused = |refusal: Refusal| Error::codec(Self::NAME, "decode", refusal);
        match bytes {
            [PLAIN, plain @ ..] => C::decode(plain),
            [PACKED, packed @ ..] => C::decode(&frames::unpack(packed).map_err(refused)?),
            _ => Err(refused(Refusal::NeitherPlainNorPacked)),
        }
    }

    fn encode_to<T: Serialize + ?Sized, W: Write>(value: &T, to: W) -> Result<()> {
        let mut packing = Packing::new(to);
        C::encode_to(value, &mut packing)?;
        packing
            .finish()
            .map_err(|error| Error::io("writing a value", error))
    }
}

impl<C: Codec> Zstd<C> {
    const PREFIX: &'static [u8] = b"zstd+";
    const LENGTH: usize = Self::PREFIX.len() + C::NAME.len();

    /// Those of the name, and zeros.
    const LETTERS: &'static [u8] = &{
        let mut letters = [0; 64];
        assert!(
            Self::LENGTH <= letters.len(),
            "the inner codec's name is too long"
        );
        let mut at = 0;
        while at < Self::LENGTH {
            letters[at] = match at.checked_sub(Self::PREFIX.len()) {
                None => Self::PREFIX[at],
                Some(inner) => C::NAME.as_bytes()[inner],
            };
            at += 1;
        }
        letters
    };
}

/// Has `encode` append the plain bytes, and compresses them.
fn pack(into: &mut Vec<u8>, encode: impl FnOnce(&mut Vec<u8>) -> Result<()>) -> Result<()> {
    let start = into.len();
    into.push(PLAIN);
    encode(into).inspect_err(|_| into.truncate(start))?;
    let plain = &into[start + 1..];
    if plain.len() > SMALL
        && let Some(packed) = frames::pack(plain)
    {
        into.truncate(start);
        into.push(PACKED);
        into.extend_from_slice(&packed);
    }
    Ok(())
}
