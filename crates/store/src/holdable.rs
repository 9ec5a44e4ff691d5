use std::fmt::{self, Write};
use std::io;
use std::sync::{Arc, OnceLock};

use diskette_ipc::{self as ipc, Custody, Deadline, Holder, Link};

use crate::access::Access;
use crate::db::Db;
use crate::engine::Engine;
use crate::error::{Error, ErrorKind, Result, stopped};
use crate::fence;
use crate::hold::{Hold, Taken};
#[cfg(feature = "postgres")]
use crate::postgres;
use crate::store::Store;
use crate::structure::Structure;
use crate::transaction::Transaction;

/// A structure that threads hold and wait for: what locks and semaphores have in common. Its state is on the board
/// of the store, in shared memory, and not in the database.
#[doc(hidden)]
pub struct Holdable {
    structure: Arc<Structure>,
    store: Store,
    /// The store where it was when this was opened, and stays, with the slots there.
    here: Store,
    slots: Slots,
    /// Those at the place where the store has moved.
    slots_of_next: OnceLock<Slots>,
    limit: u32,
    /// Where it is written down how many there are to be, if that changes.
    recorded: Option<Recorded>,
    custody: Custody,
}

type Recorded = fn(&Db<'_>, &Structure) -> Result<u32>;

/// Where it is written who holds it.
enum Slots {
    Board(ipc::Slots),
    #[cfg(feature = "postgres")]
    Postgres(postgres::Slots),
}

impl Slots {
    fn of(store: &Store, structure: &Arc<Structure>, limit: u32) -> Result<Self> {
        store.must_be_writable()?;
        match store.engine() {
            Engine::Sqlite(sqlite) => {
                let board = sqlite.board()?;
                let number = sqlite.number_on_board(structure.id());
                let slots = board.sync().and_then(|()| board.slots(number, limit));
                let slots = slots.map_err(|error| failed("finding its place", error))?;
                Ok(Slots::Board(slots))
            }
            #[cfg(feature = "postgres")]
            Engine::Postgres(postgres) => {
                let structure = Arc::clone(structure);
                postgres::Slots::new(postgres, structure, limit).map(Slots::Postgres)
            }
        }
    }
}

impl Holdable {
    /// The structure, with so many slots.
    ///
    /// # Errors
    ///
    /// [`is_removed`](Error::is_removed) when the board was removed under others.
    pub fn new(
        store: &Store,
        structure: Arc<Structure>,
        custody: Custody,
        limit: u32,
    ) -> Result<Self> {
        let opened = store.in_one_place(|here| {
            let slots = Slots::of(here, &structure, limit)?;
            Ok((here.clone(), slots))
        });
        let (here, slots) = structure.doing("opening", opened)?;
        Ok(Self {
            store: store.clone(),
            here,
            structure,
            slots,
            slots_of_next: OnceLock::new(),
            limit,
            recorded: None,
            custody,
        })
    }

    /// The same with a limit that is written down in the store.
    #[must_use]
    pub fn with_limit_as(mut self, recorded: Recorded) -> Self {
        self.recorded = Some(recorded);
        self
    }

    /// One that always has `n` slots.
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new).
    pub fn with_slots(
        store: &Store,
        structure: Arc<Structure>,
        custody: Custody,
        n: u32,
    ) -> Result<Self> {
        let holdable = Self::new(store, structure, custody, n)?;
        // The board may know another structure by this number, from before the database was restored from a backup.
        if holdable.limit()? != n {
            holdable.set_limit(n)?;
        }
        Ok(holdable)
    }

    /// What it is in the store.
    pub fn structure(&self) -> &Structure {
        &self.structure
    }

    /// The store that it is in.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Takes `n` slots if they are free.
    ///
    /// # Errors
    ///
    /// [`is_removed`](Error::is_removed) when the board or this process's owner file is gone;
    /// [`is_invalid_input`](Error::is_invalid_input) when there are not so many, and for 0.
    pub fn try_take(&self, n: u32) -> Result<Option<Hold>> {
        if n == 0 {
            return Err(out_of_range(n, self.limit()?));
        }
        let taken = self.at(|slots| match slots {
            Slots::Board(slots) => {
                let taken = slots.try_take(n);
                let taken = taken.map_err(|error| failed("taking it", error))?;
                self.must_be_there()?;
                Ok(taken.map(Hold::from))
            }
            // Else nothing could have been taken.
            #[cfg(feature = "postgres")]
            Slots::Postgres(slots) => Ok(slots.try_take(n, self.custody)?.map(Hold::from)),
        })?;
        if taken.is_none() && n > 1 {
            let limit = self.limit()?;
            if n > limit {
                return Err(out_of_range(n, limit));
            }
        }
        Ok(taken)
    }

    /// Takes `n` slots, and waits for them; `None` when the time is up.
    ///
    /// # Errors
    ///
    /// Those of [`try_take`](Self::try_take); [`is_deadlock`](Error::is_deadlock); [`is_stopped`](Error::is_stopped);
    /// [`is_misuse`](Error::is_misuse) within a transaction of this thread.
    pub fn take(&self, n: u32, deadline: Deadline) -> Result<Option<Hold>> {
        if self.store.is_in_transaction() {
            return Err(Error::new(
                ErrorKind::Misuse,
                "waiting for it within a transaction would keep everybody from writing: take it before the transaction",
            ));
        }
        if let Some(hold) = self.try_take(n)? {
            return Ok(Some(hold));
        }
        if deadline.is_past() {
            return Ok(None);
        }
        let (stop, custody) = (self.store.stop(), self.custody);
        let taken = self.at(|slots| match slots {
            Slots::Board(slots) => {
                self.store.watch_deaths()?;
                let taken = slots.take_unless_stopped(n, deadline, custody, stop);
                let taken = taken.map_err(|error| failed("waiting for it", error))?;
                if !matches!(taken, ipc::Taken::TimedOut | ipc::Taken::Stopped) {
                    // It may have been removed while others held it.
                    self.must_be_there()?;
                }
                Ok(taken.into())
            }
            #[cfg(feature = "postgres")]
            Slots::Postgres(slots) => {
                self.store.watch_deaths()?;
                slots.take(&self.store, n, deadline, custody)
            }
        })?;
        match taken {
            Taken::Held(hold) => Ok(Some(hold)),
            Taken::TimedOut => Ok(None),
            Taken::Stopped => Err(stopped()),
            Taken::TooMany => Err(out_of_range(n, self.limit()?)),
            Taken::Deadlock(circle) => Err(self.deadlock(&circle)),
        }
    }

    /// How many slots there are.
    ///
    /// # Errors
    ///
    /// [`is_removed`](Error::is_removed) when the board is gone.
    pub fn limit(&self) -> Result<u32> {
        self.at(|slots| match slots {
            Slots::Board(slots) => {
                self.here.must_be_here()?;
                let limit = slots.limit();
                limit.map_err(|error| failed("asking how many there are", error))
            }
            #[cfg(feature = "postgres")]
            Slots::Postgres(slots) => slots.limit(),
        })
    }

    /// How many slots are free.
    ///
    /// # Errors
    ///
    /// [`is_removed`](Error::is_removed) when the board is gone.
    pub fn free(&self) -> Result<u32> {
        self.at(|slots| match slots {
            Slots::Board(slots) => {
                self.here.must_be_here()?;
                let free = slots.free();
                free.map_err(|error| failed("asking how many are free", error))
            }
            #[cfg(feature = "postgres")]
            Slots::Postgres(slots) => slots.free(),
        })
    }

    /// Sees to it that [`set_limit`](Self::set_limit) has room for so many.
    ///
    /// # Errors
    ///
    /// [`is_removed`](Error::is_removed) when the board is gone; a full disk.
    pub fn reserve(&self, limit: u32) -> Result<()> {
        self.at(|slots| match slots {
            Slots::Board(slots) => {
                self.here.must_be_here()?;
                let reserved = slots.reserve(limit);
                reserved.map_err(|error| failed("making room for so many", error))
            }
            #[cfg(feature = "postgres")]
            Slots::Postgres(_) => Ok(()),
        })
    }

    /// Changes how many slots there are.
    ///
    /// # Errors
    ///
    /// Those of [`reserve`](Self::reserve).
    pub fn set_limit(&self, limit: u32) -> Result<()> {
        self.at(|slots| match slots {
            Slots::Board(slots) => {
                self.here.must_be_here()?;
                let set = slots.set_limit(limit);
                set.map_err(|error| failed("changing how many there are", error))
            }
            #[cfg(feature = "postgres")]
            Slots::Postgres(slots) => slots.set_limit(limit),
        })
    }

    /// Who holds it, in the order in which they took it.
    ///
    /// # Errors
    ///
    /// [`is_removed`](Error::is_removed) when the board is gone.
    pub fn holders(&self) -> Result<Vec<Holder>> {
        let mut holders = self.at(|slots| match slots {
            Slots::Board(slots) => {
                self.here.must_be_here()?;
                let holders = slots.holders();
                holders.map_err(|error| failed("asking who holds it", error))
            }
            #[cfg(feature = "postgres")]
            Slots::Postgres(slots) => slots.holders(),
        })?;
        holders.sort_by_key(|holder| holder.since);
        Ok(holders)
    }

    /// Whether what was taken is still held. Once the store has moved, what was held before is held no more.
    #[must_use]
    pub fn is_held(&self, hold: &Hold) -> bool {
        self.must_be_from_here(hold).is_ok() && hold.is_held()
    }

    /// Whether it was taken where the store is, so that a thread that has it may go on with it.
    #[must_use]
    pub fn is_from_here(&self, hold: &Hold) -> bool {
        self.must_be_from_here(hold).is_ok()
    }

    /// Makes what is held the process's, so that any of its threads may give it back.
    ///
    /// # Errors
    ///
    /// [`is_overtaken`](Error::is_overtaken) if it isn't held any more.
    pub fn make_owned(&self, hold: &Hold) -> Result<()> {
        let own = || match hold.belong_to_process() {
            true => Ok(()),
            false => Err(lost()),
        };
        let owned = self.must_be_from_here(hold).and_then(|()| own());
        self.structure.doing("into_owned", owned)
    }

    /// Gives back what was held.
    ///
    /// # Errors
    ///
    /// [`is_overtaken`](Error::is_overtaken) if it was not held any more.
    pub fn give_back(&self, hold: Hold) -> Result<()> {
        let here = self.must_be_from_here(&hold);
        let given = hold.give_back().then_some(()).ok_or_else(lost);
        self.structure.doing("release", here.and(given))
    }

    /// Refuses if it isn't held any more.
    ///
    /// # Errors
    ///
    /// [`is_overtaken`](Error::is_overtaken); [`is_moved`](Error::is_moved).
    pub fn must_hold(&self, hold: &Hold) -> Result<()> {
        let held = match hold.is_held() {
            true => Ok(()),
            false => Err(lost()),
        };
        let held = self.must_be_from_here(hold).and(held);
        self.structure.doing("writing under", held)
    }

    /// Shows the tokens under which it is held, if nobody has shown greater ones.
    ///
    /// # Errors
    ///
    /// [`is_overtaken`](Error::is_overtaken), [`is_misuse`](Error::is_misuse) in a transaction of another store.
    pub fn show(&self, hold: &Hold, tx: &Transaction<'_>) -> Result<()> {
        let show = || {
            self.structure.must_be_in(tx.store())?;
            self.must_be_from_here(hold)?;
            if !hold.is_held_for(tx)? {
                return Err(lost());
            }
            let tokens = hold.tokens();
            tokens
                .into_iter()
                .try_for_each(|(slot, token)| fence::show(tx, &self.structure, slot, token))
        };
        self.structure.doing("writing under", show())
    }

    /// Does it where the store is.
    fn at<R>(&self, call: impl Fn(&Slots) -> Result<R>) -> Result<R> {
        let slots = self.slots()?;
        match call(slots) {
            Err(error) if matches!(slots, Slots::Board(_)) => match self.store.onward()? {
                Some(_) => call(self.slots()?),
                None => Err(error),
            },
            result => result,
        }
    }

    fn slots(&self) -> Result<&Slots> {
        if let (Slots::Board(_), Some(_)) = (&self.slots, self.store.next()) {
            return self.slots_of_next();
        }
        Ok(&self.slots)
    }

    fn slots_of_next(&self) -> Result<&Slots> {
        if let Some(slots) = self.slots_of_next.get() {
            return Ok(slots);
        }
        let store = self.store.now();
        let limit = match self.recorded {
            Some(recorded) if !store.is_in_transaction() => {
                store.read_one(|db| recorded(db, &self.structure))?
            }
            _ => self.limit,
        };
        let slots = Slots::of(&store, &self.structure, limit)?;
        let _ = self.slots_of_next.set(slots);
        self.slots_of_next()
    }

    /// For who has taken some on the board, or not.
    fn must_be_there(&self) -> Result<()> {
        if self.structure.is_known_to_be_there(&self.here) {
            return Ok(());
        }
        self.here.read_one(|db| self.structure.must_be_there(db))
    }

    /// Refuses what was taken where the store is no more: nobody there knows of it.
    fn must_be_from_here(&self, hold: &Hold) -> Result<()> {
        match hold.is_of_board() {
            true => self.here.must_be_here(),
            false => Ok(()),
        }
    }

    /// Who waits for whom.
    fn deadlock(&self, circle: &[Link]) -> Error {
        let mut story = String::from("waiting for it would never end: ");
        for (i, link) in circle.iter().enumerate() {
            let who = if i == 0 { "this thread" } else { "which" };
            let what = self.name_of(link.waits_for);
            let _ = write!(story, "{who} waits for {what}, ");
            let _ = match circle.get(i + 1) {
                Some(next) => write!(story, "held by {}, ", next.party),
                None => write!(story, "held by this thread, {}", circle[0].party),
            };
        }
        story.push_str(
            "; give back what you hold and begin anew, or take locks in one order everywhere",
        );
        Error::new(ErrorKind::Deadlock, story)
    }

    fn name_of(&self, id: i64) -> String {
        const NAME: &str = "SELECT kind, name FROM structures WHERE id = $1";
        let name = self.store.read_one(|db| {
            db.query_one(NAME, &[id.into()], |row| {
                Ok(format!("the {} {:?}", row.text(0)?, row.text(1)?))
            })
        });
        name.ok()
            .flatten()
            .unwrap_or_else(|| format!("structure {id}"))
    }
}

impl fmt::Debug for Holdable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.describe(f, "Holdable")
    }
}

impl Holdable {
    /// For the `Debug` of the type that it is the inside of.
    pub fn describe(&self, f: &mut fmt::Formatter<'_>, of: &str) -> fmt::Result {
        f.debug_struct(of)
            .field("name", &self.structure.name())
            .field("store", &self.store.path())
            .finish()
    }
}

fn lost() -> Error {
    Error::new(
        ErrorKind::Overtaken,
        "it is not held any more: it belongs to the process that this one was forked from, or the board or the owner \
         file of this process was removed, or its session with the server was lost",
    )
}

fn out_of_range(n: u32, limit: u32) -> Error {
    Error::new(
        ErrorKind::InvalidInput,
        format!("{n} at once were asked for, and there are {limit}: ask for 1 to {limit}"),
    )
}

fn failed(doing: &str, error: io::Error) -> Error {
    if error.kind() == io::ErrorKind::NotFound {
        let message =
            format!("{error}; end the processes that have the store open, then open it anew");
        return Error::new(ErrorKind::Removed, message).caused_by(error);
    }
    Error::io(doing, error)
}
