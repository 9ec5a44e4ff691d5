//! The file of a database, as SQLite calls it: all that isn't about the locks of the WAL-index goes on to the `unix` VFS.

use std::ffi::{c_int, c_void};
use std::mem::size_of;
use std::process;
use std::ptr::{self, NonNull};
use std::sync::Arc;

use diskette_ipc::Roster;
use rusqlite::ffi::{
    SQLITE_IOERR, SQLITE_IOERR_SHMLOCK, SQLITE_IOERR_SHMMAP, SQLITE_IOERR_WRITE, SQLITE_OK,
    SQLITE_SHM_LOCK, SQLITE_SHM_UNLOCK, sqlite3_file, sqlite3_int64, sqlite3_io_methods,
};

use crate::index::Index;
use crate::locks::{Locks, WRITE};
use crate::log::{self, Log};

/// What SQLite has in hand; behind it, in the same memory, is the file of the `unix` VFS.
#[repr(C)]
pub(crate) struct File {
    base: sqlite3_file,
    /// The database file's, also where this is its log, which is closed before it.
    ours: *mut Ours,
}

struct Ours {
    roster: Arc<Roster>,
    /// From the first look at the WAL-index to the last.
    locks: Option<Locks>,
    log: Option<Log>,
}

/// The room that a file takes before that of the `unix` VFS.
pub(crate) const HEAD: usize = size_of::<File>();

/// The file of the `unix` VFS.
#[derive(Clone, Copy)]
pub(crate) struct Real(NonNull<sqlite3_file>);

// SAFETY: it goes where its connection goes, which one thread at a time uses.
unsafe impl Send for Real {}

impl Real {
    /// # Safety
    ///
    /// `file` is open, by a VFS whose methods are of version 3, for as long as this is used.
    pub(crate) unsafe fn new(file: NonNull<sqlite3_file>) -> Self {
        Real(file)
    }

    /// # Safety
    ///
    /// As of [`new`](Self::new), of the file behind an open one of ours.
    pub(crate) unsafe fn behind(file: *mut sqlite3_file) -> Self {
        // SAFETY: it isn't null, as `file` isn't.
        unsafe { Real::new(NonNull::new_unchecked(behind(file))) }
    }

    /// Writes bytes; what SQLite answers.
    pub(crate) fn write(self, bytes: &[u8], to: i64) -> c_int {
        let (Some(write), Ok(size)) = (self.methods().xWrite, c_int::try_from(bytes.len())) else {
            return SQLITE_IOERR_WRITE;
        };
        // SAFETY: an open file, and bytes that are there.
        unsafe { write(self.0.as_ptr(), bytes.as_ptr().cast(), size, to) }
    }

    /// How many bytes it has; 0 if that can't be known.
    pub(crate) fn size(self) -> i64 {
        let mut size = 0;
        let answer = match self.methods().xFileSize {
            // SAFETY: an open file.
            Some(ask) => unsafe { ask(self.0.as_ptr(), &raw mut size) },
            None => SQLITE_IOERR,
        };
        if answer == SQLITE_OK { size } else { 0 }
    }

    /// Locks some of the WAL-index in the kernel; what SQLite answers.
    pub(crate) fn lock(self, first: usize, count: usize, how: c_int) -> c_int {
        self.change(first, count, SQLITE_SHM_LOCK | how)
    }

    pub(crate) fn unlock(self, first: usize, count: usize, how: c_int) {
        // Giving up a lock doesn't fail.
        let _ = self.change(first, count, SQLITE_SHM_UNLOCK | how);
    }

    fn change(self, first: usize, count: usize, flags: c_int) -> c_int {
        let Some(lock) = self.methods().xShmLock else {
            return SQLITE_IOERR_SHMLOCK;
        };
        // SAFETY: an open file.
        unsafe { lock(self.0.as_ptr(), first as c_int, count as c_int, flags) }
    }

    fn methods(self) -> &'static sqlite3_io_methods {
        // SAFETY: an open file has some, which stay.
        unsafe { &*(*self.0.as_ptr()).pMethods }
    }
}

/// Makes an open file of the `unix` VFS one of ours.
///
/// # Safety
///
/// `file` has `HEAD` bytes before those of the file behind it, which is open and of version 3.
pub(crate) unsafe fn make(file: *mut sqlite3_file, roster: Arc<Roster>) {
    let ours = Box::new(Ours {
        roster,
        locks: None,
        log: None,
    });
    // SAFETY: as the caller says.
    unsafe { put(file, &METHODS, Box::into_raw(ours)) };
}

