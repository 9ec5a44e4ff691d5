use serde::ser::{self, Serialize};

use super::failure::{Failure, Result};
use super::{LEVELS, number, tag, text};

/// Appends the bytes of `key`, whose order is the order of its type. See the [module](super) for which types
/// can be keys.
///
/// # Errors
///
/// [`is_codec`](crate::Error::is_codec) if the key is, or holds, a map, leaves out a field, or nests beyond 100
/// levels, or if its own `Serialize` fails. `into` is then as it was.
///
/// # Example
///
/// ```
/// use diskette::key;
///
/// let mut bytes = Vec::new();
/// key::encode("tea", &mut bytes)?;
/// assert_eq!(bytes, b"\xf2tea\0");
/// # Ok::<(), diskette::Error>(())
/// ```
pub fn encode<K: Serialize + ?Sized>(key: &K, into: &mut Vec<u8>) -> crate::Result<()> {
    write(key, into, false)
}

/// Writes a key without what closes its last string or sequence, for others to begin with it.
pub(super) fn encode_open<K: Serialize + ?Sized>(key: &K, into: &mut Vec<u8>) -> crate::Result<()> {
    write(key, into, true)
}

fn write<K: Serialize + ?Sized>(key: &K, into: &mut Vec<u8>, open: bool) -> crate::Result<()> {
    let start = into.len();
    key.serialize(Serializer {
        into,
        levels: LEVELS,
        open,
    })
    .map_err(|failure| {
        into.truncate(start);
        failure.of::<K>("this can't be a key of type")
    })
}

struct Serializer<'a> {
    into: &'a mut Vec<u8>,
    levels: u8,
    /// Leave open what this value would close.
    open: bool,
}

impl Serializer<'_> {
    /// For a value that holds the one field, and is open as that field is.
    fn wrap(self) -> Result<Self> {
        let levels = self.levels.checked_sub(1).ok_or_else(Failure::too_deep)?;
        Ok(Serializer { levels, ..self })
    }

    fn text(self, tag: u8, bytes: &[u8]) -> Result<()> {
        text::write(tag, bytes, self.into);
        if !self.open {
            text::close(self.into);
        }
        Ok(())
    }

    /// What no field writes, as fields must be told apart from none.
    fn nothing(self) -> Result<()> {
        if !self.open {
            self.into.push(tag::UNIT);
        }
        Ok(())
    }

    fn variant(&mut self, index: u32) {
        self.into.push(tag::VARIANT);
        number::write_unsigned(index.into(), self.into);
    }
}

impl<'a> Serializer<'a> {
    fn fields(self, closed_by: Option<u8>) -> Result<Fields<'a>> {
        let levels = self.levels.checked_sub(1).ok_or_else(Failure::too_deep)?;
        Ok(Fields {
            into: self.into,
            levels,
            closed_by,
        })
    }

    fn tuple(self, length: usize) -> Result<Fields<'a>> {
        if length > 0 {
            return self.fields(None);
        }
        let closed_by = (!self.open).then_some(tag::UNIT);
        self.fields(closed_by)
    }
}

macro_rules! integers {
    ($($method:ident: $type:ty => $write:ident;)*) => {$(
        fn $method(self, value: $type) -> Result<()> {
            number::$write(value.into(), self.into);
            Ok(())
        }
    )*};
}

impl<'a> ser::Serializer for Serializer<'a> {
    type Ok = ();
    type Error = Failure;
    type SerializeSeq = Fields<'a>;
    type SerializeTuple = Fields<'a>;
    type SerializeTupleStruct = Fields<'a>;
    type SerializeTupleVariant = Fields<'a>;
    type SerializeMap = ser::Impossible<(), Failure>;
    type SerializeStruct = Fields<'a>;
    type SerializeStructVariant = Fields<'a>;

    fn is_human_readable(&self) -> bool {
        false
    }

    integers! {
        serialize_u8: u8 => write_unsigned;
        serialize_u16: u16 => write_unsigned;
        serialize_u32: u32 => write_unsigned;
        serialize_u64: u64 => write_unsigned;
        serialize_u128: u128 => write_unsigned;
        serialize_i8: i8 => write_signed;
        serialize_i16: i16 => write_signed;
        serialize_i32: i32 => write_signed;
        serialize_i64: i64 => write_signed;
        serialize_i128: i128 => write_signed;
    }

