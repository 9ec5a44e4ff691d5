use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::access::Access;
use crate::codec;
use crate::db::Db;
use crate::error::{Error, ErrorKind, Result};
use crate::following::Whose;
use crate::kind::Kind;
use crate::share::Share;
use crate::store::Store;

/// A structure in the catalog of a store: a name, a number, and its share of the tables of its kind.
///
/// # Process safety
///
/// Processes that open a new name at once get the same structure.
#[derive(Debug)]
pub struct Structure {
    share: Share,
    name: String,
    kind: &'static Kind,
    store: String,
    whose: Whose,
    /// How often structures had been removed when this one was last known to be there: to readers, and in a turn to write.
    removals: [AtomicU64; 2],
}

const FIND: &str = "SELECT structures.id, kind, format, codec FROM structures JOIN kinds ON kinds.name = kind \
    WHERE structures.name = $1";
const CREATE: &str = "INSERT INTO structures (name, kind, codec) VALUES ($1, $2, $3) RETURNING id";
const IS_THERE: &str = "SELECT 1 FROM structures WHERE id = $1";

impl Structure {
    /// Finds the structure, or makes it as `first` wants it: `first` runs in the transaction that makes it.
    ///
    /// # Errors
    ///
    /// [`is_invalid_input`](Error::is_invalid_input) for a name that is empty, longer than 255 bytes
    /// or has control characters; [`is_wrong_kind`](Error::is_wrong_kind) when the name belongs to
    /// another kind of structure or another codec; [`is_newer_format`](Error::is_newer_format);
    /// [`is_read_only`](Error::is_read_only) when it would have to be made, or brought over, in a store that is open for reading only.
    pub fn open(
        access: &impl Access,
        kind: &'static Kind,
        name: &str,
        codec: &'static str,
        first: impl FnOnce(&Db<'_>, &Structure) -> Result<()>,
    ) -> Result<Arc<Self>> {
        let store = access.store();
        let open = || {
            check_name(name)?;
            let structure = match access.read_one(|db| find(db, kind, name, codec))? {
                Some(structure) => structure,
                None if store.is_read_only() => {
                    return Err(access.read_one(|db| cant_make(db, kind))?);
                }
                None => access.write(|db| {
                    db.must_be_over_all()?;
                    kind.prepare(db)?;
                    match find(db, kind, name, codec)? {
                        Some(structure) => Ok(structure),
                        None => create(db, kind, name, codec, first),
                    }
                })?,
            };
            Self::opened(store, structure)
        };
        open().map_err(|error| opening(error, store, kind, name))
    }

    /// Finds the structure; `None` if there is none of this name.
    ///
    /// # Errors
    ///
    /// Those of [`open`](Self::open).
    pub fn find(
        access: &impl Access,
        kind: &'static Kind,
        name: &str,
        codec: &'static str,
    ) -> Result<Option<Arc<Self>>> {
        let store = access.store();
        let seek = || {
            check_name(name)?;
            let found = match access.read_one(|db| find(db, kind, name, codec))? {
                None if access.read_one(|db| kind.is_behind(db))? => {
                    if store.is_read_only() {
                        return Err(access.read_one(|db| cant_make(db, kind))?);
                    }
                    access.write(|db| {
                        db.must_be_over_all()?;
                        kind.prepare(db)?;
                        find(db, kind, name, codec)
                    })?
                }
                found => found,
            };
            let opened = found.map(|structure| Self::opened(store, structure));
            opened.transpose()
        };
        seek().map_err(|error| opening(error, store, kind, name))
    }

    fn opened(store: &Store, structure: Structure) -> Result<Arc<Self>> {
        let structure = Arc::new(structure);
        if structure.kind.claims.is_some() {
            match store.is_in_transaction() {
                false => store.undertake(&structure)?,
                // What is left to do is done again whenever somebody waits.
                true => {
                    let later = Arc::clone(&structure);
                    store.when_free(move |store| drop(store.undertake(&later)));
                }
            }
        }
        Ok(structure)
    }

    /// Its number in the store; never changes.
    pub fn id(&self) -> i64 {
        self.share.structure()
    }

    /// Its share of the tables of its kind.
    pub fn share(&self) -> Share {
        self.share
    }

    /// Its name in the store.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The line of the doorbell that wakes those who wait for something to come into it.
    pub fn arrivals(&self) -> usize {
        arrivals(self.id())
    }

    /// The line of the doorbell that wakes those who wait for something to leave it.
    pub fn departures(&self) -> usize {
        departures(self.id())
    }

    /// Refuses a transaction of another store.
    ///
    /// # Errors
    ///
    /// [`is_misuse`](Error::is_misuse).
    pub fn must_be_in(&self, store: &Store) -> Result<()> {
        if self.whose.is(store) {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Misuse,
            format!(
                "the transaction is one of another store, {}",
                store.path().display()
            ),
        ))
    }

