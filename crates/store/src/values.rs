use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicU64, Ordering};

use diskette_ipc::{Eras, fork, plain_file, random};
use serde::de::DeserializeOwned;

use crate::access::Access;
use crate::codec::Codec;
use crate::db::{Db, Row, Value};
use crate::directory::Directory;
use crate::error::{Error, Result};
use crate::garbage;
use crate::like::Like;
use crate::reading;
use crate::store::Store;
use crate::value_file::{self, StreamReader};

/// Encoded values longer than this, in bytes, are files of their own. Measured: up to here a file costs
/// more than the pages would; from here on it spares the write-ahead log and those who wait to write.
pub const INLINE: usize = 512 * 1024;

/// Large values, each a file in `values/`, named by the row that links it.
///
/// The order of writes keeps every committed row's file, also over a power cut, and loses track of no other file:
///
/// 1. the file's number goes into the will of this process (its owner file);
/// 2. the file is written and synced, and so are the directories that lead to it;
/// 3. the row that names it is committed, with its line in `value_files`;
/// 4. the number leaves the will.
///
/// Whoever finds the process dead removes what is in its will and in no table. What a row names no more is unlinked in the
/// background, once no power cut and no snapshot can want it back.
pub struct Values {
    directory: Directory,
    /// `None`: the store is open for reading only.
    eras: Option<Eras>,
    /// Who else may read the database, as mode bits: he may read these files too.
    others: u32,
    /// A bit for each directory of files that this process knows to be there for good.
    synced: [AtomicU64; 4],
}

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
    File(NewFile),
    Linked(i64),
}

/// A file that this process has made and that no row names yet.
#[derive(Debug)]
struct NewFile {
    id: i64,
    bytes: u64,
    /// In which it was made: a forked child must leave it alone.
    generation: u64,
}

impl Values {
    pub(crate) fn new(directory: Directory, eras: Option<Eras>) -> io::Result<Self> {
        Ok(Values {
            others: fs::metadata(directory.database())?.mode() & 0o044,
            directory,
            eras,
            synced: Default::default(),
        })
    }

    /// # Errors
    ///
    /// [`is_read_only`](Error::is_read_only).
    pub(crate) fn eras(&self) -> Result<&Eras> {
        self.eras.as_ref().ok_or_else(reading::refused)
    }

