//! Integers by value in as few bytes as hold them, floats as eight bytes.

use std::fmt;

use super::failure::{Failure, Result};
use super::input::{Input, unexpected};
use super::tag;

/// An integer of any width.
#[derive(Clone, Copy)]
pub(super) enum Integer {
    Positive(u128),
    Negative(i128),
}

impl Integer {
    /// As the `T` that a key asks for.
    pub(super) fn narrow<T: TryFrom<u128> + TryFrom<i128>>(self) -> Result<T> {
        let narrowed = match self {
            Integer::Positive(value) => T::try_from(value).ok(),
            Integer::Negative(value) => T::try_from(value).ok(),
        };
        narrowed.ok_or_else(|| {
            Failure::new(format!(
                "{self} does not fit in {}",
                std::any::type_name::<T>()
            ))
        })
    }
}

impl fmt::Display for Integer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Integer::Positive(value) => value.fmt(f),
            Integer::Negative(value) => value.fmt(f),
        }
    }
}

#[inline]
pub(super) fn write_unsigned(value: u128, into: &mut Vec<u8>) {
    if value <= u128::from(tag::LARGEST_SMALL) {
        into.push(tag::SMALL + value as u8);
    } else {
        let unused = (value.leading_zeros() / 8) as usize;
        into.push(tag::POSITIVE + (16 - unused) as u8);
        into.extend_from_slice(&value.to_be_bytes()[unused..]);
    }
}

#[inline]
pub(super) fn write_signed(value: i128, into: &mut Vec<u8>) {
    if let Ok(value) = u128::try_from(value) {
        return write_unsigned(value, into);
    }
    let unused = ((!value).leading_zeros() / 8).min(15) as usize;
    into.push(tag::NEGATIVE - (16 - unused) as u8);
    into.extend_from_slice(&value.to_be_bytes()[unused..]);
}

pub(super) fn read_integer(input: &mut Input<'_>) -> Result<Integer> {
    let mut bytes = [0; 16];
    match input.byte()? {
        small @ tag::SMALL..=tag::POSITIVE => Ok(Integer::Positive((small - tag::SMALL).into())),
        long @ 0xE0..=0xEF => {
            let count = usize::from(long - tag::POSITIVE);
            bytes[16 - count..].copy_from_slice(input.take(count)?);
            let value = u128::from_be_bytes(bytes);
            let shortest = value.leading_zeros() as usize / 8 == 16 - count;
            if !shortest || value <= tag::LARGEST_SMALL.into() {
                return Err(not_canonical());
            }
            Ok(Integer::Positive(value))
        }
        negative @ 0x10..=0x1F => {
            let count = usize::from(tag::NEGATIVE - negative);
            bytes[..16 - count].fill(0xFF);
            bytes[16 - count..].copy_from_slice(input.take(count)?);
            let value = i128::from_be_bytes(bytes);
            let unused = ((!value).leading_zeros() as usize / 8).min(15);
            if value >= 0 || unused != 16 - count {
                return Err(not_canonical());
            }
            Ok(Integer::Negative(value))
        }
        found => Err(unexpected("an integer", found)),
    }
}

const SIGN: u64 = 1 << 63;

pub(super) fn write_float(value: f64, into: &mut Vec<u8>) {
    into.push(tag::FLOAT);
    into.extend_from_slice(&ordered(value).to_be_bytes());
}

pub(super) fn read_float(input: &mut Input<'_>) -> Result<f64> {
    input.expect(tag::FLOAT, "a float")?;
    let bits = u64::from_be_bytes(input.array()?);
    let value = f64::from_bits(if bits & SIGN == 0 { !bits } else { bits ^ SIGN });
    if ordered(value) != bits {
        return Err(not_canonical());
    }
    Ok(value)
}

/// The float's bits, so that their order as an integer is the order of floats.
fn ordered(value: f64) -> u64 {
    // Adding zero makes -0.0 into 0.0 and leaves the others as they are.
    let bits = if value.is_nan() {
        f64::NAN.to_bits() & !SIGN
    } else {
        (value + 0.0).to_bits()
    };
    if bits & SIGN == 0 { bits ^ SIGN } else { !bits }
}

#[cold]
fn not_canonical() -> Failure {
    Failure::new("a number is not written as diskette writes it")
}
