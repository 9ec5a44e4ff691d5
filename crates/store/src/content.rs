use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codec::Codec;

/// What an index or a cache can hold: whatever serde writes and reads, by the codec `C`, or a
/// [`Stream`]. There is nothing to implement, and nothing else that can.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be a value of an index or a cache",
    note = "derive `serde::Serialize` and `serde::Deserialize` for it, without borrowed fields, or use a `Stream`"
)]
pub trait Content<C>: Sealed<C> {
    /// How the catalog of the store calls the way in which the values are written.
    #[doc(hidden)]
    const CODEC: &'static str;
}

/// The type of values that are read and written piece by piece, and never wholly in memory, such as of an
/// `Index<K, Stream>`. Each is a file in the store's directory, whatever its length.
///
/// Such a structure has the methods that look at keys only, and `write` and `read`.
///
/// # Crashes
///
/// A value is there whole or not at all. The file of a writer that died is removed by whoever opens
/// the store next, or hears of the death.
///
/// # Example
///
/// ```
/// use std::io::Read;
/// use diskette::{Index, Stream};
///
/// # let dir = tempfile::tempdir()?;
/// # std::env::set_current_dir(&dir)?;
/// let films = Index::<String, Stream>::open("store")?;
/// films.write("short", [7_u8; 100_000].as_slice())?;
///
/// let mut first = [0; 10];
/// films.read("short")?.expect("written above").read_exact(&mut first)?;
/// assert_eq!(first, [7; 10]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub enum Stream {}

pub trait Sealed<C> {}

impl<V: Serialize + DeserializeOwned, C: Codec> Sealed<C> for V {}
impl<V: Serialize + DeserializeOwned, C: Codec> Content<C> for V {
    const CODEC: &'static str = C::NAME;
}

impl<C> Sealed<C> for Stream {}
impl<C> Content<C> for Stream {
    const CODEC: &'static str = "stream";
}
