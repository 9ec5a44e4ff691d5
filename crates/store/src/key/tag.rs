//! The first byte of each value, ascending where values of one type may have different ones.

/// Closes a string, bytes or a sequence.
pub(super) const END: u8 = 0x00;
pub(super) const NONE: u8 = 0x01;
pub(super) const SOME: u8 = 0x02;
pub(super) const UNIT: u8 = 0x03;
pub(super) const FALSE: u8 = 0x04;
pub(super) const TRUE: u8 = 0x05;
/// Minus the number of bytes, 1 to 16.
pub(super) const NEGATIVE: u8 = 0x20;
/// Plus the integer itself, 0 to [`LARGEST_SMALL`].
pub(super) const SMALL: u8 = 0x20;
/// Plus the number of bytes, 1 to 16.
pub(super) const POSITIVE: u8 = 0xDF;
pub(super) const FLOAT: u8 = 0xF0;
pub(super) const CHAR: u8 = 0xF1;
pub(super) const STRING: u8 = 0xF2;
pub(super) const BYTES: u8 = 0xF3;
pub(super) const SEQUENCE: u8 = 0xF4;
pub(super) const VARIANT: u8 = 0xF5;
/// Within a string or bytes: the next byte, less one, is part of them.
pub(super) const ESCAPE: u8 = 0x01;

pub(super) const LARGEST_SMALL: u8 = POSITIVE - SMALL;

/// What stands behind a tag, for messages.
pub(super) fn name(tag: u8) -> &'static str {
    match tag {
        END => "the end of a sequence",
        NONE => "None",
        SOME => "Some",
        UNIT => "a unit",
        FALSE | TRUE => "a bool",
        0x10..=0xEF => "an integer",
        FLOAT => "a float",
        CHAR => "a char",
        STRING => "a string",
        BYTES => "bytes",
        SEQUENCE => "a sequence",
        VARIANT => "an enum variant",
        _ => "no key of diskette",
    }
}
