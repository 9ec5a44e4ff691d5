//! Waiting for the first of several.

use std::time::Duration;

use diskette_ipc::Deadline;

use crate::error::Result;
use crate::store::Store;
use crate::structure::Structure;
use crate::transaction::within_another;
use crate::waiting::{Attempt, Place, wait_at};

/// Something that items come into, for which [`wait_any`] can wait.
pub trait Arrivals {
    /// The store that it is in, and what it is there.
    #[doc(hidden)]
    fn place(&self) -> (&Store, &Structure);

    /// Whether there is an item.
    #[doc(hidden)]
    fn has_any(&self) -> Result<bool>;

    /// After how long there may be one for which nobody rings.
    #[doc(hidden)]
    fn next(&self) -> Result<Option<Duration>> {
        Ok(None)
    }
}

/// Waits until one of several structures has an item, and says which; of several that have one, the first in the list. `None` when
/// the time is up.
///
/// Nothing is taken: another may be faster, and then one waits again. The structures may hold items of different types, and be in
/// different stores. Whoever doesn't want the first to be preferred changes their order.
///
/// # Errors
///
/// [`is_stopped`](crate::Error::is_stopped), if one of the stores has a [`Stop`](crate::Stop);
/// [`is_misuse`](crate::Error::is_misuse) within a transaction of this thread; those of the database.
///
/// # Cost
///
/// Nobody polls: for what is due at a time, it sleeps until then. But on Linux before 5.16, with more than 120 structures, and elsewhere than on Linux: there it looks every 5 to 10
/// milliseconds. One reading statement for each structure, whenever one of them has got something.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use diskette::{Deque, Store, wait_any};
///
/// # let dir = tempfile::tempdir()?;
/// # std::env::set_current_dir(&dir)?;
/// let store = Store::open("store")?;
/// let urgent = Deque::<String>::new(&store, "urgent")?;
/// let numbers = Deque::<u64>::new(&store, "numbers")?;
/// numbers.extend([1, 2])?;
/// urgent.push_back("now")?;
///
/// let mut order = Vec::new();
/// while let Some(which) = wait_any(&[&urgent, &numbers], Duration::from_millis(1))? {
///     match which {
///         0 => order.extend(urgent.pop_front()?),
///         _ => order.extend(numbers.pop_front()?.map(|number| number.to_string())),
///     }
/// }
/// assert_eq!(order, ["now", "1", "2"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn wait_any(sources: &[&dyn Arrivals], timeout: Duration) -> Result<Option<usize>> {
    let places = sources.iter().map(|source| {
        let (store, structure) = source.place();
        Place::new(store, structure, structure.arrivals())
    });
    let places: Vec<_> = places.collect();
    if places.iter().any(|place| place.store.is_in_transaction()) {
        return Err(within_another()); // where nobody else could bring anything
    }
    wait_at(&places, Deadline::after(timeout), |_, _| {
        let mut next = None;
        for (i, source) in sources.iter().enumerate() {
            if source.has_any()? {
                return Ok(Attempt::Done(i));
            }
            next = source.next()?.into_iter().chain(next).min();
        }
        Ok(next.map_or(Attempt::NotYet, Attempt::NotBefore))
    })
}
