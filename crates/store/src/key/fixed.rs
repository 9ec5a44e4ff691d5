//! Bytes of a known number as keys: as integers, which need no escapes.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeTuple, Serializer};

use super::ordered::Ordered;

/// How many bytes are one integer.
const CHUNK: usize = 16;

/// Where people read, an integer for each byte, as serde has it for arrays of up to 32; else one for each 16, and one for
/// what is left.
impl<const N: usize> Serialize for Ordered<[u8; N]> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            let mut tuple = serializer.serialize_tuple(N)?;
            for byte in &self.0 {
                tuple.serialize_element(byte)?;
            }
            return tuple.end();
        }
        let mut tuple = serializer.serialize_tuple(N.div_ceil(CHUNK))?;
        for chunk in self.0.chunks(CHUNK) {
            let mut bytes = [0; CHUNK];
            bytes[CHUNK - chunk.len()..].copy_from_slice(chunk);
            tuple.serialize_element(&u128::from_be_bytes(bytes))?;
        }
        tuple.end()
    }
}

impl<'de, const N: usize> Deserialize<'de> for Ordered<[u8; N]> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            deserializer.deserialize_tuple(N, Bytes::<N>)
        } else {
            deserializer.deserialize_tuple(N.div_ceil(CHUNK), Chunks::<N>)
        }
    }
}

impl<const N: usize> From<Ordered<[u8; N]>> for [u8; N] {
    fn from(ordered: Ordered<[u8; N]>) -> Self {
        ordered.0
    }
}

struct Bytes<const N: usize>;

impl<'de, const N: usize> Visitor<'de> for Bytes<N> {
    type Value = Ordered<[u8; N]>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{N} bytes")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
        let mut bytes = [0; N];
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = next(&mut elements, at, &self)?;
        }
        Ok(Ordered(bytes))
    }
}

struct Chunks<const N: usize>;

impl<'de, const N: usize> Visitor<'de> for Chunks<N> {
    type Value = Ordered<[u8; N]>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "integers of {N} bytes")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
        let mut bytes = [0; N];
        for (at, chunk) in bytes.chunks_mut(CHUNK).enumerate() {
            let integer = next::<u128, _>(&mut elements, at, &self)?.to_be_bytes();
            let (unused, used) = integer.split_at(CHUNK - chunk.len());
            if unused.iter().any(|&byte| byte != 0) {
                return Err(de::Error::custom(format!(
                    "an integer has more than the {} bytes that are left of {N}",
                    chunk.len()
                )));
            }
            chunk.copy_from_slice(used);
        }
        Ok(Ordered(bytes))
    }
}

fn next<'de, T: Deserialize<'de>, A: SeqAccess<'de>>(
    elements: &mut A,
    at: usize,
    expected: &dyn de::Expected,
) -> Result<T, A::Error> {
    elements
        .next_element()?
        .ok_or_else(|| de::Error::invalid_length(at, expected))
}

#[cfg(feature = "uuid")]
mod uuid {
    use uuid::Uuid;

    use crate::key::ordered::{Form, ordered};

    ordered!(Uuid);

    impl Form for Uuid {
        /// The same bytes in a key as those of its 16.
        type Form = u128;

        const READABLE: bool = true;

        fn form(&self) -> Self::Form {
            self.as_u128()
        }

        fn of_form(form: Self::Form) -> Option<Self> {
            Some(Uuid::from_u128(form))
        }
    }
}
