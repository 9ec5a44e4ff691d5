use std::ffi::{c_int, c_void};
use std::fmt;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU64, Ordering, fence};

use rusqlite::{Connection, Error, Result, ffi};

use crate::header::{Header, WORDS};

/// The WAL-index of a database, as a connection has it mapped.
///
/// SQLite takes the mapping away with the last connection of the process to this database; so it keeps one of its own.
pub struct WalIndex {
    /// Two copies of the header.
    copies: NonNull<[[AtomicU64; WORDS]; 2]>,
    connection: Connection,
}

// SAFETY: `copies` is memory that processes share, and is read by atomic loads only; `connection` can't be reached by a reference.
unsafe impl Send for WalIndex {}
// SAFETY: as above.
unsafe impl Sync for WalIndex {}

/// Of how many bytes SQLite maps a part of the file.
const PART: c_int = 32 * 1024;

impl WalIndex {
    /// That of the connection's main database, which has a write-ahead log; the connection is closed with it.
    ///
    /// # Errors
    ///
    /// Those of reading the database; where there is no WAL-index that is shared: no log, a VFS without shared memory.
    pub fn of(connection: Connection) -> Result<Self> {
        // From the first read on SQLite has the index open, with a lock on the file that only closing ends.
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
        let mode: String = connection.query_row("PRAGMA journal_mode", [], |row| row.get(0))?;
        let locking: String = connection.query_row("PRAGMA locking_mode", [], |row| row.get(0))?;
        if mode != "wal" || locking != "normal" {
            return Err(refused("the database has no log that is shared"));
        }
        let copies = first_part(&connection)?;
        Ok(WalIndex {
            copies: copies.cast(),
            connection,
        })
    }

    /// The header; `None` while another is being written, if who wrote it was killed amid that, and before the first commit to a log.
    #[must_use]
    pub fn header(&self) -> Option<Header> {
        let [first, second] = self.copies();
        let header = Header(read(first));
        // In the order opposite to that in which they are written.
        fence(Ordering::Acquire);
        let whole = read(second) == header.0 && header.is_sound();
        fence(Ordering::Acquire);
        whole.then_some(header)
    }

    /// Whether it is still this header. If so, nothing that was committed before this call was committed after the header.
    #[must_use]
    pub fn is(&self, header: &Header) -> bool {
        let [first, second] = self.copies();
        let same = |copy: &[AtomicU64; WORDS]| {
            let mut words = copy.iter().zip(header.0);
            words.all(|(word, known)| word.load(Ordering::Relaxed) == known)
        };
        let is_first = same(first);
        fence(Ordering::Acquire);
        let is_it = is_first && same(second);
        fence(Ordering::Acquire);
        is_it
    }

    /// The connection, from now on without the index.
    #[must_use]
    pub fn into_connection(self) -> Connection {
        self.connection
    }

    fn copies(&self) -> &[[AtomicU64; WORDS]; 2] {
        // SAFETY: the mapping, at whose beginning they are, stays as long as `connection` is open, and what is borrowed borrows
        // that. Nobody shortens the file while a connection is open. Others change it word by word.
        unsafe { self.copies.as_ref() }
    }
}

fn read(copy: &[AtomicU64; WORDS]) -> [u64; WORDS] {
    copy.each_ref().map(|word| word.load(Ordering::Relaxed))
}

/// Where the first part of the index is mapped, which SQLite has mapped already: nothing is made.
pub(crate) fn first_part(connection: &Connection) -> Result<NonNull<c_void>> {
    let missing = || refused("SQLite's VFS has no shared memory");
    let mut file = ptr::null_mut::<ffi::sqlite3_file>();
    // SAFETY: the connection is open and nobody else uses it meanwhile. SQLite writes a pointer to its main database's file, which
    // stays where it is until the connection is closed.
    let code = unsafe {
        ffi::sqlite3_file_control(
            connection.handle(),
            c"main".as_ptr(),
            ffi::SQLITE_FCNTL_FILE_POINTER,
            (&raw mut file).cast(),
        )
    };
    succeeded(code)?;
    // SAFETY: a file of SQLite's that is open, or null; its methods are those of its VFS, and stay as they are.
    let methods = unsafe { file.as_ref().and_then(|file| file.pMethods.as_ref()) };
    let methods = methods.filter(|methods| methods.iVersion >= 2);
    let map = methods.and_then(|methods| methods.xShmMap);
    let map = map.ok_or_else(missing)?;
    let mut start = ptr::null_mut::<c_void>();
    // SAFETY: this is how SQLite itself calls it, from the same thread, and with the same size.
    let code = unsafe { map(file, 0, PART, 0, (&raw mut start).cast()) };
    succeeded(code)?;
    NonNull::new(start).ok_or_else(missing)
}

fn succeeded(code: c_int) -> Result<()> {
    match code {
        ffi::SQLITE_OK => Ok(()),
        code => Err(Error::SqliteFailure(ffi::Error::new(code), None)),
    }
}

fn refused(why: &str) -> Error {
    let code = ffi::Error::new(ffi::SQLITE_CANTOPEN);
    Error::SqliteFailure(code, Some(why.to_owned()))
}

impl fmt::Debug for WalIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WalIndex").field(&self.header()).finish()
    }
}
