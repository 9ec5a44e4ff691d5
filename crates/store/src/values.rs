use serde::de::DeserializeOwned;

use std::io::Read;

use crate::blocks;
use crate::codec::Codec;
use crate::db::Db;
#[cfg(feature = "postgres")]
use crate::db::Link;
use crate::engine::Engine;
use crate::error::Result;
use crate::like::Like;
use crate::row::{Row, Value};
use crate::sqlite::value_file::{self, StreamReader};
use crate::sqlite::values::NewFile;
use crate::store::Store;

/// Encoded values longer than this, in bytes, are files of their own. Measured: up to here a file costs
/// more than the pages would; from here on it spares the write-ahead log and those who wait to write.
pub const INLINE: usize = 512 * 1024;

/// An encoded value on its way into a row with columns for its bytes and its file.
///
/// Made before the transaction, since writing a large file takes its time. The file of one that is
/// dropped without being linked is removed.
#[derive(Debug)]
pub struct Stored {
    content: Content,
    store: Store,
}

#[derive(Debug)]
enum Content {
    Inline(Vec<u8>),
    File(New),
    Linked(i64),
}

/// A large value that no row names yet.
#[derive(Debug)]
enum New {
    Sqlite(NewFile),
    #[cfg(feature = "postgres")]
    Postgres(crate::postgres::NewObject),
}

impl Store {
    /// Encodes a value; a large one is written to its file, not yet linked.
    ///
    /// # Errors
    ///
    /// [`is_codec`](Error::is_codec); [`is_disk_full`](Error::is_disk_full).
    #[doc(hidden)]
    pub fn store_value<C, V, W>(&self, value: &W) -> Result<Stored>
    where
        C: Codec,
        V: DeserializeOwned,
        W: Like<V> + ?Sized,
    {
        let mut bytes = Vec::with_capacity(64);
        C::encode_as::<V, _>(value, &mut bytes)?;
        blocks::expect(bytes.len());
        if bytes.len() <= INLINE {
            return Ok(Stored {
                content: Content::Inline(bytes),
                store: self.clone(),
            });
        }
        let content = Content::File(match self.now().engine() {
            Engine::Sqlite(sqlite) => New::Sqlite(sqlite.store_large(&bytes)?),
            #[cfg(feature = "postgres")]
            Engine::Postgres(postgres) => {
                New::Postgres(postgres.new_object(&mut bytes.as_slice())?)
            }
        });
        Ok(Stored {
            content,
            store: self.clone(),
        })
    }

    /// Writes what `from` has to a value file, not yet linked; 64 KiB of it in memory at a time.
    ///
    /// # Errors
    ///
    /// Those of `from`; [`is_disk_full`](Error::is_disk_full).
    #[doc(hidden)]
    pub fn store_stream(&self, from: &mut dyn Read) -> Result<Stored> {
        let content = Content::File(match self.now().engine() {
            Engine::Sqlite(sqlite) => {
                New::Sqlite(sqlite.new_file(|file| value_file::write(file, from))?)
            }
            #[cfg(feature = "postgres")]
            Engine::Postgres(postgres) => New::Postgres(postgres.new_object(from)?),
        });
        Ok(Stored {
            content,
            store: self.clone(),
        })
    }

    /// Decodes the value of a row from its bytes, or from its file.
    ///
    /// # Errors
    ///
    /// [`is_codec`](Error::is_codec); [`is_corrupt`](Error::is_corrupt) when the file is gone, cut
    /// short or changed.
    #[doc(hidden)]
    pub fn load_value<C: Codec, T: DeserializeOwned>(
        &self,
        row: &Row<'_>,
        value: usize,
        file: usize,
    ) -> Result<T> {
        if let Some(bytes) = row.opt_blob(value)? {
            blocks::expect(bytes.len());
            return C::decode(bytes);
        }
        let bytes = row.open(self, file)?.read_whole()?;
        blocks::expect(bytes.len());
        C::decode(&bytes)
    }

    /// The bytes of the value of a row, as they are encoded.
    ///
    /// # Errors
    ///
    /// [`is_corrupt`](Error::is_corrupt) when the file is gone, cut short or changed.
    #[doc(hidden)]
    pub fn raw_value(&self, row: &Row<'_>, value: usize, file: usize) -> Result<Vec<u8>> {
        match row.opt_blob(value)? {
            Some(bytes) => Ok(bytes.to_owned()),
            None => row.open(self, file)?.read_whole(),
        }
    }

    /// Decodes the value in a file.
    pub(crate) fn load_file<C: Codec, T: DeserializeOwned>(&self, file: i64) -> Result<T> {
        C::decode(&self.open_file(file)?.read_whole()?)
    }

    /// Opens the value file of a row.
    ///
    /// # Errors
    ///
    /// [`is_corrupt`](Error::is_corrupt) when the file is gone or cut short.
    #[doc(hidden)]
    pub fn open_stream(&self, row: &Row<'_>, file: usize) -> Result<StreamReader> {
        row.open(self, file)
    }

