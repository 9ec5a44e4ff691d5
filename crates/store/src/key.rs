//! Keys as bytes whose order is the order of the keys.
//!
//! An `Index` or `Cache` finds its keys by their bytes, and walks, ranges and prefixes over them in byte
//! order. [`encode`] writes any key that serde can serialize so that this order is the order of its
//! type; [`decode`] reads it back; [`prefix`] is the range of all keys that begin alike.
//!
//! ```
//! use diskette::key;
//!
//! fn bytes<K: serde::Serialize>(key: K) -> Vec<u8> {
//!     let mut bytes = Vec::new();
//!     key::encode(&key, &mut bytes).unwrap();
//!     bytes
//! }
//!
//! assert!(bytes(-7) < bytes(3) && bytes(3) < bytes(400));
//! assert!(bytes(("tea", 2)) < bytes(("tea", 10)));
//! assert!(bytes(("tea", 10)) < bytes(("teapot", 1)));
//! assert!(bytes(None::<f64>) < bytes(Some(-1.5)));
//!
//! let key: (String, u64) = key::decode(&bytes(("tea", 2)))?;
//! assert_eq!(key, ("tea".to_string(), 2));
//! # Ok::<(), diskette::Error>(())
//! ```
//!
//! # What can be a key
//!
//! | type | order |
//! |---|---|
//! | integers of every width | by value; `5u8`, `5i64` and `5usize` are the same key |
//! | `f32`, `f64` | by value, infinities at the ends, after them one NaN; `-0.0` is `0.0`; `1.5f32` and `1.5f64` are the same key |
//! | `bool`, `char` | as in Rust |
//! | `Duration`, `SystemTime`, `IpAddr`, `SocketAddr` | as in Rust; a `SystemTime` before 1970 needs [`Ordered`] |
//! | strings, paths | by their UTF-8 bytes, as in Rust |
//! | bytes (`serde_bytes`) | by byte |
//! | `Option` | `None`, then `Some` in order |
//! | tuples, structs, arrays | by the first field, then the second, ...; field names are not written |
//! | `Vec`, slices | by the first element, then the second, ...; a beginning before what it begins |
//! | enums | by the position of the variant in the declaration, then by its fields |
//! | newtypes, `Box`, `Cow`, ... | as what they hold |
//!
//! A type with a `Serialize` of its own is ordered as what that writes; note that `std::cmp::Reverse` writes
//! what it holds and so reverses nothing, and that a `HashSet` writes its elements in any order and so is
//! no key. `Vec<u8>` and `[u8; N]` are fine keys, of 1.25 bytes for each of theirs on average; through
//! `serde_bytes`, or as [`Ordered<[u8; N]>`](Ordered), it is about 1. Refused with an error: maps, fields left out
//! by `skip_serializing_if` or brought in by `flatten`, and nesting beyond 100 levels.
//!
//! <div class="warning">
//!
//! **A type that serde writes as text is sorted as text.** Its keys are found again all the same, but ranges and key order
//! are not those of the type, and no error says so:
//!
//! - Instants: `chrono::DateTime` and `jiff::Timestamp` write `…:00.500Z`, which sorts before `…:00Z`. [`Ordered`] holds
//!   them, with the feature `chrono` or `jiff`, and then they sort. Those with an offset or a time zone, such as
//!   `DateTime<FixedOffset>` and `jiff::Zoned`, sort by the clock on the wall: make instants of them.
//! - Dates: `chrono::NaiveDate` and `jiff::civil::Date` sort in the years from 0 to 9999 only.
//! - Decimals: with `rust_decimal::Decimal` and `bigdecimal::BigDecimal`, `10` sorts before `9`. Take an integer of the
//!   smallest unit.
//! - Versions: with `semver::Version`, `1.10.0` sorts before `1.9.0`. Take a tuple of its numbers.
//!
//! So do numbers and dates that are strings already. A `uuid::Uuid` is written as bytes, and sorts.
//!
//! </div>
//!
//! Once there are keys in a store, their type may still become a wider integer or float, a newtype of
//! itself, or an enum with more variants at its end. A key that does not fit the type it is read as is
//! an error that says what was expected and what was found.
//!
//! # The format
//!
//! Each value is a tag and what the tag says. No value's bytes begin those of another of its type, so that
//! fields can stand one after the other. All numbers are big-endian.
//!
//! | value | bytes |
//! |---|---|
//! | `None` | `01` |
//! | `Some(x)` | `02`, x |
//! | `()`, and a struct, tuple or array of nothing | `03` |
//! | `false`, `true` | `04`, `05` |
//! | negative integer of n bytes (1 to 16, as few as hold it) | `20` - n, the n low bytes of its two's complement |
//! | integer 0 to 191 | `20` + integer |
//! | greater integer of n bytes (1 to 16, as few as hold it) | `df` + n, the n bytes |
//! | float | `f0`, the 8 bytes of the `f64`: sign flipped if positive, all bits flipped if negative |
//! | `char` | `f1`, 3 bytes |
//! | string | `f2`, its UTF-8 with `00` written as `01 01` and `01` as `01 02`, `00` |
//! | bytes | `f3`, the bytes with `00` written as `01 01` and `01` as `01 02`, `00` |
//! | `Vec`, slice | `f4`, the elements, `00` |
//! | enum variant | `f5`, its index as an integer, its fields |
//! | tuple, struct, array | the fields |
//!
//! An [`Ordered`] adds nothing to these: an instant is the pair of its second and its nanosecond, and bytes of a known
//! number are integers of 16 bytes each, the last of what is left.
//!
//! The closing `00` is below every tag and stands nowhere in a string, so that what ends sorts before what
//! goes on. The tag costs a byte and pays for it: integers take the bytes that they need and no more, and bytes
//! read as the wrong type are noticed. A string at the end of a key is closed like any other, so that a key is the
//! same bytes whether it stands alone or begins a tuple.
//!
//! # Cost
//!
//! One pass, no allocation beyond the bytes: some 10 ns for a string of 30 bytes, 5 for an integer. A key is decoded
//! without copying but for its strings and bytes, and rotten bytes are an error that has allocated
//! no more than they could hold.

mod deserializer;
mod failure;
mod fixed;
mod input;
mod instant;
mod number;
mod ordered;
mod prefix;
mod serializer;
mod show;
mod tag;
mod text;

pub use deserializer::decode;
pub use ordered::Ordered;
pub use prefix::prefix;
pub use serializer::encode;
pub use show::show;

/// How deep a key may nest, so that neither it nor rotten bytes exhaust the stack.
const LEVELS: u8 = 100;
