//! The VFS itself: SQLite's `unix`, with another way to open the file of a database.

use std::cell::RefCell;
use std::ffi::{CStr, c_int};
use std::io;
use std::path::Path;
use std::ptr;
use std::sync::{Arc, OnceLock};

use diskette_ipc::Roster;
use rusqlite::Connection;
use rusqlite::ffi::{
    SQLITE_CANTOPEN, SQLITE_OK, SQLITE_OPEN_MAIN_DB, SQLITE_OPEN_WAL, sqlite3_database_file_object,
    sqlite3_file, sqlite3_filename, sqlite3_vfs, sqlite3_vfs_find, sqlite3_vfs_register,
};

use crate::file;

/// The locks of one database's log, in a file that all processes have in their memory.
///
/// # Process safety
///
/// All connections that write to the database, of whichever process, are opened by [`connect`](Self::connect) with the locks in
/// one file. Whoever opens it otherwise may read, and is told `SQLITE_BUSY` when he writes while any of them is there. They are told
/// the same while he writes.
///
/// A fork must find none of these connections open, as of any in SQLite. This value itself serves the child as well.
///
/// # Crashes
///
/// Who dies holds nothing from that moment on.
///
/// # Example
///
/// ```
/// use diskette_vfs::LogLocks;
/// use rusqlite::{Connection, OpenFlags};
///
/// # let dir = tempfile::tempdir()?;
/// let database = dir.path().join("database");
/// let locks = LogLocks::open(&dir.path().join("locks"))?;
/// let connection = locks.connect(|vfs| match vfs {
///     Some(vfs) => Connection::open_with_flags_and_vfs(&database, OpenFlags::default(), vfs),
///     None => Connection::open_with_flags(&database, OpenFlags::default()),
/// })?;
/// connection.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE answers (answer); INSERT INTO answers VALUES (42)")?;
///
/// let stranger = Connection::open(&database)?;
/// let answer: i64 = stranger.query_row("SELECT answer FROM answers", [], |row| row.get(0))?;
/// assert_eq!(answer, 42);
/// stranger.busy_timeout(std::time::Duration::ZERO)?;
/// # #[cfg(target_os = "linux")]
/// assert!(stranger.execute("DELETE FROM answers", []).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct LogLocks(Arc<Roster>);

impl LogLocks {
    /// Opens the file of the locks at `path`, making it if it isn't there. The caller keeps others from doing so meanwhile.
    ///
    /// # Errors
    ///
    /// Those of [`Roster::open`].
    pub fn open(path: &Path) -> io::Result<Self> {
        Roster::open(path).map(Self)
    }

    /// Another number whenever somebody has [told](Self::tell), at the cost of a look into shared memory; `None` where there is none.
    #[must_use]
    pub fn told(&self) -> Option<u64> {
        Some(self.0.told())
    }

    /// Tells all who have the locks open to look whether something has changed that they go by.
    pub fn tell(&self) {
        self.0.tell();
    }

    /// Calls `open` with the name of the VFS by which it is to open a connection; `None`, the default one, if SQLite has no `unix` VFS.
    pub fn connect<R>(&self, open: impl FnOnce(Option<&CStr>) -> R) -> R {
        if registered().is_none() {
            return open(None);
        }
        let before = ROSTER.replace(Some(Arc::clone(&self.0)));
        let result = open(Some(NAME));
        ROSTER.set(before);
        result
    }

    /// To be called before each transaction that writes, by a connection of these locks that has read before:
    /// [`diskette_wal_index::mend`], where this VFS doesn't do it by itself.
    pub fn mend(&self, connection: &Connection) {
        if registered().is_none() {
            diskette_wal_index::mend(connection);
        }
    }
}

/// Two versions of this crate in one program have a VFS each.
const NAME: &CStr = {
    let name = concat!("diskette-", env!("CARGO_PKG_VERSION"), "\0");
    match CStr::from_bytes_with_nul(name.as_bytes()) {
        Ok(name) => name,
        Err(_) => panic!("ends with the only NUL"),
    }
};

thread_local! {
    /// That of the database which this thread is opening.
    static ROSTER: RefCell<Option<Arc<Roster>>> = const { RefCell::new(None) };
}

/// SQLite's own VFS, once ours is there beside it.
fn registered() -> Option<*mut sqlite3_vfs> {
    static UNIX: OnceLock<Option<usize>> = OnceLock::new();
    let unix = UNIX.get_or_init(|| {
        // SAFETY: SQLite may be called from any thread.
        let unix = unsafe { sqlite3_vfs_find(c"unix".as_ptr()) };
        if unix.is_null() {
            return None;
        }
        // SAFETY: a VFS that is registered stays. All its functions look at what is copied with them.
        let mut ours = Box::new(unsafe { ptr::read(unix) });
        ours.szOsFile += file::HEAD as c_int;
        ours.pNext = ptr::null_mut();
        ours.zName = NAME.as_ptr();
        ours.xOpen = Some(open_file);
        // SAFETY: it is never freed.
        let registered = unsafe { sqlite3_vfs_register(Box::into_raw(ours), 0) };
        (registered == SQLITE_OK).then_some(unix.addr())
    });
    unix.map(ptr::with_exposed_provenance_mut)
}

unsafe extern "C" fn open_file(
    _vfs: *mut sqlite3_vfs,
    name: sqlite3_filename,
    opened: *mut sqlite3_file,
    flags: c_int,
    flags_out: *mut c_int,
) -> c_int {
    let Some(unix) = registered() else {
        return SQLITE_CANTOPEN;
    };
    // SAFETY: SQLite gives room for a file of ours, which is room for one of the `unix` VFS behind the head.
    unsafe {
        let Some(open) = (*unix).xOpen else {
            return SQLITE_CANTOPEN;
        };
        if flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL) == 0 {
            return open(unix, name, opened, flags, flags_out);
        }
        (*opened).pMethods = ptr::null();
        let real = file::behind(opened);
        (*real).pMethods = ptr::null();
        let answer = open(unix, name, real, flags, flags_out);
        if answer == SQLITE_OK && make(name, opened, flags) {
            return SQLITE_OK;
        }
        // SQLite closes what has methods, even if it could not be opened.
        let methods = (*real).pMethods.as_ref();
        if let Some(close) = methods.and_then(|methods| methods.xClose) {
            close(real);
        }
        match answer {
            SQLITE_OK => SQLITE_CANTOPEN,
            answer => answer,
        }
    }
}

/// Makes a file ours, the one behind which is open; is it one that can be?
///
/// # Safety
///
/// As of [`file::make`]; `name` is what SQLite has it opened by.
unsafe fn make(name: sqlite3_filename, opened: *mut sqlite3_file, flags: c_int) -> bool {
    // SAFETY: as the caller says; SQLite knows the database of a log, which is closed after it.
    unsafe {
        let methods = &*(*file::behind(opened)).pMethods;
        if flags & SQLITE_OPEN_WAL != 0 {
            let database = sqlite3_database_file_object(name);
            return file::writes(methods) && file::make_log(opened, database);
        }
        let roster = ROSTER.with_borrow(Option::clone);
        let roster = roster.filter(|_| file::writes(methods) && file::shares(methods));
        roster.map(|roster| file::make(opened, roster)).is_some()
    }
}
