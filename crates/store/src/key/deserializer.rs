use std::borrow::Cow;

use serde::de::{self, DeserializeOwned, DeserializeSeed, IntoDeserializer, Visitor};

use super::failure::{Failure, Result};
use super::input::{Input, unexpected};
use super::{LEVELS, number, tag, text};

/// Reads a key that [`encode`](super::encode) wrote.
///
/// # Errors
///
/// [`is_codec`](crate::Error::is_codec) if the bytes are not those of a `K`, to the last; the message says what was
/// found instead. Rotten bytes never panic, and allocate no more than they could hold.
///
/// # Example
///
/// ```
/// use diskette::key;
///
/// let mut bytes = Vec::new();
/// key::encode(&("tea", 700), &mut bytes)?;
///
/// assert_eq!(key::decode::<(String, u64)>(&bytes)?, ("tea".to_string(), 700));
///
/// let error = key::decode::<(String, u8)>(&bytes).unwrap_err();
/// assert!(error.is_codec());
/// assert!(error.to_string().contains("700 does not fit in u8"));
/// # Ok::<(), diskette::Error>(())
/// ```
pub fn decode<K: DeserializeOwned>(bytes: &[u8]) -> crate::Result<K> {
    let mut input = Input::new(bytes);
    K::deserialize(Deserializer {
        input: &mut input,
        levels: LEVELS,
    })
    .and_then(|key| match input.rest().len() {
        0 => Ok(key),
        left => Err(Failure::new(format!(
            "{left} of {} bytes are left over",
            bytes.len()
        ))),
    })
    .map_err(|failure| failure.of::<K>("the stored key can't be read as"))
}

struct Deserializer<'a, 'de> {
    input: &'a mut Input<'de>,
    levels: u8,
}

impl<'a, 'de> Deserializer<'a, 'de> {
    fn wrap(self) -> Result<Self> {
        let levels = self.levels.checked_sub(1).ok_or_else(Failure::too_deep)?;
        Ok(Deserializer { levels, ..self })
    }

    fn fields(self, left: usize) -> Result<Fields<'a, 'de>> {
        let Deserializer { input, levels } = self.wrap()?;
        Ok(Fields {
            input,
            levels,
            left,
        })
    }

    fn tuple<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value> {
        if length == 0 {
            self.input.expect(tag::UNIT, "a unit")?;
        }
        visitor.visit_seq(self.fields(length)?)
    }
}

macro_rules! integers {
    ($($method:ident: $type:ty => $visit:ident;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
            visitor.$visit(number::read_integer(self.input)?.narrow::<$type>()?)
        }
    )*};
}

impl<'de> de::Deserializer<'de> for Deserializer<'_, 'de> {
    type Error = Failure;

    fn is_human_readable(&self) -> bool {
        false
    }

