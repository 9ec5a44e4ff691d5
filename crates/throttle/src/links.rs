//! The rows of the throttles of a chain, of which there is always one.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use diskette_ipc::Clock;
use diskette_store::{Access, Db, Error, ErrorKind, Result, Store, Structure};

use crate::state::State;

/// One throttle of a chain.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub(crate) structure: Arc<Structure>,
    pub(crate) clock: Arc<dyn Clock>,
    /// Whether the last try by this handle was in vain: then the next may be as well.
    pub(crate) refuses: Arc<AtomicBool>,
}

/// Refuses throttles of several stores, and a transaction of another.
pub(crate) fn must_be_in(links: &[Link], store: &Store) -> Result<()> {
    let first = &links[0];
    first.structure.must_be_in(store)?;
    for link in links {
        link.structure.must_be_in(store).map_err(|_| {
            let (here, there) = (first.structure.name(), link.structure.name());
            Error::new(
                ErrorKind::Misuse,
                format!(
                    "the throttles of a chain must be in one store, and {there:?} is in another than {here:?}"
                ),
            )
        })?;
    }
    Ok(())
}

/// Says in an error what was done to which throttle.
pub(crate) fn doing<R>(links: &[Link], verb: &str, result: Result<R>) -> Result<R> {
    links[0].structure.doing(verb, result)
}

/// A change of the rows, in their turns.
pub(crate) fn write<A: Access, R: Send>(
    links: &[Link],
    access: &A,
    change: impl FnOnce(&Db<'_>) -> Result<R> + Send,
) -> Result<R> {
    let change = |db: &Db<'_>| {
        links.iter().try_for_each(|link| link.structure.enter(db))?;
        change(db)
    };
    match links {
        [_] => access.read_and_write_one(change),
        _ => access.write(change),
    }
}

/// One consistent look at all rows.
pub(crate) fn read<A: Access, R>(
    links: &[Link],
    access: &A,
    look: impl Fn(&Db<'_>) -> Result<R>,
) -> Result<R> {
    let look = |db: &Db<'_>| {
        let mut links = links.iter();
        links.try_for_each(|link| link.structure.must_be_named(db))?;
        look(db)
    };
    match links {
        [_] => access.read_one(look),
        _ => access.read(look),
    }
}

/// The rows, and the present time. The clock is read after them, so that it is never behind them; all
/// go by that of the first.
pub(crate) fn load(db: &Db<'_>, links: &[Link]) -> Result<(Vec<State>, u64)> {
    let states = links.iter().map(|link| State::load(db, &link.structure));
    let mut states = states.collect::<Result<Vec<_>>>()?;
    let reading = links[0].clock.read();
    let times = states.iter_mut().map(|state| state.resume(&reading));
    let now = times.max().unwrap_or(0);
    Ok((states, now))
}

/// Writes those rows that have to be written.
pub(crate) fn save(
    db: &Db<'_>,
    links: &[Link],
    states: &[State],
    which: impl Fn(&State) -> bool,
) -> Result<()> {
    let mut rows = states.iter().zip(links).filter(|(state, _)| which(state));
    rows.try_for_each(|(state, link)| state.save(db, &link.structure))
}
