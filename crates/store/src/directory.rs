//! The directory of a store: what is in it, and what is refused.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use diskette_ipc::filesystem;

use crate::error::{Error, ErrorKind, Result};

/// The entries of a store's directory.
#[derive(Clone, Debug)]
pub(crate) struct Directory(PathBuf);

/// A directory whatever its name becomes: its device and inode.
pub(crate) type Identity = (u64, u64);

impl Directory {
    /// Finds or creates the directory, whoever else is creating it now.
    pub(crate) fn prepare(path: &Path, allow_network: bool) -> Result<Self> {
        let failed = |source| Error::io(format!("can't open the store {}", path.display()), source);
        match fs::metadata(path) {
            Ok(found) if !found.is_dir() => {
                return Err(Error::new(
                    ErrorKind::NotAStore,
                    format!(
                        "{} is a file; a store is a directory: name another path",
                        path.display()
                    ),
                ));
            }
            Ok(_) => refuse_others(path)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                private_directories(path).map_err(failed)?;
            }
            Err(error) => return Err(failed(error)),
        }
        let directory = Directory(path.canonicalize().map_err(failed)?);
        let on = filesystem::kind(&directory.0).map_err(failed)?;
        if on.network && !allow_network {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!(
                    "{} is on a network file system ({}), where locks can't be relied on; use a local disk, \
                     or Options::allow_network_file_system if only one machine uses it",
                    path.display(),
                    on.name
                ),
            ));
        }
        for part in ["locks", "owners", "values"] {
            private_directories(&directory.0.join(part)).map_err(failed)?;
        }
        Ok(directory)
    }

    /// Makes sure that the database file exists, readable by its owner only. Called only while no
    /// connection of this process is open: closing the file would drop SQLite's locks on it.
    pub(crate) fn create_database(&self) -> Result<()> {
        match OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(self.database())
        {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(Error::io(
                format!("can't create a store in {}", self.0.display()),
                error,
            )),
            _ => Ok(()),
        }
    }

    pub(crate) fn identity(&self) -> Result<Identity> {
        let found = fs::metadata(&self.0).map_err(|error| {
            Error::io(format!("can't open the store {}", self.0.display()), error)
        })?;
        Ok((found.dev(), found.ino()))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.0.join("store.db")
    }

    pub(crate) fn wal(&self) -> PathBuf {
        self.0.join("store.db-wal")
    }

    pub(crate) fn values(&self) -> PathBuf {
        self.0.join("values")
    }

    pub(crate) fn owners(&self) -> PathBuf {
        self.0.join("owners")
    }

    pub(crate) fn bell(&self) -> PathBuf {
        self.0.join("bell")
    }

    pub(crate) fn board(&self) -> PathBuf {
        self.0.join("board")
    }

    pub(crate) fn lock(&self, name: &str) -> PathBuf {
        self.0.join("locks").join(name)
    }
}

fn private_directories(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// A directory that holds anything but a store is somebody else's.
fn refuse_others(path: &Path) -> Result<()> {
    const OURS: [&str; 10] = [
        "store.db",
        "store.db-wal",
        "store.db-shm",
        "store.db-journal",
        "locks",
        "owners",
        "values",
        "bell",
        "board",
        "board.new",
    ];
    let failed = |source| Error::io(format!("can't open the store {}", path.display()), source);
    if path.join("store.db").exists() {
        return Ok(());
    }
    for entry in fs::read_dir(path).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        if !OURS.iter().any(|ours| name == *ours) {
            return Err(Error::new(
                ErrorKind::NotAStore,
                format!(
                    "{} is a directory of something else (it holds {name:?}); name an empty or a new one",
                    path.display()
                ),
            ));
        }
    }
    Ok(())
}
