use std::fs;
use std::io::{self, Write};
use std::path::Path;

use diskette_ipc::plain_file;

use crate::error::{Error, Result};
use crate::sqlite::moved::{HEADER, MOVED, MOVING, Moved};

/// While it is written.
const NEW: &str = "moving.new";

impl Moved {
    /// Where somebody was about to move it.
    pub(crate) fn intended(directory: &Path) -> Result<Option<Self>> {
        Self::read(&directory.join(MOVING))
    }

    /// Step 1.
    pub(crate) fn intend(&self, directory: &Path) -> Result<()> {
        let Moved {
            identity,
            shown,
            address,
        } = self;
        let new = directory.join(NEW);
        let write = || {
            remove(&new)?;
            let mut file = plain_file::create(&new)?;
            write!(file, "{HEADER}\n{identity}\n{shown}\n{address}\n")?;
            file.sync_all()?;
            fs::rename(&new, directory.join(MOVING))?;
            plain_file::sync_directory(directory)
        };
        write().map_err(cant_write)
    }

    /// Nothing came of it.
    pub(crate) fn give_up(directory: &Path) -> Result<()> {
        remove(&directory.join(MOVING)).map_err(cant_write)
    }

    /// Step 5.
    pub(crate) fn decide(directory: &Path) -> Result<()> {
        fs::rename(directory.join(MOVING), directory.join(MOVED))
            .and_then(|()| plain_file::sync_directory(directory))
            .map_err(cant_write)
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn cant_write(error: io::Error) -> Error {
    Error::io("can't write down where the store moves", error)
}