    /// Opens a large value by its number, outside of any transaction.
    ///
    /// # Errors
    ///
    /// Those of [`open_stream`](Self::open_stream).
    #[doc(hidden)]
    pub fn open_file(&self, id: i64) -> Result<StreamReader> {
        match self.engine_now() {
            Engine::Sqlite(sqlite) => sqlite.open_stream(id),
            #[cfg(feature = "postgres")]
            Engine::Postgres(postgres) => postgres.open_value(id),
        }
    }

    /// The same where this handle was opened, for who has a row of there.
    pub(crate) fn open_file_here(&self, id: i64) -> Result<StreamReader> {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.open_stream(id),
            #[cfg(feature = "postgres")]
            Engine::Postgres(postgres) => postgres.open_value(id),
        }
    }

    /// Has a value's file removed after the commit of the transaction in which its row goes.
    ///
    /// # Errors
    ///
    /// Those of the database.
    #[doc(hidden)]
    pub fn forget_value(&self, db: &Db<'_>, file: Option<i64>) -> Result<()> {
        match (file, db.store().engine()) {
            (None, _) => Ok(()),
            (Some(id), Engine::Sqlite(sqlite)) => sqlite.forget_value(db, id),
            #[cfg(feature = "postgres")]
            (Some(id), Engine::Postgres(postgres)) => postgres.forget_value(db, id),
        }
    }
}

impl Stored {
    /// Is the value in a file? Then linking it takes a statement of its own, so the row's statement
    /// must be in a transaction.
    pub fn is_file(&self) -> bool {
        !matches!(self.content, Content::Inline(_))
    }

    /// For the row's column of bytes.
    pub fn value(&self) -> Value<'_> {
        match &self.content {
            Content::Inline(bytes) => Value::Blob(bytes),
            _ => Value::Null,
        }
    }

    /// For the row's column of files.
    pub fn file(&self) -> Value<'_> {
        match &self.content {
            Content::Inline(_) => Value::Null,
            Content::File(new) => Value::Int(new.id()),
            Content::Linked(id) => Value::Int(*id),
        }
    }

    /// The length of the encoded value, in bytes.
    pub fn bytes(&self) -> u64 {
        match &self.content {
            Content::Inline(bytes) => bytes.len() as u64,
            Content::File(new) => new.bytes(),
            Content::Linked(_) => 0,
        }
    }

    /// The value as it will be read.
    ///
    /// # Errors
    ///
    /// Those of [`load_value`](Store::load_value).
    pub fn read<C: Codec, T: DeserializeOwned>(&self) -> Result<T> {
        match &self.content {
            Content::Inline(bytes) => C::decode(bytes),
            Content::File(New::Sqlite(new)) => C::decode(&new.read()?.read_whole()?),
            #[cfg(feature = "postgres")]
            Content::File(New::Postgres(new)) => C::decode(&new.read()?.read_whole()?),
            Content::Linked(id) => self.store.load_file::<C, T>(*id),
        }
    }

    /// Binds the file, if there is one, to the transaction in which its row is written.
    ///
    /// # Errors
    ///
    /// Those of the database.
    pub fn link(mut self, db: &Db<'_>) -> Result<()> {
        if let Content::File(new) = &self.content {
            let linked = Content::Linked(new.id());
            if let Content::File(new) = std::mem::replace(&mut self.content, linked) {
                new.link(db)?;
            }
        }
        Ok(())
    }
}

impl New {
    fn id(&self) -> i64 {
        match self {
            New::Sqlite(new) => new.id(),
            #[cfg(feature = "postgres")]
            New::Postgres(new) => new.id,
        }
    }

    fn bytes(&self) -> u64 {
        match self {
            New::Sqlite(new) => new.bytes(),
            #[cfg(feature = "postgres")]
            New::Postgres(new) => new.bytes,
        }
    }

    fn link(self, db: &Db<'_>) -> Result<()> {
        match self {
            // The store has moved meanwhile.
            #[cfg(feature = "postgres")]
            New::Sqlite(new) if matches!(db.link(), Link::Postgres(_)) => {
                let linked = crate::postgres::NewObject::of(new.id(), new.bytes(), new.file()?);
                let linked = linked.link(db);
                new.discard();
                linked
            }
            New::Sqlite(new) => new.link(db),
            #[cfg(feature = "postgres")]
            New::Postgres(new) => new.link(db),
        }
    }

    fn discard(&self) {
        match self {
            New::Sqlite(new) => new.discard(),
            // Its file is gone with it.
            #[cfg(feature = "postgres")]
            New::Postgres(_) => {}
        }
    }
}

impl Drop for Stored {
    fn drop(&mut self) {
        if let Content::File(new) = &self.content {
            new.discard();
        }
    }
}
