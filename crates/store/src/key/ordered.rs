use std::fmt::{self, Display};
use std::ops::Deref;

use serde::de::{self, DeserializeOwned};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A `T` that sorts as a key as it does in Rust, and takes no more bytes than it needs; for types that serde writes
/// otherwise.
///
/// | `T` | feature | as a key | without `Ordered` |
/// |---|---|---|---|
/// | `SystemTime` | | the second since 1970 and the nanosecond: 2 to 14 bytes, at most 10 until 2106 | the same, and an error before 1970 |
/// | `chrono::DateTime<Utc>` | `chrono` | the same | text, in another order |
/// | `jiff::Timestamp` | `jiff` | the same | text, in another order |
/// | `uuid::Uuid` | `uuid` | an integer, at most 17 bytes | up to 34 bytes |
/// | `[u8; N]` | | an integer for each 16 bytes, at most 17 for these | up to 32 bytes for these |
///
/// It may stand wherever a key may: in tuples and structs, in an `Option`, in a newtype. An instant is the same key
/// whichever type it comes from, so that programs with different crates for time can share an index; only chrono has
/// leap seconds, and for the others they are an error. Of a time with an offset or a zone take the instant, by which it
/// sorts: `DateTime::to_utc`, `Zoned::timestamp`.
///
/// `Ordered` is written otherwise than its `T`, so `get(&time)` doesn't compile, and `get(&Ordered(time))` does. An
/// index whose keys were written without it has to be copied into another; reading them is an error.
///
/// In a value, where nothing sorts, the `T` itself will do. An `Ordered` in one is written by [`Json`](crate::Json) as
/// the `T` is (a `SystemTime` as a pair of numbers), by the other codecs as numbers, and comes back. (Bytes in a tagged or
/// untagged enum don't, through [`MessagePack`](crate::MessagePack), and are refused.)
///
/// # Example
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use diskette::key::Ordered;
/// use diskette::{Index, Store};
///
/// # let dir = tempfile::tempdir()?;
/// # std::env::set_current_dir(&dir)?;
/// let store = Store::open("store")?;
/// // Two events may be of the same moment, so their key goes on with a number.
/// let events = Index::<(Ordered<SystemTime>, u64), String>::new(&store, "events")?;
///
/// let now = SystemTime::now();
/// let moon = SystemTime::UNIX_EPOCH - Duration::from_secs(14_182_916);
/// events.insert(&(Ordered(now), 1), "started")?;
/// events.insert(&(Ordered(moon), 1), "landed")?;
///
/// let last_hour = (Ordered(now - Duration::from_secs(3600)), 0)..;
/// assert_eq!(events.range(last_hour).count(), 1);
///
/// let Some(((time, _), event)) = events.first_key_value()? else { unreachable!() };
/// assert_eq!((SystemTime::from(time), event.as_str()), (moon, "landed"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// With the features `chrono` and `uuid`:
///
/// ```
/// use chrono::{DateTime, TimeDelta, Utc};
/// use diskette::key::Ordered;
/// use diskette::{Index, Store};
/// use uuid::Uuid;
///
/// # #[cfg(all(feature = "chrono", feature = "uuid"))] {
///
/// # let dir = tempfile::tempdir()?;
/// # std::env::set_current_dir(&dir)?;
/// let store = Store::open("store")?;
/// let orders = Index::<(Ordered<DateTime<Utc>>, Ordered<Uuid>), f64>::new(&store, "orders")?;
///
/// let start = DateTime::UNIX_EPOCH;
/// for milliseconds in [0, 500, 1000] {
///     let time = start + TimeDelta::milliseconds(milliseconds);
///     orders.insert(&(Ordered(time), Ordered(Uuid::nil())), &9.5)?;
/// }
///
/// let id = Ordered(Uuid::max());
/// let half_a_second = orders.range(..=(Ordered(start + TimeDelta::milliseconds(500)), id));
/// assert_eq!(half_a_second.count(), 2);
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ordered<T>(
    /// What it is.
    pub T,
);

impl<T> Deref for Ordered<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> From<T> for Ordered<T> {
    fn from(inner: T) -> Self {
        Ordered(inner)
    }
}

impl<T: Display> Display for Ordered<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How an [`Ordered`] is written.
pub(super) trait Form: Serialize + DeserializeOwned {
    /// Its order is that of the type; no two values have the same.
    type Form: Serialize + DeserializeOwned + Copy + std::fmt::Debug;

    /// Has serde a text of it that is better where people read?
    const READABLE: bool;

    fn form(&self) -> Self::Form;

    /// `None` if no value has this form.
    fn of_form(form: Self::Form) -> Option<Self>;
}

pub(super) fn serialize<T: Form, S: Serializer>(
    value: &T,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    if T::READABLE && serializer.is_human_readable() {
        value.serialize(serializer)
    } else {
        value.form().serialize(serializer)
    }
}

pub(super) fn deserialize<'de, T: Form, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    let form = if T::READABLE && deserializer.is_human_readable() {
        match Readable::deserialize(deserializer)? {
            Readable::Text(value) => return Ok(value),
            Readable::Form(form) => form,
        }
    } else {
        T::Form::deserialize(deserializer)?
    };
    T::of_form(form).ok_or_else(|| {
        let of = std::any::type_name::<T>();
        de::Error::custom(format!("{form:?} is out of the range of {of}"))
    })
}

/// What serde buffers on its way, for tagged enums and the like, claims to be readable whatever its format is.
#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "this is neither the text nor the numbers of an instant or id"
)]
enum Readable<T, F> {
    Text(T),
    Form(F),
}

/// On each type by itself, for its docs to say which they are.
macro_rules! ordered {
    ($type:ty) => {
        impl serde::Serialize for $crate::key::Ordered<$type> {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                $crate::key::ordered::serialize(&self.0, serializer)
            }
        }

        impl<'de> serde::Deserialize<'de> for $crate::key::Ordered<$type> {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::key::ordered::deserialize(deserializer).map($crate::key::Ordered)
            }
        }

        impl From<$crate::key::Ordered<$type>> for $type {
            fn from(ordered: $crate::key::Ordered<$type>) -> Self {
                ordered.0
            }
        }
    };
}

pub(super) use ordered;
