//! An item on its way from the thread that takes it, perhaps another that has the turn to write, to the one that pops it.

use std::thread::{self, ThreadId};

use diskette_store::{Codec, Result, Row, Store};
use fragile::Fragile;
use serde::de::DeserializeOwned;

/// Items may be of a type that must not leave the thread which decodes them.
pub(crate) enum Popped<T> {
    Here(Fragile<T>),
    Elsewhere(Vec<u8>),
}

impl<T: DeserializeOwned> Popped<T> {
    /// Decodes the item of a row of pos, file, value, which is no file, for a thread. `None`: it takes that one to say what is wrong.
    pub(crate) fn read<C: Codec>(
        store: &Store,
        row: &Row<'_>,
        by: ThreadId,
    ) -> Result<Option<Self>> {
        let item = store.load_value::<C, T>(row, 2, 1);
        if thread::current().id() == by {
            return item.map(|item| Some(Popped::Here(Fragile::new(item))));
        }
        let bytes = |_| row.blob(2).map(|bytes| Popped::Elsewhere(bytes.to_owned()));
        item.ok().map(bytes).transpose()
    }

    /// The item, in the thread for which it was read.
    pub(crate) fn item<C: Codec>(self) -> Result<T> {
        match self {
            Popped::Here(item) => Ok(item.into_inner()),
            Popped::Elsewhere(bytes) => C::decode(&bytes),
        }
    }
}
