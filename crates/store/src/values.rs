use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codec::Codec;
use crate::db::{Db, Row, Value};
use crate::error::{Error, Result};
use crate::hold::{Held, Hold};
use crate::in_flight::InFlight;
use crate::options::Durability;
use crate::store::Store;
use crate::value_file::{self, StreamReader};
use diskette_ipc::FileLock;

/// Encoded values longer than this, in bytes, are files of their own. Measured: up to here a file costs
/// more than the pages would; from here on it spares the write-ahead log and those who wait to write.
pub const INLINE: usize = 512 * 1024;

/// Large values, each a file in `values/`, named by the row that links it.
///
/// The order of writes keeps every committed row's file, and loses track of no other file:
///
/// 1. the file's number goes into the will of this process (its owner file);
/// 2. the file is written and synced;
/// 3. the row that names it is committed, with its line in `value_files`;
/// 4. the number leaves the will.
///
/// Replacing is the same backwards: will, commit, unlink. Whoever finds the process dead removes what
/// is in its will and not in `value_files`. A file that a snapshot may still want stays until the
/// snapshot ends.
pub struct Values {
    directory: PathBuf,
    hold: Hold,
    in_flight: InFlight,
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
    File { id: i64, bytes: u64 },
    Linked(i64),
}

impl Values {
    pub(crate) fn new(directory: PathBuf, lock: FileLock) -> Self {
        Values {
            directory,
            hold: Hold::new(lock),
            in_flight: InFlight::default(),
        }
    }

