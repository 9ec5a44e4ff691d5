//! Parameters and columns, as the server has them.

use std::error::Error as StdError;

use postgres_types::private::BytesMut;
use postgres_types::{FromSql, IsNull, ToSql, Type};

use crate::row::{Field, Value};

/// A parameter, sent as the type that the server takes it for.
#[derive(Debug)]
pub(crate) struct Parameter<'a>(pub(crate) Value<'a>);

type Failure = Box<dyn StdError + Sync + Send>;

impl ToSql for Parameter<'_> {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Failure> {
        match (self.0, ty) {
            (Value::Null, _) => Ok(IsNull::Yes),
            (Value::Int(number), &Type::INT8) => number.to_sql(ty, out),
            (Value::Int(number), &Type::INT4) => i32::try_from(number)?.to_sql(ty, out),
            (Value::Int(number), &Type::BOOL) => (number != 0).to_sql(ty, out),
            (Value::Int(number), &Type::OID) => u32::try_from(number)?.to_sql(ty, out),
            (Value::Text(text), &Type::TEXT | &Type::NAME) => text.to_sql(ty, out),
            (Value::Blob(bytes), &Type::BYTEA) => bytes.to_sql(ty, out),
            (value, ty) => Err(format!("{value:?} is no {ty}").into()),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    postgres_types::to_sql_checked!();
}

/// A parameter that is kept until it is sent.
#[derive(Debug)]
pub(crate) enum Owned {
    Null,
    Int(i64),
    Text(String),
    Blob(Vec<u8>),
}

impl From<Value<'_>> for Owned {
    fn from(value: Value<'_>) -> Self {
        match value {
            Value::Null => Owned::Null,
            Value::Int(number) => Owned::Int(number),
            Value::Text(text) => Owned::Text(text.to_owned()),
            Value::Blob(bytes) => Owned::Blob(bytes.to_owned()),
        }
    }
}

impl ToSql for Owned {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Failure> {
        let value = match self {
            Owned::Null => Value::Null,
            Owned::Int(number) => Value::Int(*number),
            Owned::Text(text) => Value::Text(text),
            Owned::Blob(bytes) => Value::Blob(bytes),
        };
        Parameter(value).to_sql(ty, out)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    postgres_types::to_sql_checked!();
}

/// What is in a column.
pub(crate) struct Column<'r>(pub(crate) Field<'r>);

impl<'r> FromSql<'r> for Column<'r> {
    fn from_sql(ty: &Type, raw: &'r [u8]) -> Result<Self, Failure> {
        let int = match *ty {
            Type::INT8 => i64::from_sql(ty, raw)?,
            Type::INT4 => i32::from_sql(ty, raw)?.into(),
            Type::INT2 => i16::from_sql(ty, raw)?.into(),
            Type::OID => u32::from_sql(ty, raw)?.into(),
            Type::BOOL => bool::from_sql(ty, raw)?.into(),
            Type::NUMERIC => whole(raw).ok_or("a sum beyond 64 bits")?,
            Type::TEXT | Type::NAME => return Ok(Column(Field::Text(raw))),
            Type::BYTEA => return Ok(Column(Field::Blob(raw))),
            _ => return Err(format!("a column of type {ty}").into()),
        };
        Ok(Column(Field::Int(int)))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Failure> {
        Ok(Column(Field::Null))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// A whole number that a sum gives: digits of base 10,000, after their number, the weight of the first, the sign and the scale.
fn whole(raw: &[u8]) -> Option<i64> {
    const NEGATIVE: i16 = 0x4000;
    let mut numbers = raw
        .chunks_exact(2)
        .map(|bytes| i16::from_be_bytes([bytes[0], bytes[1]]));
    let (digits, weight) = (numbers.next()?, numbers.next()?);
    let (sign, _scale) = (numbers.next()?, numbers.next()?);
    let mut number = 0_i64;
    for place in 0..=weight.max(-1) {
        let digit = if place < digits { numbers.next()? } else { 0 };
        number = number.checked_mul(10_000)?.checked_add(digit.into())?;
    }
    Some(if sign == NEGATIVE { -number } else { number })
}
