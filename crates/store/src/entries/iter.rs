use std::fmt;
use std::iter::FusedIterator;

use crate::access::Access;
use crate::entries::{End, Walk, Walks};
use crate::error::Result;
use crate::store::Store;

/// The entries of an index or a cache in insertion order, or backwards with [`rev`](Iterator::rev).
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
/// Its items are those of `get`. After an error it has ended.
pub struct Iter<K, V, A = Store>(Walks<A, i64, (K, V)>);

/// The keys of an index or a cache in insertion order. It does not read the values; otherwise it is as [`Iter`].
pub struct Keys<K, A = Store>(Walks<A, i64, K>);

/// The values of an index or a cache in insertion order. It is as [`Iter`].
pub struct Values<V, A = Store>(Walks<A, i64, V>);

/// Entries of an index or a cache in key order.
///
/// It reads page after page as [`Iter`] does, up to the end that was asked for; where that was open, up to
/// what was the greatest key when it was made.
pub struct Range<K, V, A = Store>(Walks<A, Vec<u8>, (K, V)>);

/// Keys of an index or a cache in key order. It is as [`Range`], and doesn't read the values.
pub struct RangeKeys<K, A = Store>(Walks<A, Vec<u8>, K>);

macro_rules! double_ended {
    ($name:ident<$($of:ident),+>, $position:ty, $item:ty) => {
        #[doc(hidden)]
        impl<$($of,)+ A> From<Walk<A, $position, $item>> for $name<$($of,)+ A> {
            fn from(walk: Walk<A, $position, $item>) -> Self {
                Walks::from(walk).into()
            }
        }

        #[doc(hidden)]
        impl<$($of,)+ A> From<Walks<A, $position, $item>> for $name<$($of,)+ A> {
            fn from(walks: Walks<A, $position, $item>) -> Self {
                $name(walks)
            }
        }

        impl<$($of,)+ A: Access> Iterator for $name<$($of,)+ A> {
            type Item = Result<$item>;

            fn next(&mut self) -> Option<Self::Item> {
                self.0.next(End::Front)
            }
        }

        impl<$($of,)+ A: Access> DoubleEndedIterator for $name<$($of,)+ A> {
            fn next_back(&mut self) -> Option<Self::Item> {
                self.0.next(End::Back)
            }
        }

        impl<$($of,)+ A: Access> FusedIterator for $name<$($of,)+ A> {}

        impl<$($of,)+ A> fmt::Debug for $name<$($of,)+ A> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    };
}

double_ended!(Iter<K, V>, i64, (K, V));
double_ended!(Keys<K>, i64, K);
double_ended!(Values<V>, i64, V);
double_ended!(Range<K, V>, Vec<u8>, (K, V));
double_ended!(RangeKeys<K>, Vec<u8>, K);