    pub(crate) fn remove(&self, id: i64) -> io::Result<()> {
        match fs::remove_file(self.directory.value(id)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn create(&self, id: i64) -> io::Result<File> {
        let parent = self.directory.parent_of_value(id);
        if plain_file::create_directory(&parent)? && self.others != 0 {
            plain_file::let_read(&File::open(&parent)?, self.others)?;
        }
        // Whoever made it may have been killed, or be about to sync it.
        let number = id.cast_unsigned() >> 56;
        let (word, bit) = (&self.synced[number as usize / 64], 1 << (number % 64));
        if word.load(Ordering::Acquire) & bit == 0 {
            plain_file::sync_directory(&self.directory.values())?;
            word.fetch_or(bit, Ordering::AcqRel);
        }
        let file = plain_file::create(&self.directory.value(id))?;
        if self.others != 0 {
            plain_file::let_read(&file, self.others)?;
        }
        Ok(file)
    }
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
        if bytes.len() <= INLINE {
            return Ok(Stored {
                content: Content::Inline(bytes),
                store: self.clone(),
            });
        }
        match self.store_stream(&mut bytes.as_slice()) {
            // Files that nobody needs any more may be there still.
            Err(error) if error.is_disk_full() && self.sweep().is_ok() => {
                self.store_stream(&mut bytes.as_slice())
            }
            stored => stored,
        }
    }

    /// Writes what `from` has to a value file, not yet linked; 64 KiB of it in memory at a time.
    ///
    /// # Errors
    ///
    /// Those of `from`; [`is_disk_full`](Error::is_disk_full).
    #[doc(hidden)]
    pub fn store_stream(&self, from: &mut dyn Read) -> Result<Stored> {
        let failed = |error| Error::io("can't write a value's file", error);
        self.must_be_writable()?;
        let id = random::number().map_err(failed)?;
        self.owners().bequeath(id).map_err(failed)?;
        let mut file = match self.values().create(id) {
            Ok(file) => file,
            Err(error) => {
                // It isn't ours, if there is one.
                let _ = self.owners().settled(id);
                return Err(failed(error));
            }
        };
        let mut new = NewFile {
            id,
            bytes: 0,
            generation: fork::generation(),
        };
        let written = value_file::write(&mut file, from).and_then(|bytes| {
            // At either durability: a checkpoint can make the row durable at any time.
            file.sync_all().map_err(failed)?;
            plain_file::sync_directory(&self.directory().parent_of_value(id)).map_err(failed)?;
            Ok(bytes)
        });
        match written {
            Ok(bytes) => {
                new.bytes = bytes;
                Ok(Stored {
                    content: Content::File(new),
                    store: self.clone(),
                })
            }
            Err(error) => {
                self.discard(&new);
                Err(error)
            }
        }
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
            return C::decode(bytes);
        }
        self.load_file::<C, T>(row.int(file)?)
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
            None => self.raw_file(row.int(file)?),
        }
    }

    /// The bytes of the value in a file, as they are encoded.
    ///
    /// # Errors
    ///
    /// Those of [`raw_value`](Self::raw_value).
    #[doc(hidden)]
    pub fn raw_file(&self, file: i64) -> Result<Vec<u8>> {
        self.open_stream(file)?.read_whole()
    }

    /// Decodes the value in a file.
    ///
    /// # Errors
    ///
    /// Those of [`load_value`](Self::load_value).
    #[doc(hidden)]
    pub fn load_file<C: Codec, T: DeserializeOwned>(&self, file: i64) -> Result<T> {
        C::decode(&self.raw_file(file)?)
    }

    /// Opens the value file of a row.
    ///
    /// # Errors
    ///
    /// [`is_corrupt`](Error::is_corrupt) when the file is gone or cut short.
    #[doc(hidden)]
    pub fn open_stream(&self, id: i64) -> Result<StreamReader> {
        StreamReader::open(self.directory().value(id))
    }

    /// Has a value's file removed after the commit of the transaction in which its row goes.
    ///
    /// # Errors
    ///
    /// Those of the database.
    #[doc(hidden)]
    pub fn forget_value(&self, db: &Db<'_>, file: Option<i64>) -> Result<()> {
        let Some(id) = file else { return Ok(()) };
        db.execute("DELETE FROM value_files WHERE id = $1", &[id.into()])?;
        garbage::add(db, id)
    }

    /// Removes those of `files` that no table names: what a dead process was about to link.
    pub(crate) fn remove_orphans(&self, files: &[i64]) -> Result<()> {
        const NAMED: &str = "SELECT id FROM value_files WHERE id = $1 UNION ALL SELECT id FROM garbage WHERE id = $1";
        for &id in files {
            let named = self.read_one(|db| db.query_one(NAMED, &[id.into()], |row| row.int(0)))?;
            if named.is_none() {
                let removed = self.values().remove(id);
                removed.map_err(|error| {
                    Error::io("can't remove the value file of a dead process", error)
                })?;
            }
        }
        Ok(())
    }

    /// Removes a file of this process that no row has ever named. In vain, it stays in the will.
    fn discard(&self, new: &NewFile) {
        if new.generation == fork::generation() && self.values().remove(new.id).is_ok() {
            let _ = self.owners().settled(new.id);
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
            Content::File(NewFile { id, .. }) | Content::Linked(id) => Value::Int(*id),
        }
    }

    /// The length of the encoded value, in bytes.
    pub fn bytes(&self) -> u64 {
        match &self.content {
            Content::Inline(bytes) => bytes.len() as u64,
            Content::File(new) => new.bytes,
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
            Content::File(NewFile { id, .. }) | Content::Linked(id) => {
                self.store.load_file::<C, T>(*id)
            }
        }
    }

    /// Binds the file, if there is one, to the transaction in which its row is written.
    ///
    /// # Errors
    ///
    /// Those of the database.
    pub fn link(mut self, db: &Db<'_>) -> Result<()> {
        if let Content::File(new) = &self.content {
            let id = new.id;
            let bytes = i64::try_from(new.bytes).unwrap_or(i64::MAX);
            db.execute(
                "INSERT INTO value_files (id, bytes) VALUES ($1, $2)",
                &[id.into(), bytes.into()],
            )?;
            if let Content::File(new) = std::mem::replace(&mut self.content, Content::Linked(id)) {
                db.on_commit(move |store| drop(store.owners().settled(id)));
                db.on_rollback(move |store| store.discard(&new));
            }
        }
        Ok(())
    }
}

impl Drop for Stored {
    fn drop(&mut self) {
        if let Content::File(new) = &self.content {
            self.store.discard(new);
        }
    }
}

impl std::fmt::Debug for Values {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Values").field(&self.directory).finish()
    }
}
