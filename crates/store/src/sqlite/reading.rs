//! A store that is open for reading only.
//!
//! It must show no state that isn't the store's, and touch no file. SQLite reads beside its log if that is there, with all that
//! was committed: the log of those who have the store open, or of those who were killed. It can't without making files where
//! there is no log, since all who had the store open have closed it. Then the database alone is the store, and is read as one
//! that nobody changes, for as long as that is so:
//!
//! 1. this process has the lock on the database that every reader of SQLite has: nobody who has it open removes the log's files
//!    while it is held;
//! 2. whoever opens it to write makes these files before he changes the database;
//! 3. so as long as they aren't there *after* something was read, nobody has changed the database before.
//!
//! Once they are there, all that was read since the last look is read again, beside the log, and so is all that follows.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use diskette_ipc::clock::{self, Deadline};
use diskette_ipc::{Eras, SharedRange, plain_file};
use rusqlite::{Connection, ffi};

use crate::error::{Error, ErrorKind, Result, removed, timed_out};
use crate::sqlite::Sqlite;
use crate::sqlite::catalog;
use crate::sqlite::connection::{self, Log};
use crate::sqlite::directory::Directory;

/// Where readers of a database have their lock, by the format of SQLite's files ("the lock-byte page").
const READERS: std::ops::Range<u64> = 0x4000_0002..0x4000_0002 + 510;

/// How often is looked whether a writer has done what only he can.
const PAUSE: Duration = Duration::from_millis(1);

/// What a store has that may only be read.
pub(crate) struct Reading {
    directory: Directory,
    lock: SharedRange,
    /// Whether the log is there; from then on it stays.
    beside_log: AtomicBool,
    /// Once there is such a file.
    eras: OnceLock<Eras>,
}

