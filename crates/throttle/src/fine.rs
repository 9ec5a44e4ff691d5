//! Times finer than nanoseconds: the interval of a rate is seldom a whole number of those, and must be neither
//! rounded down, which lets too many through, nor up by so much that the rate is not reached.

/// A time in 2^-32 nanoseconds.
pub(crate) type Fine = u128;

const BITS: u32 = 32;

pub(crate) fn fine(nanoseconds: u64) -> Fine {
    Fine::from(nanoseconds) << BITS
}

/// In nanoseconds, rounded up.
pub(crate) fn rounded_up(time: Fine) -> u64 {
    u64::try_from(time.div_ceil(1 << BITS)).unwrap_or(u64::MAX)
}
