use serde::Serialize;

use super::serializer;
use crate::error::Result;

/// The range of all keys that begin with `prefix`: its first bytes, inclusive, and the bytes at which
/// it ends, exclusive; `None` where it goes to the end.
///
/// - A string begins all strings that start with it: `"te"` begins `"tea"` and `("tea", 7)`. So do bytes,
///   and a `Vec` or slice begins all that start with its elements.
/// - A tuple begins all tuples, structs and arrays that start with its fields: `("tea",)` begins
///   `("tea", 7)`, but not `("teapot", 7)`: inside a tuple, each value must match whole. A struct of
///   the first few fields does the same.
/// - `()` begins every key.
/// - A newtype, `Some(x)` or an enum variant of one field begins what its field begins: `Some("te")` begins
///   `Some("tea")`.
/// - Any other value (a number, a `bool`, `None`, a variant) begins itself, and tuples that it is
///   the first field of. `1` does not begin `12`.
///
/// The prefix need not be of the type of the keys; where it is of a type with which none of them begins, the
/// range is empty. For "all tuples whose first field is `"a"` and whose second starts with
/// `"b"`", use a range from `("a", "b")` to `("a", "c")`.
///
/// # Errors
///
/// Where [`encode`](super::encode) has them.
///
/// # Example
///
/// ```
/// use diskette::key;
///
/// let mut key = Vec::new();
/// key::encode(&("tea", 7), &mut key)?;
///
/// let begins = |(start, end): (Vec<u8>, Option<Vec<u8>>)| {
///     start <= key && end.is_none_or(|end| key < end)
/// };
/// assert!(begins(key::prefix("te")?));
/// assert!(begins(key::prefix(&("tea",))?));
/// assert!(!begins(key::prefix(&("te",))?));
/// assert!(begins(key::prefix(&())?));
/// # Ok::<(), diskette::Error>(())
/// ```
pub fn prefix<P: Serialize + ?Sized>(prefix: &P) -> Result<(Vec<u8>, Option<Vec<u8>>)> {
    let mut start = Vec::new();
    serializer::encode_open(prefix, &mut start)?;
    let end = successor(&start);
    Ok((start, end))
}

/// The least bytes that are greater than all that begin with `bytes`, if there are any.
fn successor(bytes: &[u8]) -> Option<Vec<u8>> {
    let last = bytes.iter().rposition(|&byte| byte < 0xFF)?;
    let mut end = bytes[..=last].to_vec();
    end[last] += 1;
    Some(end)
}
