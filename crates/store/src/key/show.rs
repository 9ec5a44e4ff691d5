use std::fmt::Write;

use super::failure::{Failure, Result};
use super::input::Input;
use super::{number, tag, text};

/// So many characters of a key are shown.
const MOST: usize = 60;

/// A key as messages show it: escaped, cut where it gets long, and as bytes where it is no key.
#[doc(hidden)]
pub fn show(key: &[u8]) -> String {
    let mut shown = match values(key) {
        Ok(values) => values,
        Err(_) => hex(key),
    };
    if let Some((end, _)) = shown.char_indices().nth(MOST) {
        shown.truncate(end);
        shown.push('…');
    }
    shown
}

/// The fields of a tuple stand one after the other, so that only their number tells one from its field.
fn values(key: &[u8]) -> Result<String> {
    let mut input = Input::new(key);
    let mut shown = String::new();
    let (mut outermost, mut depth) = (0, 0_usize);
    let mut separator = "";
    while let Some(&tag) = input.rest().first() {
        if shown.len() > 4 * MOST {
            break;
        }
        if tag == tag::END {
            depth = depth
                .checked_sub(1)
                .ok_or_else(|| Failure::new("closed twice"))?;
            input.byte()?;
            shown.push(']');
            separator = ", ";
            continue;
        }
        shown.push_str(separator);
        separator = match tag {
            tag::SOME | tag::SEQUENCE => "",
            _ => ", ",
        };
        outermost += usize::from(depth == 0 && tag != tag::SOME);
        depth += usize::from(tag == tag::SEQUENCE);
        shown.push_str(&value(tag, &mut input)?);
    }
    if outermost > 1 {
        shown = format!("({shown})");
    }
    Ok(shown)
}

fn value(tag: u8, input: &mut Input<'_>) -> Result<String> {
    let simple = match tag {
        tag::NONE => "None",
        tag::SOME => "Some ",
        tag::UNIT => "()",
        tag::FALSE => "false",
        tag::TRUE => "true",
        tag::SEQUENCE => "[",
        tag::FLOAT => return Ok(format!("{:?}", number::read_float(input)?)),
        0x10..=0xEF => return Ok(number::read_integer(input)?.to_string()),
        _ => "",
    };
    input.byte()?;
    Ok(match tag {
        tag::CHAR => {
            let [a, b, c] = input.array()?;
            let value = char::from_u32(u32::from_be_bytes([0, a, b, c]));
            format!("{:?}", value.unwrap_or_default())
        }
        tag::STRING => {
            let bytes = text::read(input)?;
            let beginning = &bytes[..bytes.len().min(4 * MOST)];
            format!("{:?}", String::from_utf8_lossy(beginning))
        }
        tag::BYTES => hex(&text::read(input)?),
        tag::VARIANT => format!("variant {}", number::read_integer(input)?),
        _ if simple.is_empty() => return Err(Failure::new("no key")),
        _ => simple.to_owned(),
    })
}

fn hex(bytes: &[u8]) -> String {
    let mut hex = String::from("0x");
    for byte in bytes.iter().take(MOST) {
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}
