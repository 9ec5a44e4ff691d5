use std::borrow::Cow;
use std::ffi::{CStr, CString, OsStr, OsString};
use std::path::{Path, PathBuf};

use serde::Serialize;

/// What is written exactly as a `T` is, and so may stand for one: in `push_back("x")` on a `Deque<String>`, in
/// `get("x")` on an `Index<String, _>`.
///
/// Every type is like itself; `str` is like `String`, `[T]` like `Vec<T>`, `Path` like `PathBuf`, and so on. `Borrow`
/// would not do: `[T; N]` borrows as `[T]`, but serde writes an array without its length.
///
/// To implement it for a borrowed form of your own is a promise that its `Serialize` does
/// the same calls as that of `T`; a codec can't check it.
///
/// # Example
///
/// ```
/// use diskette::{Bincode, Codec, Like, Result};
///
/// fn push<T, Q: Like<T> + ?Sized>(item: &Q) -> Result<Vec<u8>> {
///     let mut bytes = Vec::new();
///     Bincode::encode(item, &mut bytes)?;
///     Ok(bytes)
/// }
///
/// assert_eq!(push::<String, _>("tea")?, push::<String, _>(&"tea".to_string())?);
/// assert_eq!(push::<(String, u64), _>(&("tea", 7))?, push::<(String, u64), _>(&("tea".to_string(), 7))?);
/// # Ok::<(), diskette::Error>(())
/// ```
///
/// An array is not like a `Vec`:
///
/// ```compile_fail
/// # fn push<T, Q: diskette::Like<T> + ?Sized>(item: &Q) {}
/// push::<Vec<u8>, _>(&[1, 2, 3]);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not written as a `{T}` is",
    note = "pass a `&{T}`, or a borrowed form of it such as `&str` for `String` or `&[T]` for `Vec<T>`"
)]
pub trait Like<T: ?Sized>: Serialize {}

impl<T: Serialize + ?Sized> Like<T> for T {}

impl Like<String> for str {}
impl Like<Box<str>> for str {}
impl Like<Cow<'_, str>> for str {}

impl<T: Serialize> Like<Vec<T>> for [T] {}
impl<T: Serialize> Like<Box<[T]>> for [T] {}
impl<T: Serialize + Clone> Like<Cow<'_, [T]>> for [T] {}

impl Like<PathBuf> for Path {}
impl Like<Box<Path>> for Path {}
impl Like<OsString> for OsStr {}
impl Like<CString> for CStr {}

impl<T: Serialize> Like<(String, T)> for (&str, T) {}
impl<T: Serialize> Like<(T, String)> for (T, &str) {}
impl Like<(String, String)> for (&str, &str) {}
impl Like<Option<String>> for Option<&str> {}