impl Reading {
    pub(crate) fn open(directory: &Directory, timeout: Duration) -> Result<Self> {
        if cfg!(not(target_os = "linux")) {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "Options::read_only needs locks that belong to open files, which only Linux has",
            ));
        }
        let failed = |error| Error::reading("can't read the database", error);
        let database = directory.database();
        if fs::metadata(&database).map_err(failed)?.len() == 0 {
            return Err(catalog::empty());
        }
        let lock = SharedRange::lock(&database, READERS, Deadline::after(timeout));
        let Some(lock) = lock.map_err(failed)? else {
            return Err(timed_out(
                "another program to release the database",
                timeout,
            ));
        };
        Ok(Reading {
            directory: directory.clone(),
            beside_log: AtomicBool::new(log(directory)? == Log::Beside),
            lock,
            eras: OnceLock::new(),
        })
    }

    pub(crate) fn connect(&self) -> Result<Connection> {
        let log = match self.is_beside_log() {
            true => Log::Beside,
            false => Log::None,
        };
        let opened = connection::open_to_read(&self.directory.database(), log);
        opened.map_err(|error| match plain_file::read(&self.directory.wal()) {
            Err(denied) if denied.kind() == io::ErrorKind::PermissionDenied => {
                Error::reading("can't read the database's log", denied)
            }
            _ => error,
        })
    }

    pub(crate) fn is_beside_log(&self) -> bool {
        self.beside_log.load(Ordering::Acquire)
    }

    /// To be called by [`Readers`](crate::sqlite::readers::Readers) alone, who have connections of before.
    pub(crate) fn set_beside_log(&self) {
        self.beside_log.store(true, Ordering::Release);
    }

    /// Whether somebody has opened the store to write, for the first time since this one was opened.
    pub(crate) fn log_has_come(&self) -> Result<bool> {
        Ok(!self.is_beside_log() && log(&self.directory)? == Log::Beside)
    }

    /// Whether the database is still there.
    pub(crate) fn is_there(&self) -> bool {
        matches!(self.lock.is_at(&self.directory.database()), Ok(true))
    }

    /// What keeps value files from going; `None`: nobody has ever opened this store to write, so that none goes.
    pub(crate) fn eras(&self) -> io::Result<Option<&Eras>> {
        if let Some(eras) = self.eras.get() {
            return Ok(Some(eras));
        }
        match Eras::open_to_read(&self.directory.lock("eras")) {
            Ok(eras) => Ok(Some(self.eras.get_or_init(|| eras))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Sqlite {
    /// Refuses if the store is open for reading only.
    pub(crate) fn must_be_writable(&self) -> Result<()> {
        match self.is_read_only() {
            true => Err(refused()),
            false => Ok(()),
        }
    }

    /// Calls `attempt` until it reads the truth. `None` from it: a writer came meanwhile. For a store that is open for reading
    /// only: else the first answer is it.
    pub(crate) fn read_truth<R>(
        &self,
        mut attempt: impl FnMut() -> Result<Option<R>>,
    ) -> Result<R> {
        let mut deadline = None;
        loop {
            let beside_log = self.reading().is_some_and(Reading::is_beside_log);
            let error = match attempt() {
                Ok(Some(answer)) => return Ok(answer),
                Ok(None) => overtaken(),
                Err(error) => error,
            };
            let Some(reading) = self.reading() else {
                return Err(error);
            };
            if !reading.is_there() {
                return Err(removed());
            }
            self.look_for_log()?;
            let log_has_come = reading.is_beside_log() != beside_log;
            let deadline = *deadline.get_or_insert_with(|| Deadline::after(self.timeout()));
            if !log_has_come && (!needs_writer(&error) || deadline.is_past()) {
                return Err(error);
            }
            if !log_has_come {
                clock::sleep(PAUSE);
            }
        }
    }

    /// Reads beside the log from now on, if it has come.
    pub(crate) fn look_for_log(&self) -> Result<()> {
        if let Some(reading) = self.reading()
            && reading.log_has_come()?
        {
            self.readers().go_beside_log(reading);
        }
        Ok(())
    }
}

pub(crate) fn refused() -> Error {
    Error::new(
        ErrorKind::ReadOnly,
        "the store is open for reading only; open it without Options::read_only, as a user who may write to it",
    )
}

/// What was read may be of two states.
pub(crate) fn overtaken() -> Error {
    Error::new(
        ErrorKind::Io,
        "somebody opened the store to write for the first time since it was opened for reading only here; what was read so far \
         may not belong together: begin anew",
    )
}

/// Is the log of the database in a state out of which only a writer can bring it? One may be about to.
fn needs_writer(error: &Error) -> bool {
    use std::error::Error as _;
    let source = error.source().and_then(|it| it.downcast_ref());
    source.is_some_and(log_needs_writer)
}

pub(crate) fn log_needs_writer(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error().map(|error| error.extended_code);
    matches!(
        code,
        Some(ffi::SQLITE_READONLY_RECOVERY | ffi::SQLITE_READONLY_CANTINIT)
    )
}

/// Whether the log must be read; no file of it goes while the readers' lock is held. Refuses what can't be read as it is.
fn log(directory: &Directory) -> Result<Log> {
    // In the order in which they come, so that one of them alone was left so.
    let log = length(&directory.wal())?;
    let index = length(&directory.wal_index())?;
    match (log, index) {
        (None | Some(0), None) => Ok(Log::None),
        (Some(_), Some(_)) => Ok(Log::Beside),
        (None, Some(_)) if length(&directory.wal())?.is_some() => Ok(Log::Beside),
        (_, index) => {
            let (there, missing) = match index {
                None => ("store.db-wal", "store.db-shm"),
                Some(_) => ("store.db-shm", "store.db-wal"),
            };
            Err(Error::new(
                ErrorKind::ReadOnly,
                format!(
                    "a power cut, or whoever copied the store, left {there} without {missing}, so that what was committed last \
                     can't be told by who may only read: let a user who may write open the store once (or a copy of it)"
                ),
            ))
        }
    }
}

fn length(path: &Path) -> Result<Option<u64>> {
    match fs::symlink_metadata(path) {
        Ok(found) => Ok(Some(found.size())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::reading("can't look at the database's log", error)),
    }
}
