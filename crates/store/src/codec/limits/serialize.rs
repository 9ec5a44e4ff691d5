use serde::ser::{self, Error as _, Serialize, Serializer};

use super::{Bounded, Levels, Writing};
use crate::codec::refusal::Refusal;

impl<T: Serialize + ?Sized> Serialize for Bounded<&T, Writing<'_>> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.inner.serialize(Bounded {
            inner: serializer,
            limits: self.limits,
        })
    }
}

impl<'a, S> Bounded<S, Writing<'a>> {
    fn descend<E: ser::Error>(&self) -> Result<Writing<'a>, E> {
        let below = Writing {
            in_some: false,
            ..self.limits
        };
        below.descend().map_err(E::custom)
    }

    fn descend_twice<E: ser::Error>(&self) -> Result<Writing<'a>, E> {
        self.descend::<E>()?.descend().map_err(E::custom)
    }

    fn count(&self, elements: Option<usize>) {
        let mut written = self.limits.written.get();
        written.elements = written.elements.saturating_add(elements.unwrap_or(0));
        self.limits.written.set(written);
    }

    /// Refuses what is written as nothing, where the format has a gap there.
    fn nothing<E: ser::Error>(&self, gap: bool) -> Result<(), E> {
        match self.limits.in_some && gap {
            true => Err(E::custom(Refusal::SomeOfNothing)),
            false => Ok(()),
        }
    }

    fn check<E: ser::Error>(&self, value: f64) -> Result<(), E> {
        match value.is_finite() || !self.limits.gaps.infinities {
            true => Ok(()),
            false => Err(E::custom(Refusal::NotFinite(value))),
        }
    }
}

macro_rules! pass {
    ($($method:ident($($argument:ident: $type:ty),*);)*) => {$(
        fn $method(self $(, $argument: $type)*) -> Result<S::Ok, S::Error> {
            self.inner.$method($($argument),*)
        }
    )*};
}

macro_rules! descend {
    ($($method:ident($($argument:ident: $type:ty),*) -> $compound:ident by $descend:ident;)*) => {$(
        fn $method(self, $($argument: $type),*) -> Result<Self::$compound, S::Error> {
            let limits = self.$descend()?;
            Ok(Bounded { inner: self.inner.$method($($argument),*)?, limits })
        }
    )*};
}

