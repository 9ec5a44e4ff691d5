use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;
use std::{fs, io};

use diskette_ipc::plain_file;
use rusqlite::backup::Backup;

use crate::connection::{self, Role};
use crate::directory::Directory;
use crate::error::{Error, ErrorKind, Result, from_sqlite};
use crate::options::Options;
use crate::reading::overtaken;
use crate::store::Store;

impl Store {
    /// Copies the store, as it is at one moment, into the directory `to`, while others go on writing.
    /// The copy is a store like any other. Never copy the files of a store that this very process has open: reading the
    /// database by other means takes SQLite's locks from the process.
    ///
    /// Once it returns, no power cut takes the copy, at either durability.
    ///
    /// Each of the databases of a structure that is spread over several is copied as it is at a moment of its own.
    ///
    /// Value files are hard links where the file system allows (they never change), copies elsewhere.
    ///
    /// # Errors
    ///
    /// [`is_invalid_input`](Error::is_invalid_input) when there is a store at `to` already; the errors
    /// of [`Store::open`] for `to`; [`is_disk_full`](Error::is_disk_full). An incomplete copy stays
    /// behind then, to be removed.
    ///
    /// # Example
    ///
    /// ```
    /// use diskette::Store;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # std::env::set_current_dir(&dir)?;
    /// let store = Store::open("store")?;
    /// store.backup("copy")?;
    /// assert!(Store::open("copy")?.check()?.is_sound());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn backup(&self, to: impl AsRef<Path>) -> Result<()> {
        let to = to.as_ref();
        self.copy_to(to).map_err(|error| {
            error.at(|| format!("backing up {} to {}", self.path().display(), to.display()))
        })
    }

    fn copy_to(&self, to: &Path) -> Result<()> {
        if to.join("store.db").exists() {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                "there is a store already: name a new directory",
            ));
        }
        let directory =
            Directory::prepare(to, &Options::default().allow_network_file_system(true))?;
        self.copy_part(&directory)?;
        for store in self.all_shards()? {
            let Some(shard) = store.shard() else { continue };
            store.copy_part(&shard.prepare(&directory)?)?;
        }
        Ok(())
    }

    fn copy_part(&self, directory: &Directory) -> Result<()> {
        directory.create_database()?;
        // Until the copy is made, no file that belongs to it goes.
        let _files = self.keep_files()?;
        let mut copy = connection::open(&directory.database(), Role::Writer, self.durability())?;
        {
            let reader = self.readers().lend(self)?;
            Backup::new(reader.connection()?, &mut copy)
                .and_then(|backup| backup.run_to_completion(i32::MAX, Duration::ZERO, None))
                .map_err(from_sqlite)?;
            if !reader.is_true(self)? {
                return Err(overtaken());
            }
        }
        let mut linked = copy
            .prepare("SELECT id FROM value_files")
            .map_err(from_sqlite)?;
        let ids = linked
            .query_map([], |row| row.get(0))
            .and_then(Iterator::collect::<Result<Vec<i64>, _>>)
            .map_err(from_sqlite)?;
        drop(linked);
        let failed = |error| Error::io("can't copy the value files", error);
        self.copy_values(&ids, directory).map_err(failed)?;
        // Its log is copied into it, and both are synced.
        copy.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")
            .map_err(from_sqlite)?;
        drop(copy);
        plain_file::sync_directory(directory.path()).map_err(failed)
    }

    fn copy_values(&self, ids: &[i64], directory: &Directory) -> io::Result<()> {
        let mut parents = BTreeSet::from([directory.values()]);
        for &id in ids {
            let (from, into) = (self.directory().value(id), directory.value(id));
            let parent = directory.parent_of_value(id);
            plain_file::create_directory(&parent)?;
            if fs::hard_link(&from, &into).is_err() {
                let mut file = plain_file::create(&into)?;
                io::copy(&mut plain_file::read(&from)?, &mut file)?;
                file.sync_all()?;
            }
            parents.insert(parent);
        }
        parents
            .iter()
            .try_for_each(|parent| plain_file::sync_directory(parent))
    }
}
