//! Strings and bytes: as they are, but for zeros and ones, and closed by a zero.

use std::borrow::Cow;
use std::ffi::CStr;

use super::failure::{Failure, Result};
use super::input::Input;
use super::tag::{END, ESCAPE};

/// Writes the bytes behind their tag, without closing them.
pub(super) fn write(tag: u8, bytes: &[u8], into: &mut Vec<u8>) {
    into.reserve(bytes.len() + 2);
    into.push(tag);
    // Looks at all of them, as that is faster than to stop at the first.
    if bytes
        .iter()
        .fold(false, |any, &byte| any | (byte <= ESCAPE))
    {
        for &byte in bytes {
            match byte {
                0..=ESCAPE => into.extend([ESCAPE, byte + 1]),
                byte => into.push(byte),
            }
        }
    } else {
        into.extend_from_slice(bytes);
    }
}

pub(super) fn close(into: &mut Vec<u8>) {
    into.push(END);
}

/// Reads what follows the tag, up to and with the end.
pub(super) fn read<'de>(input: &mut Input<'de>) -> Result<Cow<'de, [u8]>> {
    let written = CStr::from_bytes_until_nul(input.rest()).map_err(|_| not_closed())?;
    input.take(written.count_bytes() + 1)?;
    let written = written.to_bytes();
    if !written.contains(&ESCAPE) {
        return Ok(Cow::Borrowed(written));
    }
    let mut bytes = Vec::with_capacity(written.len());
    let mut rest = written.iter();
    while let Some(&byte) = rest.next() {
        bytes.push(match byte {
            ESCAPE => match rest.next() {
                Some(&escaped @ 1..=2) => escaped - 1,
                _ => {
                    return Err(Failure::new(
                        "a string is not written as diskette writes it",
                    ));
                }
            },
            byte => byte,
        });
    }
    Ok(Cow::Owned(bytes))
}

#[cold]
fn not_closed() -> Failure {
    Failure::new("a string is not closed")
}
