use std::fmt;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicU64, Ordering};

use diskette_ipc::{Eras, fork, plain_file, random};

use crate::access::Access;
use crate::db::Db;
use crate::error::{Error, Result};
use crate::sqlite::directory::Directory;
use crate::sqlite::value_file::StreamReader;
use crate::sqlite::{Sqlite, garbage, reading, value_file};

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
pub(crate) struct Values {
    directory: Directory,
    /// `None`: the store is open for reading only.
    eras: Option<Eras>,
    /// Who else may read the database, as mode bits: he may read these files too.
    others: u32,
    /// A bit for each directory of files that this process knows to be there for good.
    synced: [AtomicU64; 4],
}

/// A file that this process has made and that no row names yet.
pub(crate) struct NewFile {
    id: i64,
    bytes: u64,
    /// In which it was made: a forked child must leave it alone.
    generation: u64,
    sqlite: Sqlite,
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

impl Sqlite {
    /// Writes an encoded value to a file.
    pub(crate) fn store_large(&self, bytes: &[u8]) -> Result<NewFile> {
        let write = || self.new_file(|file| value_file::write_all(file, bytes));
        match write() {
            // Files that nobody needs any more may be there still.
            Err(error) if error.is_disk_full() && self.sweep().is_ok() => write(),
            stored => stored,
        }
    }

    /// Makes a file that `write` fills; that says how many bytes it has written.
    pub(crate) fn new_file(&self, write: impl FnOnce(&mut File) -> Result<u64>) -> Result<NewFile> {
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
            sqlite: self.clone(),
        };
        let written = write(&mut file).and_then(|bytes| {
            // At either durability: a checkpoint can make the row durable at any time.
            file.sync_all().map_err(failed)?;
            plain_file::sync_directory(&self.directory().parent_of_value(id)).map_err(failed)?;
            Ok(bytes)
        });
        match written {
            Ok(bytes) => {
                new.bytes = bytes;
                Ok(new)
            }
            Err(error) => {
                new.discard();
                Err(error)
            }
        }
    }

    pub(crate) fn open_stream(&self, id: i64) -> Result<StreamReader> {
        StreamReader::open(self.directory().value(id))
    }

    pub(crate) fn forget_value(&self, db: &Db<'_>, id: i64) -> Result<()> {
        const FORGET: &str = "DELETE FROM value_files WHERE id = $1 RETURNING bytes";
        let bytes = db.query_one(FORGET, &[id.into()], |row| row.int(0))?;
        garbage::add(self, db, id)?;
        let sqlite = self.clone();
        let bytes = bytes.unwrap_or(0).unsigned_abs();
        db.on_commit(move |_| sqlite.made_garbage(bytes));
        Ok(())
    }

    /// Removes those of `files` that no table names: what a dead process was about to link.
    pub(crate) fn remove_orphans(&self, files: &[i64]) -> Result<()> {
        const NAMED: &str = "SELECT id FROM value_files WHERE id = $1 UNION ALL SELECT id FROM garbage WHERE id = $1";
        for &id in files {
            let named = self
                .store()
                .read_one(|db| db.query_one(NAMED, &[id.into()], |row| row.int(0)))?;
            if named.is_none() {
                let removed = self.values().remove(id);
                removed.map_err(|error| {
                    Error::io("can't remove the value file of a dead process", error)
                })?;
            }
        }
        Ok(())
    }
}

impl NewFile {
    pub(crate) fn id(&self) -> i64 {
        self.id
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// As it will be read.
    pub(crate) fn read(&self) -> Result<StreamReader> {
        self.sqlite.open_stream(self.id)
    }

    #[cfg(feature = "postgres")]
    pub(crate) fn file(&self) -> Result<File> {
        let file = plain_file::read(&self.sqlite.directory().value(self.id));
        file.map_err(|error| Error::reading("can't read a value's file", error))
    }

    /// Binds it to the transaction in which its row is written.
    pub(crate) fn link(self, db: &Db<'_>) -> Result<()> {
        let id = self.id;
        let bytes = i64::try_from(self.bytes).unwrap_or(i64::MAX);
        let linked = db.execute(
            "INSERT INTO value_files (id, bytes) VALUES ($1, $2)",
            &[id.into(), bytes.into()],
        );
        if let Err(error) = linked {
            self.discard();
            return Err(error);
        }
        let sqlite = self.sqlite.clone();
        db.on_commit(move |_| drop(sqlite.owners().settled(id)));
        db.on_rollback(move |_| self.discard());
        Ok(())
    }

    /// Removes the file of this process that no row has ever named. In vain, it stays in the will.
    pub(crate) fn discard(&self) {
        if self.generation == fork::generation() && self.sqlite.values().remove(self.id).is_ok() {
            let _ = self.sqlite.owners().settled(self.id);
        }
    }
}

impl fmt::Debug for NewFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("NewFile").field(&self.id).finish()
    }
}
