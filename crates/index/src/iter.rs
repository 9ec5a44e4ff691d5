use std::fmt;
use std::iter::FusedIterator;

use diskette_store::{Access, Codec, MessagePack, Result, Store};
use serde::de::DeserializeOwned;

use crate::index::Index;
use crate::walk::{End, Walk};

/// The entries of an [`Index`] in insertion order, or backwards with [`rev`](Iterator::rev); made by
/// [`Index::iter`].
///
/// # Process safety
///
/// It goes from what was the oldest entry to what was the newest when it was made, page after page,
/// holding nothing in between: nobody waits for it. It may or may not show what others insert, change,
/// move or remove meanwhile, and comes to its end whatever they do. To see one moment only, iterate
/// within a [`snapshot`](Store::snapshot).
///
/// # Errors
///
/// Its items are those of [`Index::get`]. After an error it has ended.
pub struct Iter<K, V, C = MessagePack, A = Store>(pub(crate) Walk<K, V, C, A, i64, (K, V)>);

/// The keys of an [`Index`] in insertion order; made by [`Index::keys`]. It does not read the values;
/// otherwise it is as [`Iter`].
pub struct Keys<K, V, C = MessagePack, A = Store>(pub(crate) Walk<K, V, C, A, i64, K>);

/// The values of an [`Index`] in insertion order; made by [`Index::values`]. It is as [`Iter`].
pub struct Values<K, V, C = MessagePack, A = Store>(pub(crate) Iter<K, V, C, A>);

/// Entries of an [`Index`] in key order; made by [`Index::range`] and [`Index::prefix`].
///
/// It reads page after page as [`Iter`] does, up to the end that was asked for; where that was open, up to
/// what was the greatest key when it was made.
pub struct Range<K, V, C = MessagePack, A = Store>(pub(crate) Walk<K, V, C, A, Vec<u8>, (K, V)>);

/// The keys of an [`Index`] in key order; made by [`Index::range_keys`]. It is as [`Range`], and doesn't read the values.
pub struct RangeKeys<K, V, C = MessagePack, A = Store>(pub(crate) Walk<K, V, C, A, Vec<u8>, K>);

macro_rules! double_ended {
    ($name:ident, $item:ty, $next:expr) => {
        impl<K, V, C, A: Access> Iterator for $name<K, V, C, A> {
            type Item = Result<$item>;

            fn next(&mut self) -> Option<Self::Item> {
                $next(&mut self.0, End::Front)
            }
        }

        impl<K, V, C, A: Access> DoubleEndedIterator for $name<K, V, C, A> {
            fn next_back(&mut self) -> Option<Self::Item> {
                $next(&mut self.0, End::Back)
            }
        }

        impl<K, V, C, A: Access> FusedIterator for $name<K, V, C, A> {}

        impl<K, V, C, A> fmt::Debug for $name<K, V, C, A> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    };
}

double_ended!(Iter, (K, V), Walk::next);
double_ended!(Keys, K, Walk::next);
double_ended!(Range, (K, V), Walk::next);
double_ended!(RangeKeys, K, Walk::next);
double_ended!(Values, V, |entries: &mut Iter<K, V, C, A>, end| {
    let entry = entries.0.next(end)?;
    Some(entry.map(|(_, value)| value))
});

impl<K, V, C, A> IntoIterator for &Index<K, V, C, A>
where
    K: DeserializeOwned,
    V: DeserializeOwned,
    C: Codec,
    A: Access + Clone,
{
    type Item = Result<(K, V)>;
    type IntoIter = Iter<K, V, C, A>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
