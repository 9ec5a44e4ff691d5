use std::error::Error as StdError;
use std::fmt;

use crate::sqlite::reading::log_needs_writer;

/// What diskette's calls return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an operation failed: a [kind](ErrorKind), a message that names the thing and the way out, and
/// the [source](StdError::source) where something below was the cause.
///
/// Outcomes that a program expects (an empty deque, a key that is not there) are values, never errors.
///
/// # Example
///
/// ```
/// use diskette::Store;
///
/// # let dir = tempfile::tempdir()?;
/// # std::env::set_current_dir(&dir)?;
/// std::fs::write("notes.txt", "")?;
/// let error = Store::open("notes.txt").unwrap_err();
/// assert!(error.is_not_a_store());
/// assert!(error.to_string().contains("is a file"));
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: String,
    place: Option<String>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// The kinds of [`Error`]; new ones may be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The time allowed for the call is up.
    Timeout,
    /// The wait was ended by a [`Stop`](crate::Stop).
    Stopped,
    /// A bounded structure that refuses when full is full.
    Full,
    /// Stored bytes are damaged: the database, or a value file.
    Corrupt,
    /// A value or key could not be written as, or read from, bytes.
    Codec,
    /// The name belongs to another kind of structure, or to one with another codec.
    WrongKind,
    /// The path is not a store, and can't become one.
    NotAStore,
    /// The store, or a structure, was written by a newer version of diskette.
    NewerFormat,
    /// The directory of the store is gone or was replaced while the store was open.
    Removed,
    /// The store was moved to a database while it was open, by `Store::promote`.
    Moved,
    /// There is no room left on the device.
    DiskFull,
    /// The file system or the directory doesn't allow writing, or the store or the snapshot is for reading only.
    ReadOnly,
    /// Waiting would never end: each of several threads waits for what another holds.
    Deadlock,
    /// A guard is no longer the newest: its lock was taken from it, or has gone to another since.
    Overtaken,
    /// The call can't be made here: a blocking call or a second transaction within a transaction,
    /// a store carried over `fork` in the middle of one, a claim of another process.
    Misuse,
    /// An argument is out of its range: a name, a size, an index.
    InvalidInput,
    /// The place can't hold a store: a network file system, an SQLite that is too old.
    Unsupported,
    /// Any other failure of the operating system or of SQLite.
    Io,
}

impl Error {
    /// The kind of failure.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Was the time allowed for the call up? Nothing was changed.
    pub fn is_timeout(&self) -> bool {
        self.kind() == ErrorKind::Timeout
    }

    /// Was the wait ended by a [`Stop`](crate::Stop)? Nothing was changed.
    pub fn is_stopped(&self) -> bool {
        self.kind() == ErrorKind::Stopped
    }

    /// Did a bounded structure refuse, being full?
    pub fn is_full(&self) -> bool {
        self.kind() == ErrorKind::Full
    }

    /// Are stored bytes damaged?
    pub fn is_corrupt(&self) -> bool {
        self.kind() == ErrorKind::Corrupt
    }

    /// Could a value not be encoded, or stored bytes not be decoded as the type asked for?
    pub fn is_codec(&self) -> bool {
        self.kind() == ErrorKind::Codec
    }

    /// Does the name belong to another kind of structure, or to one with another codec?
    pub fn is_wrong_kind(&self) -> bool {
        self.kind() == ErrorKind::WrongKind
    }

    /// Is the path something else than a store?
    pub fn is_not_a_store(&self) -> bool {
        self.kind() == ErrorKind::NotAStore
    }

    /// Was the store written by a newer version of diskette?
    pub fn is_newer_format(&self) -> bool {
        self.kind() == ErrorKind::NewerFormat
    }

    /// Was the directory of the store removed or replaced while the store was open?
    pub fn is_removed(&self) -> bool {
        self.kind() == ErrorKind::Removed
    }

    /// Was the store moved to a database, and did that end what was held or begun before, such as a guard or a claim? The message says
    /// where to. Nothing was changed; take it anew, by the same handle, which has followed the store. In a program without the
    /// feature `postgres`, which can't follow, it is the error of every call.
    pub fn is_moved(&self) -> bool {
        self.kind() == ErrorKind::Moved
    }

    /// Is the disk full?
    pub fn is_disk_full(&self) -> bool {
        self.kind() == ErrorKind::DiskFull
    }

    /// Is writing not allowed here?
    pub fn is_read_only(&self) -> bool {
        self.kind() == ErrorKind::ReadOnly
    }

    /// Would the wait never have ended? The message says who holds what and who waits for what.
    pub fn is_deadlock(&self) -> bool {
        self.kind() == ErrorKind::Deadlock
    }

    /// Was the guard overtaken by a newer one, or its lock taken from it? Nothing was changed.
    pub fn is_overtaken(&self) -> bool {
        self.kind() == ErrorKind::Overtaken
    }

    /// Can the call not be made here?
    pub fn is_misuse(&self) -> bool {
        self.kind() == ErrorKind::Misuse
    }

    /// Is an argument out of its range?
    pub fn is_invalid_input(&self) -> bool {
        self.kind() == ErrorKind::InvalidInput
    }

    /// Can the place not hold a store?
    pub fn is_unsupported(&self) -> bool {
        self.kind() == ErrorKind::Unsupported
    }
}