    /// While this is held, no value file goes.
    pub(crate) fn hold(&self) -> Result<Held<'_>> {
        self.hold.shared()
    }

    /// Files of this process that are neither surely linked nor surely gone.
    pub(crate) fn in_flight(&self) -> BTreeSet<i64> {
        self.in_flight.files()
    }

    pub(crate) fn path(&self, id: i64) -> PathBuf {
        let name = format!("{id:016x}");
        self.directory.join(&name[..2]).join(&name[2..])
    }

    pub(crate) fn directory(&self) -> &PathBuf {
        &self.directory
    }

    fn create(&self, id: i64) -> io::Result<File> {
        let path = self.path(id);
        let open = || {
            OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&path)
        };
        match open() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if let Some(parent) = path.parent() {
                    DirBuilder::new()
                        .recursive(true)
                        .mode(0o700)
                        .create(parent)?;
                }
                open()
            }
            result => result,
        }
    }

    fn remove(&self, id: i64) -> io::Result<()> {
        match fs::remove_file(self.path(id)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

impl Store {
    /// Encodes a value; a large one is written to its file, not yet linked.
    ///
    /// # Errors
    ///
    /// [`is_codec`](Error::is_codec); [`is_disk_full`](Error::is_disk_full).
    #[doc(hidden)]
    pub fn store_value<C: Codec>(&self, value: &(impl Serialize + ?Sized)) -> Result<Stored> {
        let mut bytes = Vec::with_capacity(64);
        C::encode(value, &mut bytes)?;
        if bytes.len() <= INLINE {
            return Ok(Stored {
                content: Content::Inline(bytes),
                store: self.clone(),
            });
        }
        self.store_stream(&mut bytes.as_slice())
    }

    /// Writes what `from` has to a value file, not yet linked; 64 KiB of it in memory at a time.
    ///
    /// # Errors
    ///
    /// Those of `from`; [`is_disk_full`](Error::is_disk_full).
    #[doc(hidden)]
    pub fn store_stream(&self, from: &mut dyn Read) -> Result<Stored> {
        let values = self.values();
        let failed = |error| Error::io("can't write a value's file", error);
        let id = values
            .in_flight
            .begin(self.owners(), None)
            .map_err(failed)?;
        let mut stored = Stored {
            content: Content::File { id, bytes: 0 },
            store: self.clone(),
        };
        let mut file = values.create(id).map_err(failed)?;
        let bytes = value_file::write(&mut file, from)?;
        // Synced at either durability: a checkpoint can make the row durable at any time.
        file.sync_all().map_err(failed)?;
        if self.durability() == Durability::Power
            && let Some(parent) = values.path(id).parent()
        {
            File::open(parent)
                .and_then(|parent| parent.sync_all())
                .map_err(failed)?;
        }
        stored.content = Content::File { id, bytes };
        Ok(stored)
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
        C::decode(&self.open_stream(row.int(file)?)?.read_whole()?)
    }

    /// Opens the value file of a row.
    ///
    /// # Errors
    ///
    /// [`is_corrupt`](Error::is_corrupt) when the file is gone or cut short.
    #[doc(hidden)]
    pub fn open_stream(&self, id: i64) -> Result<StreamReader> {
        StreamReader::open(self.values().path(id))
    }

    /// Removes a value's file after the commit of the transaction in which its row goes.
    ///
    /// # Errors
    ///
    /// Those of the database and of the will.
    #[doc(hidden)]
    pub fn forget_value(&self, db: &Db<'_>, file: Option<i64>) -> Result<()> {
        let Some(id) = file else { return Ok(()) };
        db.execute("DELETE FROM value_files WHERE id = $1", &[id.into()])?;
        self.values()
            .in_flight
            .begin(self.owners(), Some(id))
            .map_err(|error| Error::io("can't write the owner file of this process", error))?;
        db.on_commit(move |store| store.discard(id));
        db.on_rollback(move |store| store.values().in_flight.end(store.owners(), id));
        Ok(())
    }

    /// Removes a file that no row names, as soon as no snapshot can want it.
    fn discard(&self, id: i64) {
        let values = self.values();
        values.in_flight.put_off(id);
        // In vain, it stays in the will, for a later try or for whoever settles the estate.
        let _ = values.hold.exclusive(|| {
            for id in values.in_flight.take_put_off() {
                if values.remove(id).is_ok() {
                    values.in_flight.end(self.owners(), id);
                }
            }
        });
    }

    /// Removes those of `files` that no row names: what a dead process left. `false`: not yet, since a
    /// snapshot may want them.
    pub(crate) fn remove_orphans(&self, files: &[i64]) -> Result<bool> {
        use crate::access::Access;
        let mut orphans = Vec::new();
        for &id in files {
            let sql = "SELECT id FROM value_files WHERE id = $1";
            if self
                .read_one(|db| db.query_one(sql, &[id.into()], |row| row.int(0)))?
                .is_none()
            {
                orphans.push(id);
            }
        }
        if orphans.is_empty() {
            return Ok(true);
        }
        let failed = |error| Error::io("can't remove the value file of a dead process", error);
        let mut removed = Ok(());
        let alone = self.values().hold.exclusive(|| {
            removed = orphans.iter().try_for_each(|&id| self.values().remove(id));
        })?;
        removed.map_err(failed)?;
        Ok(alone)
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
        match self.content {
            Content::Inline(_) => Value::Null,
            Content::File { id, .. } | Content::Linked(id) => Value::Int(id),
        }
    }

    /// The length of a value in a file, in bytes.
    pub fn file_bytes(&self) -> u64 {
        match self.content {
            Content::File { bytes, .. } => bytes,
            _ => 0,
        }
    }

    /// Binds the file, if there is one, to the transaction in which its row is written.
    ///
    /// # Errors
    ///
    /// Those of the database.
    pub fn link(mut self, db: &Db<'_>) -> Result<()> {
        if let Content::File { id, bytes } = self.content {
            let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
            db.execute(
                "INSERT INTO value_files (id, bytes) VALUES ($1, $2)",
                &[id.into(), bytes.into()],
            )?;
            self.content = Content::Linked(id);
            db.on_commit(move |store| store.values().in_flight.end(store.owners(), id));
            db.on_rollback(move |store| store.discard(id));
        }
        Ok(())
    }
}

impl Drop for Stored {
    fn drop(&mut self) {
        if let Content::File { id, .. } = self.content {
            self.store.discard(id);
        }
    }
}

impl std::fmt::Debug for Values {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Values").field(&self.directory).finish()
    }
}
