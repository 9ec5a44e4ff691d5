//! What of SQLite's WAL-index is to be known here, by "The WAL-index file format" in SQLite's documents.

use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicU32, AtomicU64};

/// The read marks that say how far a reader goes into the log; mark 0 says that he doesn't look into it.
pub(crate) const MARKS: std::ops::Range<usize> = 1..5;

/// The first block of a WAL-index, in memory that all processes share.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Index(NonNull<c_void>);

// SAFETY: all that is read and written through it is atomic.
unsafe impl Send for Index {}

const LAST_FRAME: usize = 16;
const FIRST_MARK: usize = 100;
/// Eight bytes that are only ever locked, by SQLite of other systems, and never read nor written.
const SPARE: usize = 120;

impl Index {
    /// # Safety
    ///
    /// `start` is that of the first block, aligned to a page, and stays mapped for as long as this is used.
    pub(crate) unsafe fn new(start: NonNull<c_void>) -> Self {
        Index(start)
    }

    /// The last frame that was committed to the log.
    pub(crate) fn last_frame(self) -> u32 {
        self.word(LAST_FRAME).load(SeqCst)
    }

    pub(crate) fn mark(self, number: usize) -> u32 {
        self.word(FIRST_MARK + 4 * number).load(SeqCst)
    }

    pub(crate) fn set_mark(self, number: usize, frame: u32) {
        self.word(FIRST_MARK + 4 * number).store(frame, SeqCst);
    }

    /// Ends what somebody killed has left half done.
    pub(crate) fn mend(self) {
        // SAFETY: see `new`.
        unsafe { diskette_wal_index::mend_at(self.0) }
    }

    /// Writes `id` down, if nothing is there; whether it is there then.
    pub(crate) fn is_of(self, id: u64) -> bool {
        let spare = self.spare();
        // Nearly always, and without taking the memory from the other processors.
        spare.load(SeqCst) == id
            || match spare.compare_exchange(0, id, SeqCst, SeqCst) {
                Ok(_) => true,
                Err(there) => there == id,
            }
    }

    /// Writes `id` down, whatever is there.
    pub(crate) fn make(self, id: u64) {
        self.spare().store(id, SeqCst);
    }

    fn spare(&self) -> &AtomicU64 {
        // SAFETY: within the block and aligned; see `new`.
        unsafe { self.0.byte_add(SPARE).cast().as_ref() }
    }

    fn word(&self, at: usize) -> &AtomicU32 {
        // SAFETY: within the block and aligned; see `new`.
        unsafe { self.0.byte_add(at).cast().as_ref() }
    }
}
