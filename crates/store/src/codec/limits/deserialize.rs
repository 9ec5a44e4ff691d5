use std::fmt;

use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, VariantAccess, Visitor,
};

use super::{Bounded, Levels, Reading};

impl<'a, T> Bounded<T, Reading<'a>> {
    fn descend<E: Error>(&self) -> Result<Reading<'a>, E> {
        self.limits.descend().map_err(E::custom)
    }

    /// The same bounds around something else.
    fn around<U>(&self, inner: U) -> Bounded<U, Reading<'a>> {
        Bounded {
            inner,
            limits: self.limits,
        }
    }

    /// As [`around`](Self::around), for what has as many elements as its type says.
    fn around_fixed<U>(&self, inner: U) -> Bounded<U, Reading<'a>> {
        Bounded {
            inner,
            limits: Reading {
                fixed: true,
                ..self.limits
            },
        }
    }

    /// What the elements of a sequence or map are read through, one level below.
    fn elements<A, E: Error>(&self, access: A, hint: Option<usize>) -> Result<Elements<'a, A>, E> {
        let room = match hint {
            Some(claimed) if !self.limits.fixed => {
                Some(self.limits.claim(claimed).map_err(E::custom)?)
            }
            hint => hint,
        };
        Ok(Elements {
            access,
            limits: Reading {
                fixed: false,
                ..self.descend()?
            },
            room,
        })
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Bounded<S, Reading<'_>> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<S::Value, D::Error> {
        let deserializer = self.around(deserializer);
        self.inner.deserialize(deserializer)
    }
}

macro_rules! pass {
    ($($method:ident => $inner:ident;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            let visitor = self.around(visitor);
            self.inner.$inner(visitor)
        }
    )*};
}

macro_rules! pass_fixed {
    ($($method:ident($($argument:ident: $type:ty),*);)*) => {$(
        fn $method<V: Visitor<'de>>(self, $($argument: $type,)* visitor: V) -> Result<V::Value, D::Error> {
            let visitor = self.around_fixed(visitor);
            self.inner.$method($($argument,)* visitor)
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Bounded<D, Reading<'_>> {
    type Error = D::Error;

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }

    pass! {
        deserialize_any => deserialize_any;
        deserialize_bool => deserialize_bool;
        deserialize_i8 => deserialize_i8;
        deserialize_i16 => deserialize_i16;
        deserialize_i32 => deserialize_i32;
        deserialize_i64 => deserialize_i64;
        deserialize_i128 => deserialize_i128;
        deserialize_u8 => deserialize_u8;
        deserialize_u16 => deserialize_u16;
        deserialize_u32 => deserialize_u32;
        deserialize_u64 => deserialize_u64;
        deserialize_u128 => deserialize_u128;
        deserialize_f32 => deserialize_f32;
        deserialize_f64 => deserialize_f64;
        deserialize_char => deserialize_char;
        // Borrowed from the bytes even if to be owned: a format that owns first makes room for the
        // length that is claimed, before it looks at how many bytes there are.
        deserialize_str => deserialize_str;
        deserialize_string => deserialize_str;
        deserialize_bytes => deserialize_bytes;
        deserialize_byte_buf => deserialize_bytes;
        deserialize_option => deserialize_option;
        deserialize_unit => deserialize_unit;
        deserialize_seq => deserialize_seq;
        deserialize_map => deserialize_map;
        deserialize_identifier => deserialize_identifier;
        deserialize_ignored_any => deserialize_ignored_any;
    }

    pass_fixed! {
        deserialize_unit_struct(name: &'static str);
        deserialize_newtype_struct(name: &'static str);
        deserialize_tuple(length: usize);
        deserialize_tuple_struct(name: &'static str, length: usize);
        deserialize_struct(name: &'static str, fields: &'static [&'static str]);
        deserialize_enum(name: &'static str, variants: &'static [&'static str]);
    }
}

macro_rules! visit {
    ($($method:ident: $type:ty;)*) => {$(
        fn $method<E: Error>(self, value: $type) -> Result<V::Value, E> {
            self.inner.$method(value)
        }
    )*};
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Bounded<V, Reading<'_>> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(f)
    }

    visit! {
        visit_bool: bool;
        visit_i8: i8;
        visit_i16: i16;
        visit_i32: i32;
        visit_i64: i64;
        visit_i128: i128;
        visit_u8: u8;
        visit_u16: u16;
        visit_u32: u32;
        visit_u64: u64;
        visit_u128: u128;
        visit_f32: f32;
        visit_f64: f64;
        visit_char: char;
        visit_str: &str;
        visit_borrowed_str: &'de str;
        visit_string: String;
        visit_bytes: &[u8];
        visit_borrowed_bytes: &'de [u8];
        visit_byte_buf: Vec<u8>;
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_none()
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        let limits = self.descend()?;
        self.inner.visit_some(Bounded {
            inner: deserializer,
            limits,
        })
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<V::Value, D::Error> {
        let limits = self.descend()?;
        self.inner.visit_newtype_struct(Bounded {
            inner: deserializer,
            limits,
        })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        let hint = access.size_hint();
        let elements = self.elements(access, hint)?;
        self.inner.visit_seq(elements)
    }

    fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        let hint = access.size_hint();
        let elements = self.elements(access, hint)?;
        self.inner.visit_map(elements)
    }

    fn visit_enum<A: EnumAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        let access = self.around(access);
        self.inner.visit_enum(access)
    }
}

/// The elements of a sequence or map, and for how many of them room may be made ahead.
struct Elements<'a, A> {
    access: A,
    limits: Reading<'a>,
    room: Option<usize>,
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Elements<'_, A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        self.access.next_element_seed(Bounded {
            inner: seed,
            limits: self.limits,
        })
    }

    fn size_hint(&self) -> Option<usize> {
        self.room
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Elements<'_, A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        self.access.next_key_seed(Bounded {
            inner: seed,
            limits: self.limits,
        })
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.access.next_value_seed(Bounded {
            inner: seed,
            limits: self.limits,
        })
    }

    fn size_hint(&self) -> Option<usize> {
        self.room
    }
}

impl<'a, 'de, A: EnumAccess<'de>> EnumAccess<'de> for Bounded<A, Reading<'a>> {
    type Error = A::Error;
    type Variant = Bounded<A::Variant, Reading<'a>>;

    fn variant_seed<S: DeserializeSeed<'de>>(
        self,
        seed: S,
    ) -> Result<(S::Value, Self::Variant), A::Error> {
        let (value, variant) = self.inner.variant_seed(seed)?;
        Ok((
            value,
            Bounded {
                inner: variant,
                limits: self.limits,
            },
        ))
    }
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for Bounded<A, Reading<'_>> {
    type Error = A::Error;

    fn unit_variant(self) -> Result<(), A::Error> {
        self.inner.unit_variant()
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, A::Error> {
        let limits = self.descend()?;
        self.inner.newtype_variant_seed(Bounded {
            inner: seed,
            limits,
        })
    }

    fn tuple_variant<V: Visitor<'de>>(
        self,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        let limits = self.descend()?;
        self.inner.tuple_variant(
            length,
            Bounded {
                inner: visitor,
                limits,
            },
        )
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        let limits = self.descend()?;
        self.inner.struct_variant(
            fields,
            Bounded {
                inner: visitor,
                limits,
            },
        )
    }
}
