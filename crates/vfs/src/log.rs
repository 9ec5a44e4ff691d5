//! The file of the log, as SQLite calls it: what a transaction writes there goes out at once.
//!
//! SQLite writes a frame by two calls, its header and then its page, and the next frame behind it. They are gathered here, and go out
//! by one write
//!
//! - with the page whose header says that it commits, before SQLite tells anybody of the transaction: so a write that fails is a commit
//!   that fails;
//! - before any other call of the file, so that all is done in SQLite's order;
//! - when they are many.
//!
//! What goes elsewhere than behind what the same transaction wrote last isn't gathered: a page that is written for the second time,
//! and the checksums that then change. What a transaction leaves that was rolled back is dropped before anybody else can write.
//!
//! Where each transaction is synced, the file is lengthened by zeros ahead of what is written: to sync a file that has grown is to
//! sync what the file system knows of it, too, which takes twice as long. A log ends with the first frame that isn't its own, so
//! zeros say nothing.

use std::ffi::{c_int, c_void};
use std::mem::take;
use std::ops::Range;
use std::slice;

use rusqlite::ffi::{
    SQLITE_IOERR_FSYNC, SQLITE_IOERR_WRITE, SQLITE_OK, sqlite3_file, sqlite3_int64,
    sqlite3_io_methods,
};

use crate::file::{self, Real};

/// The frames that one transaction has written and that aren't in the file yet.
pub(crate) struct Log {
    file: Real,
    gathered: Vec<u8>,
    /// Where they begin.
    start: i64,
    /// Where the next one goes, from the first one on.
    next: Option<i64>,
    /// After a header, until its page comes: does it commit?
    header: Option<bool>,
    /// Whether this transaction has been synced,
    synced: bool,
    /// and the one before it was.
    syncs: bool,
    /// So long is the file, as far as is known.
    length: i64,
}

/// SQLite's format of the log: `sqlite.org/fileformat2.html`, 4.1.
const HEADER: usize = 24;
/// How large the database is then, or 0 if the frame commits nothing.
const PAGES: Range<usize> = 4..8;

/// So many bytes are not kept back any longer.
const MANY: usize = 64 << 10;

/// The file is lengthened by as much as is written of it, but by no more than this,
const ROOM: i64 = 256 << 10;

/// and by so much at once.
static ZEROS: [u8; 32 << 10] = [0; 32 << 10];

impl Log {
    pub(crate) fn of(file: Real) -> Self {
        Log {
            file,
            gathered: Vec::new(),
            start: 0,
            next: None,
            header: None,
            synced: false,
            syncs: false,
            length: 0,
        }
    }

    /// Nobody writes any more by this connection, until it begins the next transaction. One that has committed has left nothing.
    pub(crate) fn end_transaction(&mut self) {
        if self.next.take().is_some() {
            self.syncs = take(&mut self.synced);
        }
        self.gathered.clear();
        self.header = None;
    }

    /// Puts what is gathered where it belongs; what SQLite answers.
    pub(crate) fn put_out(&mut self) -> c_int {
        self.header = None;
        if self.gathered.is_empty() {
            return SQLITE_OK;
        }
        let answer = self.file.write(&self.gathered, self.start);
        self.gathered.clear();
        answer
    }

    fn write(&mut self, bytes: &[u8], to: i64) -> c_int {
        if to == 0 {
            self.length = 0; // it is begun anew, and may have been cut
        }
        let follows = self.next.is_none_or(|next| next == to);
        self.next = Some(to + bytes.len() as i64);
        match take(&mut self.header) {
            Some(commits) if follows => {
                self.gathered.extend_from_slice(bytes);
                match commits {
                    true => self.commit(),
                    false if self.gathered.len() >= MANY => self.put_out(),
                    false => SQLITE_OK,
                }
            }
            None if follows && bytes.len() == HEADER => {
                if self.gathered.is_empty() {
                    self.start = to;
                }
                self.gathered.extend_from_slice(bytes);
                self.header = Some(bytes[PAGES] != [0; 4]);
                SQLITE_OK
            }
            _ => match self.put_out() {
                SQLITE_OK => self.file.write(bytes, to),
                failed => failed,
            },
        }
    }

    fn commit(&mut self) -> c_int {
        self.synced = false; // what was synced before is the log's head
        let answer = self.put_out();
        if answer == SQLITE_OK && self.syncs {
            self.lengthen();
        }
        answer
    }

    /// Whoever writes does so alone. What fails is as if it hadn't been tried.
    fn lengthen(&mut self) {
        let Some(next) = self.next.filter(|&next| next >= self.length) else {
            return;
        };
        // Others write to it, too.
        self.length = self.file.size().max(next);
        if self.length > next {
            return;
        }
        let room = next + next.min(ROOM);
        while self.length < room && self.file.write(&ZEROS, self.length) == SQLITE_OK {
            self.length += ZEROS.len() as i64;
        }
    }
}

unsafe extern "C" fn close(file: *mut sqlite3_file) -> c_int {
    // SAFETY: SQLite calls it once, for a log of ours.
    unsafe {
        *file::log(file) = None;
        file::close_behind(file)
    }
}

unsafe extern "C" fn write(
    file: *mut sqlite3_file,
    bytes: *const c_void,
    size: c_int,
    to: sqlite3_int64,
) -> c_int {
    // SAFETY: SQLite calls it for an open log of ours, with as many bytes as it says.
    unsafe {
        let bytes = slice::from_raw_parts(bytes.cast(), size as usize);
        match file::log(file) {
            Some(log) => log.write(bytes, to),
            None => SQLITE_IOERR_WRITE,
        }
    }
}

/// Calls of SQLite that go on once all is written that came before.
macro_rules! after_writing {
    ($($name:ident($($arg:ident: $type:ty),*);)*) => {
        $(
            unsafe extern "C" fn $name(file: *mut sqlite3_file $(, $arg: $type)*) -> c_int {
                // SAFETY: SQLite calls it for an open log of ours, and what it gives is handed on.
                unsafe {
                    match file::log(file).as_mut().map_or(SQLITE_OK, Log::put_out) {
                        SQLITE_OK => file::$name(file $(, $arg)*),
                        failed => failed,
                    }
                }
            }
        )*
    };
}

after_writing! {
    read(into: *mut c_void, size: c_int, from: sqlite3_int64);
    truncate(size: sqlite3_int64);
    file_size(size: *mut sqlite3_int64);
}

unsafe extern "C" fn sync(file: *mut sqlite3_file, flags: c_int) -> c_int {
    // SAFETY: SQLite calls it for an open log of ours.
    unsafe {
        let Some(log) = file::log(file) else {
            return SQLITE_IOERR_FSYNC;
        };
        match log.put_out() {
            SQLITE_OK => log.synced = log.next.is_some(),
            failed => return failed,
        }
        file::sync(file, flags)
    }
}

/// Those of version 1: SQLite shares and maps the database's file only.
pub(crate) static METHODS: sqlite3_io_methods = sqlite3_io_methods {
    iVersion: 1,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xShmMap: None,
    xShmLock: None,
    xShmBarrier: None,
    xShmUnmap: None,
    xFetch: None,
    xUnfetch: None,
    ..file::METHODS
};
