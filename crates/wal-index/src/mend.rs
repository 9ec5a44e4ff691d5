use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::SeqCst;

use rusqlite::Connection;

use crate::wal_index::first_part;

/// Ends what a process has left half done that was killed as it began the log anew. To be called before each transaction that writes, by a
/// connection that has read before; without it SQLite loses what is committed next.
///
/// SQLite begins a log anew in two steps (`walRestartHdr` in its `wal.c`): the header says that the log has no frames, then the count of
/// frames that are copied into the database becomes 0. Between the two there is a log of none of which so many frames are copied. Who reads
/// then is right, as all is in the database. But the next commit puts its frames at the beginning, where whoever reads overlooks them, for as
/// many as were copied of the old log (`minFrame`); once they are that many they pass for copied, and are overwritten. Recovery would
/// put it right, and comes only when nobody has the database open any more.
///
/// It is safe at any moment, whatever others do: to say that less is copied than is has nothing but frames copied once more.
///
/// # Cost
///
/// 0.1 us, and no system call.
pub fn mend(connection: &Connection) {
    // Without an index there is no log either.
    if let Ok(start) = first_part(connection) {
        // SAFETY: mapped as long as the connection is open, which is borrowed.
        unsafe { mend_at(start) }
    }
}

/// The same, for an index of which is known where it is mapped.
///
/// # Safety
///
/// `start` is that of its first 32 KiB, which stay mapped during the call.
pub unsafe fn mend_at(start: NonNull<c_void>) {
    // SAFETY: within the part, and aligned. Others change it by such words, too.
    let word = |at| unsafe { start.byte_add(at).cast::<AtomicU32>().as_ref() };
    let copied = word(COPIED).load(SeqCst);
    if copied > 0 && word(FRAMES).load(SeqCst) == 0 {
        let _ = word(COPIED).compare_exchange(copied, 0, SeqCst, SeqCst);
    }
}

/// How many frames the log has, in the header.
const FRAMES: usize = 16;
/// How many of them are copied.
const COPIED: usize = 96;