    /// Begins a write to it, in its turn; for what writes to several, before the first statement. See [`Inside`](crate::Inside) else.
    ///
    /// # Errors
    ///
    /// [`is_misuse`](Error::is_misuse) in a transaction over others; [`is_removed`](Error::is_removed).
    pub fn enter(&self, db: &Db<'_>) -> Result<()> {
        self.must_be_named(db)?;
        db.is_for(self.id());
        self.must_be_there(db)
    }

    /// Refuses to be read in a transaction over others.
    ///
    /// # Errors
    ///
    /// [`is_misuse`](Error::is_misuse).
    pub fn must_be_named(&self, db: &Db<'_>) -> Result<()> {
        db.must_be_over(self.id())
    }

    /// Whether nothing was removed since it was last seen; for who has just taken a slot on the board.
    pub(crate) fn is_known_to_be_there(&self, store: &Store) -> bool {
        let removals = store.removals_in_turn();
        removals.is_ok_and(|removals| self.removals[0].load(Ordering::Relaxed) == removals)
    }

    /// Refuses if it was removed. Costs a look into shared memory, unless some structure was.
    ///
    /// # Errors
    ///
    /// [`is_removed`](Error::is_removed).
    pub fn must_be_there(&self, db: &Db<'_>) -> Result<()> {
        if db.sees_to(self.id()) {
            return Ok(());
        }
        // A reader may look just before the removal is committed: so what he saw doesn't count for who writes.
        let writes = db.writes();
        let known = &self.removals[usize::from(writes)];
        let removals = match writes {
            true => db.store().removals_in_turn()?,
            false => db.store().removals()?,
        };
        if known.load(Ordering::Relaxed) == removals && removals != Store::UNKNOWN {
            return Ok(());
        }
        self.look(db)?;
        db.has_seen(self.id());
        known.store(removals, Ordering::Relaxed);
        Ok(())
    }

    /// Refuses if it isn't in the catalog.
    pub(crate) fn look(&self, db: &Db<'_>) -> Result<()> {
        let there = db.query_one(IS_THERE, &[self.id().into()], |_| Ok(()))?;
        if there.is_none() {
            return Err(Error::new(
                ErrorKind::Removed,
                format!(
                    "the {} was removed from the store; make it anew",
                    self.kind.name
                ),
            ));
        }
        Ok(())
    }

    /// A number that differs once something was changed that was told by [`tell_changed`](Self::tell_changed); for what is
    /// known of the structure by heart. Read in a turn to write, before the rows that it is about.
    ///
    /// # Errors
    ///
    /// [`is_read_only`](Error::is_read_only).
    pub fn changes(&self, store: &Store) -> Result<u64> {
        store.removals_in_turn()
    }

    /// Says that something of it was changed, within the turn to write that does it.
    ///
    /// # Errors
    ///
    /// [`is_removed`](Error::is_removed) when the board is gone.
    pub fn tell_changed(&self, db: &Db<'_>) -> Result<()> {
        // Who looked in the middle of a transaction that is undone looks again.
        db.on_rollback(|store| drop(store.tell_changed()));
        db.store().tell_changed()
    }

    /// Why a line isn't there that it has in a table of its kind.
    pub fn missing(&self, db: &Db<'_>) -> Error {
        self.look(db).err().unwrap_or_else(|| {
            Error::new(
                ErrorKind::Corrupt,
                format!(
                    "it is not in the table of {}s: Store::check says what is damaged",
                    self.kind.name
                ),
            )
        })
    }

