use serde::Serialize;

use crate::like::Like;

/// A value of an index or a cache, or none, as `compare_and_swap` takes it: a reference to what is
/// [like](Like) a value, such as `"x"` or `&7`; or `None`, or `Some(&value)`. There is nothing to implement.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is neither a reference to what stands for a `{V}`, nor an `Option<&{V}>`",
    note = "pass the value by reference, without `Some`; or `None` for no entry"
)]
pub trait Maybe<V>: Copy + Sealed<V> {
    /// What stands for the value.
    type Value: Like<V> + ?Sized;

    #[doc(hidden)]
    fn value(&self) -> Option<&Self::Value>;

    /// Is it what was found?
    #[doc(hidden)]
    fn is(&self, found: Option<&V>) -> bool
    where
        V: PartialEq<Self::Value>,
    {
        match (found, self.value()) {
            (Some(found), Some(value)) => found == value,
            (None, None) => true,
            _ => false,
        }
    }
}

pub trait Sealed<V> {}

impl<V, Q: Like<V> + ?Sized> Sealed<V> for &Q {}
impl<V, Q: Like<V> + ?Sized> Maybe<V> for &Q {
    type Value = Q;

    fn value(&self) -> Option<&Q> {
        Some(self)
    }
}

impl<V: Serialize> Sealed<V> for Option<&V> {}
impl<V: Serialize> Maybe<V> for Option<&V> {
    type Value = V;

    fn value(&self) -> Option<&V> {
        *self
    }
}
