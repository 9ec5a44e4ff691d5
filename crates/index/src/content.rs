use diskette_store::Codec;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::stream::Stream;

/// What an [`Index`](crate::Index) can hold: whatever serde writes and reads, by the codec `C`, or a
/// [`Stream`]. There is nothing to implement, and nothing else that can.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be a value of an index",
    note = "derive `serde::Serialize` and `serde::Deserialize` for it, without borrowed fields, or use a `Stream`"
)]
pub trait Content<C>: Sealed<C> {
    /// How the catalog of the store calls the way in which the values are written.
    #[doc(hidden)]
    const CODEC: &'static str;
}

pub trait Sealed<C> {}

impl<V: Serialize + DeserializeOwned, C: Codec> Sealed<C> for V {}
impl<V: Serialize + DeserializeOwned, C: Codec> Content<C> for V {
    const CODEC: &'static str = C::NAME;
}

impl<C> Sealed<C> for Stream {}
impl<C> Content<C> for Stream {
    const CODEC: &'static str = "stream";
}