    /// Says in an error what was done, and where.
    ///
    /// # Errors
    ///
    /// That of `result`.
    pub fn doing<R>(&self, verb: &str, result: Result<R>) -> Result<R> {
        result.map_err(|error| {
            error.at(|| {
                format!(
                    "{verb} on the {} {:?} in {}",
                    self.kind.name, self.name, self.store
                )
            })
        })
    }

    pub(crate) fn kind(&self) -> &'static Kind {
        self.kind
    }
}

/// The line of the doorbell that wakes those who wait for something to come into the structure with this number.
pub(crate) fn arrivals(structure: i64) -> usize {
    usize::try_from(structure).unwrap_or(0) * 2
}

/// And the one for what leaves it.
pub(crate) fn departures(structure: i64) -> usize {
    arrivals(structure) + 1
}

pub(crate) fn check_name(name: &str) -> Result<()> {
    let wrong = if name.is_empty() {
        "is empty"
    } else if name.len() > 255 {
        "has more than 255 bytes"
    } else if name.chars().any(char::is_control) {
        "has control characters"
    } else {
        return Ok(());
    };
    Err(Error::new(
        ErrorKind::InvalidInput,
        format!("the name {wrong}; a structure's name has 1 to 255 bytes of printable text"),
    ))
}

fn opening(error: Error, store: &Store, kind: &Kind, name: &str) -> Error {
    let path = store.path();
    error.at(|| format!("opening the {} {name:?} in {}", kind.name, path.display()))
}

/// `None` also where the tables of the kind are those of the format before.
fn find(db: &Db<'_>, kind: &'static Kind, name: &str, codec: &str) -> Result<Option<Structure>> {
    let found = db.query_one(FIND, &[name.into()], |row| {
        let (found, format, written) = (row.text(1)?, row.int(2)?, row.text(3)?);
        if found != kind.name {
            return Err(Error::new(
                ErrorKind::WrongKind,
                format!("this name belongs to a structure of kind {found}: open it as that, or choose another name"),
            ));
        }
        kind.must_know(format)?;
        if written != codec {
            return Err(Error::new(
                ErrorKind::WrongKind,
                format!(
                    "it was written with the codec {written}, and is asked for with {codec}: open it by `options()`, with {}",
                    codec::way_to(written)
                ),
            ));
        }
        if format < kind.format {
            return Ok(None);
        }
        named(db, kind, name, row.int(0)?).map(Some)
    });
    found.map(Option::flatten)
}

/// Why one can't be found, or made, where nobody may write.
fn cant_make(db: &Db<'_>, kind: &Kind) -> Result<Error> {
    let message = match kind.is_behind(db)? {
        true => {
            "it may be there, in the format of an earlier diskette: let a user who may write open it once, which brings it over"
        }
        false => {
            "there is none of this name, and none can be made, since the store is open for reading only: use `find` to ask, or \
             open the store without Options::read_only"
        }
    };
    Ok(Error::new(ErrorKind::ReadOnly, message))
}

fn create(
    db: &Db<'_>,
    kind: &'static Kind,
    name: &str,
    codec: &str,
    first: impl FnOnce(&Db<'_>, &Structure) -> Result<()>,
) -> Result<Structure> {
    let id = db
        .query_one(
            CREATE,
            &[name.into(), kind.name.into(), codec.into()],
            |row| row.int(0),
        )?
        .ok_or_else(|| {
            Error::new(
                ErrorKind::Corrupt,
                "the catalog gave no number to a new structure",
            )
        })?;
    let structure = named(db, kind, name, id)?;
    first(db, &structure)?;
    Ok(structure)
}

fn named(db: &Db<'_>, kind: &'static Kind, name: &str, id: i64) -> Result<Structure> {
    Ok(Structure {
        share: Share::of(id)?,
        name: name.to_owned(),
        kind,
        store: db.store().path().display().to_string(),
        whose: db.store().whose(),
        removals: [db.store().removals()?, u64::MAX].map(AtomicU64::new),
    })
}
