//! A way past items that can't be read.

use diskette_store::{Access, Codec, Error, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::deque::Deque;
use crate::positions::End;

/// An item that can't be read as what the deque holds, taken out of it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Unreadable {
    /// The item, as it is encoded; empty, if its file is damaged.
    pub bytes: Vec<u8>,
    /// Why it can't be read.
    pub why: Error,
}

impl<T, C, A> Deque<T, C, A>
where
    T: Serialize + DeserializeOwned,
    C: Codec,
    A: Access,
{
    /// Takes the first item if it is one that can't be read: an older program's, or a newer one's, or damaged. Those that can
    /// be read, and so the work of others, are left alone. The item behind it is then next.
    ///
    /// # Errors
    ///
    /// Those of the database.
    ///
    /// # Example
    ///
    /// Nothing is lost: what can't be read is set aside in the transaction in which it goes.
    ///
    /// ```
    /// use diskette::{Deque, Error, Store};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # std::env::set_current_dir(&dir)?;
    /// let store = Store::open("store")?;
    /// # Deque::<String>::new(&store, "todo")?.push_back("of an older program")?;
    /// let todo = Deque::<u64>::new(&store, "todo")?;
    /// let aside = Deque::<Vec<u8>>::new(&store, "unreadable")?;
    /// todo.push_back(&7)?;
    ///
    /// let next = match todo.pop_front() {
    ///     Err(error) if error.is_codec() => {
    ///         store.transaction(|tx| {
    ///             while let Some(item) = todo.within(tx).take_unreadable_front()? {
    ///                 aside.within(tx).push_back(&item.bytes)?;
    ///             }
    ///             Ok::<_, Error>(())
    ///         })?;
    ///         todo.pop_front()?
    ///     }
    ///     popped => popped?,
    /// };
    /// assert_eq!(next, Some(7));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn take_unreadable_front(&self) -> Result<Option<Unreadable>> {
        self.doing("take_unreadable_front", self.take_unreadable(End::Front))
    }

    /// Takes the last item if it can't be read. Otherwise like [`take_unreadable_front`](Self::take_unreadable_front).
    ///
    /// # Errors
    ///
    /// Those of the database.
    pub fn take_unreadable_back(&self) -> Result<Option<Unreadable>> {
        self.doing("take_unreadable_back", self.take_unreadable(End::Back))
    }

    fn take_unreadable(&self, end: End) -> Result<Option<Unreadable>> {
        let taken = self.inside().write(|db| {
            self.inner.take(db, end, |row| match self.decode(row) {
                Ok(_) => Ok(None),
                Err(why) if why.is_codec() || why.is_corrupt() => {
                    let bytes = self.store().raw_value(row, 2, 1).unwrap_or_default();
                    Ok(Some(Unreadable { bytes, why }))
                }
                Err(error) => Err(error),
            })
        });
        Ok(taken?.flatten())
    }
}

/// Says in an error which item can't be read, and what there is to do.
pub(crate) fn name_the_item(error: Error, end: End) -> Error {
    if !error.is_codec() && !error.is_corrupt() {
        return error;
    }
    let (item, way_out) = match end {
        End::Front => ("first", "take_unreadable_front"),
        End::Back => ("last", "take_unreadable_back"),
    };
    let message = format!(
        "the {item} item can't be read: {error}; or `{way_out}` sets it aside, so that the next one is next"
    );
    Error::new(error.kind(), message).caused_by(error)
}
