use std::borrow::Cow;
use std::ffi::{CStr, CString, OsStr, OsString};
use std::path::{Path, PathBuf};

use serde::Serialize;

/// What is written exactly as a `T` is, and so may stand for one: in `push_back("x")` on a `Deque<String>`, in
/// `get("x")` on an `Index<String, _>`, `extend([("x", 1)])` there.
///
/// Every type is like itself, and a reference like what it refers to; `str` is like `String`, `[T]` like `Vec<T>`, `Path` like
/// `PathBuf`, and so on, and a tuple of up to four fields like one that has `String`s where it has `&str`s. `Borrow`
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
/// assert_eq!(push::<(u64, String), _>(&(7, "tea"))?, push::<(u64, String), _>(&(7, "tea".to_string()))?);
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

impl Like<Option<String>> for Option<&str> {}

// What is given by reference where it could be given away, as by `extend`.
impl<T: Serialize + ?Sized> Like<T> for &T {}
impl Like<String> for &str {}
impl Like<String> for Cow<'_, str> {}
impl<T: Serialize> Like<Vec<T>> for &[T] {}
impl Like<PathBuf> for &Path {}

/// Tuples of which one or more fields are `String`s, and `&str`s where they are given. Goes through the fields, the `$next` one
/// being either of its own type or a `String`; `$like` is whether one is a `String` already.
macro_rules! tuples {
    (like [$($stored:ty, $given:ty;)*] [$($own:ident)*]) => {
        impl<$($own: Serialize),*> Like<($($stored,)*)> for ($($given,)*) {}
    };
    (same [$($fields:tt)*] [$($own:ident)*]) => {};
    ($like:ident [$($fields:tt)*] [$($own:ident)*] $next:ident $($rest:ident)*) => {
        tuples!($like [$($fields)* $next, $next;] [$($own)* $next] $($rest)*);
        tuples!(like [$($fields)* String, &str;] [$($own)*] $($rest)*);
    };
}

tuples!(same [] [] A);
tuples!(same [] [] A B);
tuples!(same [] [] A B C);
tuples!(same [] [] A B C D);