/// Makes the open file of a log one of ours; is its database's?
///
/// # Safety
///
/// As of [`make`]; `database` is open, and closed after the log.
pub(crate) unsafe fn make_log(file: *mut sqlite3_file, database: *mut sqlite3_file) -> bool {
    // SAFETY: as the caller says; what has our methods is ours.
    unsafe {
        if !ptr::eq((*database).pMethods, &raw const METHODS) {
            return false;
        }
        let ours = (*database.cast::<File>()).ours;
        (*ours).log = Some(Log::of(Real::behind(file)));
        put(file, &log::METHODS, ours);
    }
    true
}

/// # Safety
///
/// As of [`make`].
unsafe fn put(file: *mut sqlite3_file, methods: &'static sqlite3_io_methods, ours: *mut Ours) {
    let base = sqlite3_file { pMethods: methods };
    // SAFETY: room enough, and nobody else's.
    unsafe { ptr::write(file.cast(), File { base, ours }) };
}

/// The log of this database, or this log.
///
/// # Safety
///
/// `file` is an open one of ours, that SQLite calls by one thread at a time; the result is used during that call only.
pub(crate) unsafe fn log<'a>(file: *mut sqlite3_file) -> &'a mut Option<Log> {
    // SAFETY: the database's file is closed last.
    unsafe { &mut (*(*file.cast::<File>()).ours).log }
}

/// # Safety
///
/// As of [`make`], whether or not the file is open.
pub(crate) unsafe fn behind(file: *mut sqlite3_file) -> *mut sqlite3_file {
    // SAFETY: within the room that SQLite has made.
    unsafe { file.byte_add(HEAD) }
}

unsafe extern "C" fn close(file: *mut sqlite3_file) -> c_int {
    // SAFETY: SQLite calls it once, for a file of ours.
    unsafe {
        let ours = (*file.cast::<File>()).ours;
        drop(Box::from_raw(ours));
        close_behind(file)
    }
}

/// # Safety
///
/// `file` is an open one of ours, that isn't used any more.
pub(crate) unsafe fn close_behind(file: *mut sqlite3_file) -> c_int {
    // SAFETY: the file behind is open.
    unsafe {
        let real = behind(file);
        match (*(*real).pMethods).xClose {
            Some(close) => close(real),
            None => SQLITE_OK,
        }
    }
}

unsafe extern "C" fn shm_map(
    file: *mut sqlite3_file,
    block: c_int,
    size: c_int,
    extend: c_int,
    found: *mut *mut c_void,
) -> c_int {
    // SAFETY: SQLite calls it for an open file of ours, by one thread at a time.
    let (ours, real) = unsafe { (&mut *(*file.cast::<File>()).ours, behind(file)) };
    // SAFETY: the file behind is open, and what SQLite gives is handed on.
    let answer = unsafe {
        match (*(*real).pMethods).xShmMap {
            Some(map) => map(real, block, size, extend, found),
            None => SQLITE_IOERR_SHMMAP,
        }
    };
    // Who can't write to it stays a stranger.
    if answer != SQLITE_OK {
        return answer;
    }
    // SAFETY: the file behind is there for as long as this one.
    let real = unsafe { Real::behind(file) };
    let settled = ours.settle(real).and_then(|locks| {
        // SAFETY: SQLite has said where it is.
        match NonNull::new(unsafe { *found }).filter(|_| block == 0) {
            // SAFETY: mapped until `shm_unmap`, before which the locks go.
            Some(start) => match locks.look_at(unsafe { Index::new(start) }) {
                SQLITE_OK => Ok(()),
                refused => Err(refused),
            },
            None => Ok(()),
        }
    });
    match settled {
        Ok(()) => SQLITE_OK,
        Err(refused) => {
            ours.locks = None;
            // SAFETY: as above.
            unsafe { *found = ptr::null_mut() };
            refused
        }
    }
}

impl Ours {
    fn settle(&mut self, real: Real) -> Result<&mut Locks, c_int> {
        let locks = match self.locks.take() {
            Some(locks) => locks,
            None => Locks::enter(real, &self.roster)?,
        };
        Ok(self.locks.insert(locks))
    }
}

