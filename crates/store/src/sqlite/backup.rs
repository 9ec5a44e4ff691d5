use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;
use std::{fs, io};

use diskette_ipc::plain_file;
use rusqlite::backup::Backup;

use crate::error::{Error, Result, from_sqlite};
use crate::sqlite::Sqlite;
use crate::sqlite::connection::{self, Role};
use crate::sqlite::directory::Directory;
use crate::sqlite::reading::overtaken;

impl Sqlite {
    pub(crate) fn backup(&self, to: &Path) -> Result<()> {
        let directory = Directory::prepare_for_copy(to)?;
        // The copy names the shards that it has.
        let _tenancies = self.stay_with_all_shards()?;
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
        let mut copy =
            connection::open(&directory.database(), None, Role::Writer, self.durability())?;
        {
            let reader = self.readers().lend(self)?;
            Backup::new(reader.connection()?, &mut copy)
                .and_then(|backup| backup.run_to_completion(i32::MAX, Duration::ZERO, None))
                .map_err(from_sqlite)?;
            if !reader.is_true()? {
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