    fn serialize_bool(self, value: bool) -> Result<()> {
        self.into.push(if value { tag::TRUE } else { tag::FALSE });
        Ok(())
    }

    fn serialize_f32(self, value: f32) -> Result<()> {
        self.serialize_f64(value.into())
    }

    fn serialize_f64(self, value: f64) -> Result<()> {
        number::write_float(value, self.into);
        Ok(())
    }

    fn serialize_char(self, value: char) -> Result<()> {
        let [_, bytes @ ..] = u32::from(value).to_be_bytes();
        self.into.push(tag::CHAR);
        self.into.extend_from_slice(&bytes);
        Ok(())
    }

    fn serialize_str(self, value: &str) -> Result<()> {
        self.text(tag::STRING, value.as_bytes())
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<()> {
        self.text(tag::BYTES, value)
    }

    fn serialize_none(self) -> Result<()> {
        self.into.push(tag::NONE);
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<()> {
        self.into.push(tag::SOME);
        value.serialize(self.wrap()?)
    }

    fn serialize_unit(self) -> Result<()> {
        self.nothing()
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<()> {
        self.nothing()
    }

    fn serialize_unit_variant(
        mut self,
        _: &'static str,
        index: u32,
        _: &'static str,
    ) -> Result<()> {
        self.variant(index);
        Ok(())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<()> {
        value.serialize(self.wrap()?)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        mut self,
        _: &'static str,
        index: u32,
        _: &'static str,
        value: &T,
    ) -> Result<()> {
        self.variant(index);
        value.serialize(self.wrap()?)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Fields<'a>> {
        self.into.push(tag::SEQUENCE);
        let closed_by = (!self.open).then_some(tag::END);
        self.fields(closed_by)
    }

    fn serialize_tuple(self, length: usize) -> Result<Fields<'a>> {
        self.tuple(length)
    }

    fn serialize_tuple_struct(self, _: &'static str, length: usize) -> Result<Fields<'a>> {
        self.tuple(length)
    }

    fn serialize_tuple_variant(
        mut self,
        _: &'static str,
        index: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Fields<'a>> {
        self.variant(index);
        self.fields(None)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap> {
        Err(Failure::new(
            "a map has no order of its own; write it as a Vec of pairs",
        ))
    }

    fn serialize_struct(self, _: &'static str, length: usize) -> Result<Fields<'a>> {
        self.tuple(length)
    }

    fn serialize_struct_variant(
        mut self,
        _: &'static str,
        index: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Fields<'a>> {
        self.variant(index);
        self.fields(None)
    }
}

/// The fields of a tuple or struct, or the elements of a sequence.
struct Fields<'a> {
    into: &'a mut Vec<u8>,
    levels: u8,
    closed_by: Option<u8>,
}

impl Fields<'_> {
    fn field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        value.serialize(Serializer {
            into: self.into,
            levels: self.levels,
            open: false,
        })
    }

    fn close(self) -> Result<()> {
        self.into.extend(self.closed_by);
        Ok(())
    }
}

macro_rules! fields {
    ($($trait:ident: $method:ident;)*) => {$(
        impl ser::$trait for Fields<'_> {
            type Ok = ();
            type Error = Failure;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
                self.field(value)
            }

            fn end(self) -> Result<()> {
                self.close()
            }
        }
    )*};
}

macro_rules! named_fields {
    ($($trait:ident),*) => {$(
        impl ser::$trait for Fields<'_> {
            type Ok = ();
            type Error = Failure;

            fn serialize_field<T: Serialize + ?Sized>(&mut self, _: &'static str, value: &T) -> Result<()> {
                self.field(value)
            }

            fn skip_field(&mut self, name: &'static str) -> Result<()> {
                Err(Failure::new(format!("the field `{name}` is left out, and a key needs all of its fields")))
            }

            fn end(self) -> Result<()> {
                self.close()
            }
        }
    )*};
}

fields! {
    SerializeSeq: serialize_element;
    SerializeTuple: serialize_element;
    SerializeTupleStruct: serialize_field;
    SerializeTupleVariant: serialize_field;
}

named_fields!(SerializeStruct, SerializeStructVariant);