unsafe extern "C" fn shm_lock(
    file: *mut sqlite3_file,
    first: c_int,
    count: c_int,
    flags: c_int,
) -> c_int {
    // SAFETY: SQLite calls it for an open file of ours, by one thread at a time.
    let (ours, real) = unsafe { (&mut *(*file.cast::<File>()).ours, Real::behind(file)) };
    let (first, count) = (first as usize, count as usize);
    if let Some(log) = &mut ours.log
        && first == WRITE
        && flags & SQLITE_SHM_UNLOCK != 0
    {
        log.end_transaction();
    }
    match &mut ours.locks {
        Some(locks) => locks.change(first, count, flags),
        None => real.change(first, count, flags),
    }
}

/// SQLite calls it also between the two copies of the header that tells others of a transaction.
unsafe extern "C" fn shm_barrier(file: *mut sqlite3_file) {
    // SAFETY: SQLite calls it for an open file of ours, by one thread at a time, and the file behind is open.
    unsafe {
        if log(file).as_mut().map_or(SQLITE_OK, Log::put_out) != SQLITE_OK {
            // No SQLite that is known commits with something gathered still. Nobody may read frames that aren't there.
            process::abort();
        }
        let real = behind(file);
        if let Some(barrier) = (*(*real).pMethods).xShmBarrier {
            barrier(real);
        }
    }
}

unsafe extern "C" fn shm_unmap(file: *mut sqlite3_file, delete: c_int) -> c_int {
    // SAFETY: SQLite calls it for an open file of ours, by one thread at a time.
    unsafe {
        (*(*file.cast::<File>()).ours).locks = None;
        let real = behind(file);
        match (*(*real).pMethods).xShmUnmap {
            Some(unmap) => unmap(real, delete),
            None => SQLITE_OK,
        }
    }
}

/// Calls of SQLite that go on as they are.
macro_rules! handed_on {
    ($($name:ident = $method:ident($($arg:ident: $type:ty),*);)*) => {
        $(
            pub(crate) unsafe extern "C" fn $name(file: *mut sqlite3_file $(, $arg: $type)*) -> c_int {
                // SAFETY: SQLite calls it for an open file of ours, and the one behind has all methods of version 3.
                unsafe {
                    let real = behind(file);
                    let method = (*(*real).pMethods).$method.unwrap_unchecked();
                    method(real $(, $arg)*)
                }
            }
        )*
    };
}

handed_on! {
    read = xRead(into: *mut c_void, size: c_int, from: sqlite3_int64);
    write = xWrite(bytes: *const c_void, size: c_int, to: sqlite3_int64);
    truncate = xTruncate(size: sqlite3_int64);
    sync = xSync(flags: c_int);
    file_size = xFileSize(size: *mut sqlite3_int64);
    lock = xLock(level: c_int);
    unlock = xUnlock(level: c_int);
    check_reserved_lock = xCheckReservedLock(held: *mut c_int);
    file_control = xFileControl(what: c_int, arg: *mut c_void);
    sector_size = xSectorSize();
    device_characteristics = xDeviceCharacteristics();
    fetch = xFetch(from: sqlite3_int64, size: c_int, found: *mut *mut c_void);
    unfetch = xUnfetch(from: sqlite3_int64, given: *mut c_void);
}

pub(crate) static METHODS: sqlite3_io_methods = sqlite3_io_methods {
    iVersion: 3,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: Some(fetch),
    xUnfetch: Some(unfetch),
};

/// Whether the methods are there that each file hands on,
pub(crate) fn writes(methods: &sqlite3_io_methods) -> bool {
    methods.xRead.is_some()
        && methods.xWrite.is_some()
        && methods.xTruncate.is_some()
        && methods.xSync.is_some()
        && methods.xFileSize.is_some()
        && methods.xLock.is_some()
        && methods.xUnlock.is_some()
        && methods.xCheckReservedLock.is_some()
        && methods.xFileControl.is_some()
        && methods.xSectorSize.is_some()
        && methods.xDeviceCharacteristics.is_some()
}

/// and those that a database's does besides.
pub(crate) fn shares(methods: &sqlite3_io_methods) -> bool {
    methods.iVersion >= 3
        && methods.xShmMap.is_some()
        && methods.xShmLock.is_some()
        && methods.xShmBarrier.is_some()
        && methods.xShmUnmap.is_some()
        && methods.xFetch.is_some()
        && methods.xUnfetch.is_some()
}
