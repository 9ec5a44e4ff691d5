//! A persistent map that many processes share, ordered by insertion and by key.
//!
//! - [`Index`]: the map. [`Entry`]: read, change or insert in one transaction.
//! - [`Iter`], [`Keys`], [`Values`]: in insertion order. [`Range`]: in key order.
//! - [`Stream`]: the type of values that are read and written piece by piece.
//!
//! ```
//! use diskette::Index;
//!
//! # let dir = tempfile::tempdir()?;
//! # std::env::set_current_dir(&dir)?;
//! let ages = Index::<String, u32>::open("ages")?;
//! ages.insert("Ada", &36)?;
//! ages.insert("Alan", &41)?;
//! assert_eq!(ages.get("Ada")?, Some(36));
//!
//! // Any process that opens the directory sees the same, and counts without losing a birthday.
//! ages.entry("Ada").and_modify(|age| *age += 1).or_insert(0)?;
//! assert_eq!(ages.oldest()?, Some(("Ada".into(), 37)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod batch;
mod change;
mod handle;
mod index;
mod options;
mod order;
mod range;
mod rows;
mod sql;
mod stream;

pub use diskette_store::entries::{Entry, Iter, Keys, Maybe, Range, RangeKeys, Values};
pub use diskette_store::{Content, Stream};
pub use index::Index;
pub use options::IndexOptions;