/// For the structures, and codecs, which make their own errors.
impl Error {
    /// An error of `kind` that says `message`.
    #[doc(hidden)]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Error(Box::new(Inner {
            kind,
            message: message.into(),
            place: None,
            source: None,
        }))
    }

    /// The same error with what caused it.
    #[doc(hidden)]
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The same error with where it happened, unless that is known already.
    #[doc(hidden)]
    #[must_use]
    pub fn at(mut self, place: impl FnOnce() -> String) -> Self {
        self.0.place.get_or_insert_with(place);
        self
    }

    /// A failed call to the operating system while `doing` something for which one need only read.
    pub(crate) fn reading(doing: impl fmt::Display, source: std::io::Error) -> Self {
        if source.kind() != std::io::ErrorKind::PermissionDenied {
            return Error::io(doing, source);
        }
        let hint = "this user may not read it: its owner can allow that, by `chmod -R o+rX` (or `g+rX`) of the store";
        Error::new(ErrorKind::Io, format!("{doing}: {source}; {hint}")).caused_by(source)
    }

    /// The same error with another way out.
    #[must_use]
    pub(crate) fn or(mut self, way_out: &str) -> Self {
        self.0.message.push_str(way_out);
        self
    }

    /// For a [`Codec`](crate::Codec) of one's own: bytes that could not be written (`doing` is `"encode"`) or read (`"decode"`)
    /// as a value.
    pub fn codec(
        codec: &'static str,
        doing: &'static str,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        let source = source.into();
        let message = match doing {
            "decode" => format!(
                "the stored bytes are no such value ({codec}): {source}; open the structure with the type it was written with"
            ),
            _ => format!("the value can't be written ({codec}): {source}"),
        };
        Error::new(ErrorKind::Codec, message).caused_by(source)
    }

    /// A key that could not be written or read.
    #[doc(hidden)]
    pub fn key(message: impl Into<String>) -> Self {
        Error::new(ErrorKind::Codec, message)
    }

    /// A failed call to the operating system while `doing` something.
    #[doc(hidden)]
    pub fn io(doing: impl fmt::Display, source: std::io::Error) -> Self {
        use std::io::ErrorKind as Io;
        let (kind, hint) = match source.kind() {
            Io::StorageFull | Io::QuotaExceeded => {
                (ErrorKind::DiskFull, "; make room and try again")
            }
            Io::ReadOnlyFilesystem => (ErrorKind::ReadOnly, "; the file system is read-only"),
            Io::PermissionDenied => (
                ErrorKind::ReadOnly,
                "; this user may not write there: change the permissions or choose another directory",
            ),
            _ => (ErrorKind::Io, ""),
        };
        Error::new(kind, format!("{doing}: {source}{hint}")).caused_by(source)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.0.place {
            write!(f, "{place}: ")?;
        }
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("message", &self.to_string())
            .field("source", &self.0.source)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

/// SQLite's failures, told apart by code and never by message.
pub(crate) fn from_sqlite(error: rusqlite::Error) -> Error {
    use rusqlite::ErrorCode as Code;
    let Some(code) = error.sqlite_error_code() else {
        return Error::new(
            ErrorKind::Corrupt,
            format!("the database holds what diskette did not write: {error}"),
        )
        .caused_by(error);
    };
    let (kind, message) = match code {
        Code::DatabaseBusy | Code::DatabaseLocked => (
            ErrorKind::Timeout,
            "another program held the database for longer than the store's timeout".into(),
        ),
        Code::FileLockingProtocolFailed => (
            ErrorKind::Timeout,
            "another program has been writing to the database for longer than the store's timeout (or the file `locks/log` was \
             replaced while the store was open: then end all who have it open)"
                .into(),
        ),
        Code::DiskFull => (
            ErrorKind::DiskFull,
            "the disk is full; nothing was changed: make room and try again".into(),
        ),
        Code::ReadOnly if log_needs_writer(&error) => (
            ErrorKind::ReadOnly,
            "a process was killed while it began to write, so that the log can't be read by who may only read: let a user \
             who may write open the store once"
                .into(),
        ),
        Code::ReadOnly | Code::PermissionDenied | Code::AuthorizationForStatementDenied => (
            ErrorKind::ReadOnly,
            "the database can't be written to here: check the permissions of the directory".into(),
        ),
        Code::DatabaseCorrupt => (
            ErrorKind::Corrupt,
            "the database is damaged: Store::check says where, a backup or Store::repair is the way out".into(),
        ),
        Code::NotADatabase => (
            ErrorKind::NotAStore,
            "store.db is not a SQLite database".into(),
        ),
        _ => (ErrorKind::Io, format!("SQLite failed: {error}")),
    };
    Error::new(kind, message).caused_by(error)
}

/// A bounded wait that was in vain.
pub(crate) fn timed_out(what: &str, timeout: std::time::Duration) -> Error {
    Error::new(
        ErrorKind::Timeout,
        format!(
            "waited {timeout:?} for {what}; nothing was changed: try again, or allow a longer timeout"
        ),
    )
}

/// A wait that was ended.
pub(crate) fn stopped() -> Error {
    Error::new(
        ErrorKind::Stopped,
        "the wait was stopped; nothing was changed",
    )
}

/// The files that are open here are no longer those of the directory.
pub(crate) fn removed() -> Error {
    Error::new(
        ErrorKind::Removed,
        "the directory of the store was removed or replaced while it was open; open it anew",
    )
}
