/// What the WAL-index says of the last commit: where the log ends, a checksum over all of it, the log's salt, and a count of
/// commits. Two that are equal are of one state of the database.
///
/// None comes again, once another was there in its place, as long as anybody has the database open:
///
/// 1. A log only grows, and with it its end. It is begun anew with another salt, one half of which counts and the other of which is
///    drawn.
/// 2. Who finds a header torn, since its writer was killed in the middle of it, makes another out of the log. That is the one of
///    the last commit which the log has, whose state it is too.
/// 3. Where the log is empty, whoever recovers makes one without salt, and that could come again: who empties an empty log once more
///    writes a header, and may be killed amid that. So one without salt counts as none: there is one from the first commit on.
///
/// Source: *WAL-mode File Format* and `wal.c` of SQLite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header(pub(crate) [u64; WORDS]);

/// 48 bytes.
pub(crate) const WORDS: usize = 6;

/// Which of them is the salt.
const SALT: usize = 4;

/// The one version of the format that there is.
const VERSION: u32 = 3_007_000;

impl Header {
    /// Whether it was written as a whole, in the format that is known here, and is that of a log.
    pub(crate) fn is_sound(&self) -> bool {
        let bytes = self.0.map(u64::to_ne_bytes);
        let [halves @ .., [one, two]] = bytes
            .map(|[a, b, c, d, e, f, g, h]| [[a, b, c, d], [e, f, g, h]].map(u32::from_ne_bytes));
        let is_initialised = bytes[1][4] == 1;
        let checksum = halves.iter().fold([0_u32; 2], |[one, two], half| {
            let one = one.wrapping_add(half[0]).wrapping_add(two);
            [one, two.wrapping_add(half[1]).wrapping_add(one)]
        });
        let has_salt = self.0[SALT] != 0;
        halves[0][0] == VERSION && is_initialised && has_salt && checksum == [one, two]
    }
}