impl<'a, S: Serializer> Serializer for Bounded<S, Writing<'a>> {
    type Ok = S::Ok;
    type Error = S::Error;
    type SerializeSeq = Bounded<S::SerializeSeq, Writing<'a>>;
    type SerializeTuple = Bounded<S::SerializeTuple, Writing<'a>>;
    type SerializeTupleStruct = Bounded<S::SerializeTupleStruct, Writing<'a>>;
    type SerializeTupleVariant = Bounded<S::SerializeTupleVariant, Writing<'a>>;
    type SerializeMap = Bounded<S::SerializeMap, Writing<'a>>;
    type SerializeStruct = Bounded<S::SerializeStruct, Writing<'a>>;
    type SerializeStructVariant = Bounded<S::SerializeStructVariant, Writing<'a>>;

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }

    pass! {
        serialize_bool(value: bool);
        serialize_i8(value: i8);
        serialize_i16(value: i16);
        serialize_i32(value: i32);
        serialize_i64(value: i64);
        serialize_u8(value: u8);
        serialize_u16(value: u16);
        serialize_u32(value: u32);
        serialize_u64(value: u64);
        serialize_char(value: char);
        serialize_str(value: &str);
        serialize_bytes(value: &[u8]);
        serialize_unit_variant(name: &'static str, index: u32, variant: &'static str);
    }

    fn serialize_i128(self, value: i128) -> Result<S::Ok, S::Error> {
        self.limits.doubt();
        self.inner.serialize_i128(value)
    }

    fn serialize_u128(self, value: u128) -> Result<S::Ok, S::Error> {
        self.limits.doubt();
        self.inner.serialize_u128(value)
    }

    fn serialize_none(self) -> Result<S::Ok, S::Error> {
        self.nothing(self.limits.gaps.some_of_nothing)?;
        self.inner.serialize_none()
    }

    fn serialize_unit(self) -> Result<S::Ok, S::Error> {
        self.nothing(self.limits.gaps.some_of_nothing)?;
        self.inner.serialize_unit()
    }

    fn serialize_unit_struct(self, name: &'static str) -> Result<S::Ok, S::Error> {
        self.nothing(self.limits.gaps.some_of_unit_struct)?;
        self.inner.serialize_unit_struct(name)
    }

    fn collect_str<T: std::fmt::Display + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        self.inner.collect_str(value)
    }

    fn serialize_f32(self, value: f32) -> Result<S::Ok, S::Error> {
        self.check(value.into())?;
        self.inner.serialize_f32(value)
    }

    fn serialize_f64(self, value: f64) -> Result<S::Ok, S::Error> {
        self.check(value)?;
        self.inner.serialize_f64(value)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        let mut limits = self.descend()?;
        limits.in_some = true;
        self.inner.serialize_some(&limits.value(value))
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        let mut limits = self.descend()?;
        limits.in_some = self.limits.in_some;
        self.inner
            .serialize_newtype_struct(name, &limits.value(value))
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        let limits = self.descend()?;
        self.inner
            .serialize_newtype_variant(name, index, variant, &limits.value(value))
    }

    fn serialize_seq(self, length: Option<usize>) -> Result<Self::SerializeSeq, S::Error> {
        let limits = self.descend()?;
        self.count(length);
        Ok(Bounded {
            inner: self.inner.serialize_seq(length)?,
            limits,
        })
    }

    fn serialize_map(self, length: Option<usize>) -> Result<Self::SerializeMap, S::Error> {
        let limits = self.descend()?;
        self.count(length);
        if limits.gaps.odd_keys {
            limits.doubt();
        }
        Ok(Bounded {
            inner: self.inner.serialize_map(length)?,
            limits,
        })
    }

    descend! {
        serialize_tuple(length: usize) -> SerializeTuple by descend;
        serialize_tuple_struct(name: &'static str, length: usize) -> SerializeTupleStruct by descend;
        serialize_struct(name: &'static str, length: usize) -> SerializeStruct by descend;
        serialize_tuple_variant(name: &'static str, index: u32, variant: &'static str, length: usize)
            -> SerializeTupleVariant by descend_twice;
        serialize_struct_variant(name: &'static str, index: u32, variant: &'static str, length: usize)
            -> SerializeStructVariant by descend_twice;
    }
}

macro_rules! elements {
    ($($trait:ident: $($method:ident),*;)*) => {$(
        impl<C: ser::$trait> ser::$trait for Bounded<C, Writing<'_>> {
            type Ok = C::Ok;
            type Error = C::Error;

            $(
                fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), C::Error> {
                    self.inner.$method(&self.limits.value(value))
                }
            )*

            fn end(self) -> Result<C::Ok, C::Error> {
                self.inner.end()
            }
        }
    )*};
}

macro_rules! fields {
    ($($trait:ident),*) => {$(
        impl<C: ser::$trait> ser::$trait for Bounded<C, Writing<'_>> {
            type Ok = C::Ok;
            type Error = C::Error;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                name: &'static str,
                value: &T,
            ) -> Result<(), C::Error> {
                self.inner.serialize_field(name, &self.limits.value(value))
            }

            fn skip_field(&mut self, name: &'static str) -> Result<(), C::Error> {
                match self.limits.gaps.skipped_fields {
                    false => self.inner.skip_field(name),
                    true => Err(C::Error::custom(Refusal::SkippedField(name))),
                }
            }

            fn end(self) -> Result<C::Ok, C::Error> {
                self.inner.end()
            }
        }
    )*};
}

elements! {
    SerializeSeq: serialize_element;
    SerializeTuple: serialize_element;
    SerializeTupleStruct: serialize_field;
    SerializeTupleVariant: serialize_field;
}

impl<C: ser::SerializeMap> ser::SerializeMap for Bounded<C, Writing<'_>> {
    type Ok = C::Ok;
    type Error = C::Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), C::Error> {
        self.inner.serialize_key(&self.limits.value(key))
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), C::Error> {
        self.inner.serialize_value(&self.limits.value(value))
    }

    fn end(self) -> Result<C::Ok, C::Error> {
        self.inner.end()
    }
}

fields!(SerializeStruct, SerializeStructVariant);
