//! The memory in which large values come and go.

use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering};

/// To be called with the length of each value, in bytes, before it is freed.
///
/// A value exists several times at once: with the program, as bytes, and in SQLite. glibc gives memory that is freed back to the
/// kernel unless it has seen that so much comes and goes, and to touch it anew costs a fault for each page, which takes many times as long
/// as to copy the value. What it has seen is the longest single block. So it is shown one as long as those of a value together.
/// Other allocators are none the wiser.
pub(crate) fn expect(bytes: usize) {
    static EXPECTED: AtomicUsize = AtomicUsize::new(SMALL);
    let bytes = bytes.min(LARGE);
    if bytes > EXPECTED.load(Ordering::Relaxed) {
        let expected = bytes.next_power_of_two();
        EXPECTED.fetch_max(expected, Ordering::Relaxed);
        // Never touched, so that it takes no memory.
        drop(black_box(Vec::<u8>::with_capacity(TOGETHER * expected)));
    }
}

/// Up to this length glibc keeps all that a value takes, as it is.
const SMALL: usize = 32 * 1024;

/// The program may be left with a few times as much, free but not given back. Longer ones cost more elsewhere.
const LARGE: usize = 2 * 1024 * 1024;

/// Half of the copies there may be: glibc keeps twice as much as the longest block.
const TOGETHER: usize = 3;
