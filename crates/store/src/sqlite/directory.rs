//! The directory of a store: what is in it, and what is refused.

use std::fs::{self, DirBuilder, Metadata};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use diskette_ipc::{filesystem, plain_file};

use crate::error::{Error, ErrorKind, Result};
use crate::options::Options;

/// The entries of a store's directory.
#[derive(Clone, Debug)]
pub(crate) struct Directory(PathBuf);

/// A directory whatever its name becomes: its device and inode.
pub(crate) type Identity = (u64, u64);

impl Directory {
    /// A new one, for the copy of a store.
    pub(crate) fn prepare_for_copy(path: &Path) -> Result<Self> {
        if path.join("store.db").exists() {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                "there is a store already: name a new directory",
            ));
        }
        Self::prepare(path, &Options::default().allow_network_file_system(true))
    }

    /// Finds or creates the directory, whoever else is creating it now.
    pub(crate) fn prepare(path: &Path, options: &Options) -> Result<Self> {
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
            Ok(found) => {
                refuse_strangers(path, &found, options)?;
                refuse_others(path)?;
                if !options.create && !path.join("store.db").exists() {
                    return Err(missing(path));
                }
                if options.group && !plain_file::is_shared(&found) {
                    share(path)?;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if !options.create {
                    return Err(missing(path));
                }
                make_private(path).map_err(failed)?;
                if options.group {
                    share(path)?;
                }
            }
            Err(error) => return Err(failed(error)),
        }
        let directory = Directory(path.canonicalize().map_err(failed)?);
        directory.refuse_network(path, options)?;
        for part in ["locks", "owners", "values"] {
            plain_file::create_directory(&directory.0.join(part)).map_err(failed)?;
        }
        Ok(directory)
    }

    /// Finds the directory of a store that is there, for who may only read it.
    pub(crate) fn find(path: &Path, options: &Options) -> Result<Self> {
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => missing(path),
            _ => Error::reading(format!("can't read the store {}", path.display()), source),
        };
        let found = fs::metadata(path).map_err(failed)?;
        refuse_strangers(path, &found, options)?;
        fs::metadata(path.join("store.db")).map_err(failed)?;
        refuse_shard(path)?;
        let directory = Directory(path.canonicalize().map_err(failed)?);
        directory.refuse_network(path, options)?;
        Ok(directory)
    }

    /// The same for a shard of the store that is there.
    pub(crate) fn prepare_shard(path: &Path) -> Result<Self> {
        let failed = |source| Error::io(format!("can't open the shard {}", path.display()), source);
        plain_file::create_directory(path).map_err(failed)?;
        for part in ["locks", "values"] {
            plain_file::create_directory(&path.join(part)).map_err(failed)?;
        }
        Ok(Directory(path.to_owned()))
    }

    /// The same, for who may only read it.
    pub(crate) fn find_shard(path: &Path) -> Result<Self> {
        match fs::metadata(path.join("store.db")) {
            Ok(_) => Ok(Directory(path.to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(missing(path)),
            Err(error) => {
                let doing = format!("can't read the shard {}", path.display());
                Err(Error::reading(doing, error))
            }
        }
    }

    fn refuse_network(&self, path: &Path, options: &Options) -> Result<()> {
        let on = filesystem::kind(&self.0);
        let on = on.map_err(|source| {
            Error::io(format!("can't open the store {}", path.display()), source)
        })?;
        if on.network && !options.network {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!(
                    "{} is on a file system that other machines may write to ({}), where locks can't be relied on; use a \
                     local disk, or Options::allow_network_file_system if only one machine uses it",
                    path.display(),
                    on.name
                ),
            ));
        }
        Ok(())
    }

    /// Makes sure that the database file exists, readable by its owner only, and that a power cut doesn't take the
    /// directory. Called only while no connection of this process is open: closing the file would drop SQLite's locks on
    /// it.
    pub(crate) fn create_database(&self) -> Result<()> {
        let create = || {
            match plain_file::create(&self.database()) {
                // Whoever made it may have been killed before it was synced: then it is empty.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    if fs::metadata(self.database())?.len() > 0 {
                        return Ok(());
                    }
                }
                made => drop(made?),
            }
            plain_file::sync_directory(&self.0)?;
            self.0.parent().map_or(Ok(()), plain_file::sync_directory)
        };
        create().map_err(|error| {
            Error::io(
                format!("can't create a store in {}", self.0.display()),
                error,
            )
        })
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

    pub(crate) fn wal_index(&self) -> PathBuf {
        self.0.join("store.db-shm")
    }

    pub(crate) fn values(&self) -> PathBuf {
        self.0.join("values")
    }

    /// The file of a large value, by its number.
    pub(crate) fn value(&self, id: i64) -> PathBuf {
        self.parent_of_value(id).join(&format!("{id:016x}")[2..])
    }

    pub(crate) fn parent_of_value(&self, id: i64) -> PathBuf {
        self.values().join(&format!("{id:016x}")[..2])
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

    pub(crate) fn reserve(&self) -> PathBuf {
        self.0.join("reserve")
    }

    pub(crate) fn shards(&self) -> PathBuf {
        self.0.join("shards")
    }

    pub(crate) fn lock(&self, name: &str) -> PathBuf {
        self.0.join("locks").join(name)
    }
}