    integers! {
        deserialize_u8: u8 => visit_u8;
        deserialize_u16: u16 => visit_u16;
        deserialize_u32: u32 => visit_u32;
        deserialize_u64: u64 => visit_u64;
        deserialize_u128: u128 => visit_u128;
        deserialize_i8: i8 => visit_i8;
        deserialize_i16: i16 => visit_i16;
        deserialize_i32: i32 => visit_i32;
        deserialize_i64: i64 => visit_i64;
        deserialize_i128: i128 => visit_i128;
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.input.byte()? {
            tag::FALSE => visitor.visit_bool(false),
            tag::TRUE => visitor.visit_bool(true),
            found => Err(unexpected("a bool", found)),
        }
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        let wide = number::read_float(self.input)?;
        let value = wide as f32;
        if f64::from(value) != wide && !wide.is_nan() {
            return Err(Failure::new(format!("{wide} does not fit in f32")));
        }
        visitor.visit_f32(value)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        visitor.visit_f64(number::read_float(self.input)?)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.input.expect(tag::CHAR, "a char")?;
        let [a, b, c] = self.input.array()?;
        match char::from_u32(u32::from_be_bytes([0, a, b, c])) {
            Some(value) => visitor.visit_char(value),
            None => Err(Failure::new("a char is out of range")),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.input.expect(tag::STRING, "a string")?;
        match text::read(self.input)? {
            Cow::Borrowed(bytes) => {
                visitor.visit_borrowed_str(str::from_utf8(bytes).map_err(de::Error::custom)?)
            }
            Cow::Owned(bytes) => {
                visitor.visit_string(String::from_utf8(bytes).map_err(de::Error::custom)?)
            }
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.input.expect(tag::BYTES, "bytes")?;
        match text::read(self.input)? {
            Cow::Borrowed(bytes) => visitor.visit_borrowed_bytes(bytes),
            Cow::Owned(bytes) => visitor.visit_byte_buf(bytes),
        }
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.input.byte()? {
            tag::NONE => visitor.visit_none(),
            tag::SOME => visitor.visit_some(self.wrap()?),
            found => Err(unexpected("an option", found)),
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.input.expect(tag::UNIT, "a unit")?;
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value> {
        visitor.visit_newtype_struct(self.wrap()?)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.input.expect(tag::SEQUENCE, "a sequence")?;
        let mut elements = Elements(self.wrap()?);
        let sequence = visitor.visit_seq(&mut elements)?;
        // A visitor may stop at any element; what it left is not part of the next value.
        match elements.0.input.next_is(tag::END)? {
            true => Ok(sequence),
            false => Err(Failure::new("a sequence is longer than expected")),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value> {
        self.tuple(length, visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value> {
        self.tuple(length, visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        self.tuple(fields.len(), visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        self.input.expect(tag::VARIANT, "an enum variant")?;
        visitor.visit_enum(self)
    }

    fn deserialize_map<V: Visitor<'de>>(self, _: V) -> Result<V::Value> {
        Err(Failure::new("a map can't be a key"))
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value> {
        Err(Failure::new(
            "a key's type must say what it is made of, which untagged enums and the like do not",
        ))
    }

    serde::forward_to_deserialize_any! { identifier ignored_any }
}

/// A known number of values.
struct Fields<'a, 'de> {
    input: &'a mut Input<'de>,
    levels: u8,
    left: usize,
}

impl<'de> de::SeqAccess<'de> for Fields<'_, 'de> {
    type Error = Failure;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        seed.deserialize(Deserializer {
            input: self.input,
            levels: self.levels,
        })
        .map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

/// Values up to the end of the sequence, which is left to be read.
struct Elements<'a, 'de>(Deserializer<'a, 'de>);

impl<'de> de::SeqAccess<'de> for &mut Elements<'_, 'de> {
    type Error = Failure;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>> {
        let Deserializer { input, levels } = &mut self.0;
        let left = input.rest().len();
        if input.rest().first() == Some(&tag::END) {
            return Ok(None);
        }
        let element = seed.deserialize(Deserializer {
            input,
            levels: *levels,
        })?;
        // An element that reads nothing would be read for ever.
        if input.rest().len() == left {
            return Err(Failure::new(
                "an element of a sequence is written as nothing",
            ));
        }
        Ok(Some(element))
    }
}

impl<'a, 'de> de::EnumAccess<'de> for Deserializer<'a, 'de> {
    type Error = Failure;
    type Variant = Deserializer<'a, 'de>;

    fn variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, Self::Variant)> {
        let index: u32 = number::read_integer(self.input)?.narrow()?;
        Ok((seed.deserialize(index.into_deserializer())?, self))
    }
}

impl<'de> de::VariantAccess<'de> for Deserializer<'_, 'de> {
    type Error = Failure;

    fn unit_variant(self) -> Result<()> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value> {
        seed.deserialize(self.wrap()?)
    }

    fn tuple_variant<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value> {
        visitor.visit_seq(self.fields(length)?)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        visitor.visit_seq(self.fields(fields.len())?)
    }
}
