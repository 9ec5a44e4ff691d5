//! The databases of a structure that is spread over several of them, below the directory of its store.

use std::fs;
use std::io;
use std::path::PathBuf;

use crate::error::{Error, Result};
use crate::store::Store;

#[doc(hidden)]
impl Store {
    /// The databases `0..count` of the set with this name, made if they are missing. Each is a store for structures, of which nobody
    /// else knows, so that as many processes can write at once.
    ///
    /// # Errors
    ///
    /// Those of [`open`](Store::open).
    pub fn shards(&self, set: &str, count: u32) -> Result<Vec<Store>> {
        let options = Store::options()
            .durability(self.durability())
            .timeout(self.timeout())
            .read_only(self.is_read_only());
        (0..count)
            .map(|number| {
                options
                    .clone()
                    .open(self.set(set).join(format!("{number:03}")))
            })
            .collect()
    }

    /// The names of the sets that have a directory, whether whole or half made.
    ///
    /// # Errors
    ///
    /// Those of reading a directory.
    pub fn sets_of_shards(&self) -> Result<Vec<String>> {
        let failed = |error| Error::io("can't read the directory of the shards", error);
        let sets = match fs::read_dir(self.path().join("shards")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            sets => sets.map_err(failed)?,
        };
        let name = |set: io::Result<fs::DirEntry>| set.map(|set| set.file_name());
        sets.map(|set| Ok(name(set).map_err(failed)?.to_string_lossy().into_owned()))
            .collect()
    }

    /// Removes a set of databases that nobody has open.
    ///
    /// # Errors
    ///
    /// Those of removing files.
    pub fn remove_shards(&self, set: &str) -> Result<()> {
        match fs::remove_dir_all(self.set(set)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::io("can't remove the directory of shards", error))
            }
            _ => Ok(()),
        }
    }

    fn set(&self, set: &str) -> PathBuf {
        self.path().join("shards").join(set)
    }
}