/// The directory and those that lead to it, as far as they are missing; no power cut takes them.
fn make_private(path: &Path) -> io::Result<()> {
    let path = std::path::absolute(path)?;
    let missing: Vec<_> = path.ancestors().take_while(|it| !it.exists()).collect();
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&path)?;
    let mut parents = missing.iter().filter_map(|made| made.parent());
    parents.try_for_each(plain_file::sync_directory)
}

/// Shares an empty directory with its group.
fn share(path: &Path) -> Result<()> {
    if path.join("store.db").exists() {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!(
                "the store in {0} was made for one user only: `chmod -R g+rwX {0}` and `find {0} -type d -exec chmod g+s {{}} +`, \
                 while nobody has it open, share it with its group",
                path.display()
            ),
        ));
    }
    match plain_file::share(path) {
        // Its owner was faster.
        Err(_) if fs::metadata(path).is_ok_and(|found| plain_file::is_shared(&found)) => Ok(()),
        shared => shared.map_err(|error| {
            let doing = format!(
                "can't share {} with its group, as its owner can",
                path.display()
            );
            Error::io(doing, error)
        }),
    }
}

fn missing(path: &Path) -> Error {
    Error::new(
        ErrorKind::NotAStore,
        format!(
            "there is no store in {}: look at the path, or allow Options::create",
            path.display()
        ),
    )
}

/// Whoever can write to a directory can put files in the way of a store.
fn refuse_strangers(path: &Path, found: &Metadata, options: &Options) -> Result<()> {
    const OTHERS_WRITE: u32 = 0o002;
    if found.mode() & OTHERS_WRITE == 0 || options.strangers {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Unsupported,
        format!(
            "every user of this machine may write to {}: `chmod o-w` it, or use Options::allow_strangers_to_write",
            path.display()
        ),
    ))
}

/// A shard has no board of its own, on which its writers could queue.
fn refuse_shard(path: &Path) -> Result<()> {
    let is_shard = !path.join("owners").exists() && !path.join("board").exists();
    let store = path.canonicalize().ok().filter(|_| is_shard);
    match store.as_deref().and_then(|path| path.ancestors().nth(3)) {
        Some(store) if store.join("store.db").exists() => Err(Error::new(
            ErrorKind::NotAStore,
            format!(
                "{} is a part of the store {}: open that",
                path.display(),
                store.display()
            ),
        )),
        _ => Ok(()),
    }
}

/// A directory that holds anything but a store is somebody else's.
fn refuse_others(path: &Path) -> Result<()> {
    const OURS: [&str; 15] = [
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
        "reserve",
        "shards",
        "moving",
        "moving.new",
        "moved",
    ];
    let failed = |source| Error::io(format!("can't open the store {}", path.display()), source);
    if path.join("store.db").exists() {
        return refuse_shard(path);
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
