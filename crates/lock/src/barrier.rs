use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use diskette_ipc::Deadline;
use diskette_store::{Access, Db, Error, ErrorKind, Result, Store, Structure};

use crate::sql;

/// A place in a store where a number of threads, of any processes, wait for each other: none goes on until all have come.
/// Then the next round begins.
///
/// A handle: cheap to clone, and to send to other threads. The number of parties is recorded, and is the same for
/// all who open the barrier; [`open_or_set`](Self::open_or_set) and [`set_parties`](Self::set_parties) change it.
///
/// # Process safety
///
/// Any number of threads of any processes may come; each is one party. Who comes when a round is complete waits in
/// the next one. A timeout is kept but for the turn to write that it takes to withdraw.
///
/// # Crashes
///
/// The arrival of a process that dies while it waits is taken back at once, and another may come in its place. A
/// party that dies once the round is complete has taken part; if it is the leader, the others hear nothing of it.
///
/// # Ordering
///
/// What a party did before it came, in the store or elsewhere, is done when another leaves.
///
/// # Cost
///
/// To come: one transaction of three statements, and one that reads when all are there. Nobody polls: whoever waits is
/// woken, and looks twice a second besides.
///
/// # Example
///
/// ```
/// use diskette::{Barrier, Result, Store};
///
/// # let dir = tempfile::tempdir()?;
/// # std::env::set_current_dir(&dir)?;
/// let store = Store::open("store")?;
/// let loaded = Barrier::new(&store, "all have loaded", 3)?;
///
/// let parties: Vec<_> = (0..3)
///     .map(|_| {
///         let loaded = loaded.clone(); // in another process it would be opened by its name
///         std::thread::spawn(move || loaded.wait())
///     })
///     .collect();
/// let waits = parties.into_iter().map(|party| party.join().unwrap());
/// let waits = waits.collect::<Result<Vec<_>>>()?;
/// assert_eq!(waits.iter().filter(|wait| wait.is_leader()).count(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Barrier {
    pub(crate) structure: Arc<Structure>,
    pub(crate) store: Store,
}

/// All parties of a round have come to a [`Barrier`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BarrierWait {
    pub(crate) is_leader: bool,
}

impl BarrierWait {
    /// Is this the party that came last? There is one in each round.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.is_leader
    }
}

impl Barrier {
    /// Opens the barrier of this name in a store, for so many parties; makes it if there is none.
    ///
    /// # Errors
    ///
    /// [`is_invalid_input`](Error::is_invalid_input) for no parties, for another number than the one recorded, and for a
    /// name that is empty, longer than 255 bytes or has control characters; [`is_wrong_kind`](Error::is_wrong_kind) when
    /// the name belongs to another kind of structure.
    pub fn new(store: &Store, name: &str, parties: u32) -> Result<Self> {
        let barrier = Self::open(store, name, parties)?;
        let recorded = barrier.recorded();
        let agree = recorded.and_then(|recorded| must_be(recorded, parties));
        barrier.structure.doing("opening", agree)?;
        Ok(barrier)
    }

    /// Opens the barrier of this name in a store and makes it one for so many parties, whatever it was for; makes it if there
    /// is none. For a new release with another number: programs of the old one that run go by the new number, as after
    /// [`set_parties`](Self::set_parties).
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new), but for another number than the one recorded, and of [`set_parties`](Self::set_parties).
    ///
    /// # Example
    ///
    /// ```
    /// use diskette::{Barrier, Store};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # std::env::set_current_dir(&dir)?;
    /// let store = Store::open("store")?;
    /// let old = Barrier::new(&store, "loaded", 3)?;
    /// assert!(Barrier::new(&store, "loaded", 4).is_err());
    /// Barrier::open_or_set(&store, "loaded", 4)?;
    /// assert_eq!(old.parties()?, 4);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn open_or_set(store: &Store, name: &str, parties: u32) -> Result<Self> {
        let barrier = Self::open(store, name, parties)?;
        let set = barrier.recorded().and_then(|recorded| {
            if recorded == parties {
                return Ok(());
            }
            barrier.set(parties)
        });
        barrier.structure.doing("opening", set)?;
        Ok(barrier)
    }

    /// Opens the barrier of this name, for as many parties as it has; `None` if there is none.
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new), but for the parties.
    pub fn find(store: &Store, name: &str) -> Result<Option<Self>> {
        let found = Structure::find(store, &sql::BARRIER, name, "")?;
        Ok(found.map(|structure| Self::of(store, structure)))
    }

    fn open(store: &Store, name: &str, parties: u32) -> Result<Self> {
        let create = |db: &Db<'_>, structure: &Structure| {
            check_parties(parties)?;
            let params = [structure.id().into(), i64::from(parties).into()];
            db.run(sql::CREATE, &params)
        };
        let structure = Structure::open(store, &sql::BARRIER, name, "", create)?;
        structure.doing("opening", check_parties(parties))?;
        Ok(Self::of(store, structure))
    }

    fn of(store: &Store, structure: Arc<Structure>) -> Self {
        let store = store.clone();
        Self { structure, store }
    }

    /// Waits until all parties have come, however long it takes.
    ///
    /// # Errors
    ///
    /// [`is_misuse`](Error::is_misuse) within a transaction of this thread; [`is_removed`](Error::is_removed) if the
    /// file by which others know that this process lives was removed, so that its arrival doesn't count;
    /// [`is_stopped`](Error::is_stopped); those of the database. After an error this party has not come, as far as that can still be written down.
    pub fn wait(&self) -> Result<BarrierWait> {
        let waited = self.structure.doing("wait", self.pass(Deadline::never()))?;
        waited.ok_or_else(|| unreachable!("a wait without a deadline doesn't time out"))
    }

    /// Waits until all parties have come; `None` when the time is up, and then this party has not come. A timeout of
    /// zero doesn't wait: it is for the last.
    ///
    /// # Errors
    ///
    /// Those of [`wait`](Self::wait).
    pub fn wait_timeout(&self, timeout: Duration) -> Result<Option<BarrierWait>> {
        let waited = self.pass(Deadline::after(timeout));
        self.structure.doing("wait_timeout", waited)
    }

    /// How many must come.
    ///
    /// # Errors
    ///
    /// Those of the database.
    pub fn parties(&self) -> Result<u32> {
        self.structure.doing("parties", self.recorded())
    }

    /// Changes how many must come, for all who use the barrier and for good, the round that is under way included. If so many
    /// wait already as must come now, they go on, and one of them leads.
    ///
    /// # Errors
    ///
    /// [`is_invalid_input`](Error::is_invalid_input) for no parties; [`is_misuse`](Error::is_misuse) within a transaction of
    /// this thread; those of the database.
    pub fn set_parties(&self, parties: u32) -> Result<()> {
        let set = check_parties(parties).and_then(|()| self.set(parties));
        self.structure.doing("set_parties", set)
    }

    /// How many wait now.
    ///
    /// # Errors
    ///
    /// Those of the database.
    pub fn waiting(&self) -> Result<u32> {
        let waiting = self.store.read_one(|db| self.waiting_by_owner(db));
        let waiting = self.structure.doing("waiting", waiting)?;
        let all: i64 = waiting.iter().map(|&(_, threads)| threads).sum();
        Ok(u32::try_from(all).unwrap_or(u32::MAX))
    }

    /// The name of the barrier in its store.
    pub fn name(&self) -> &str {
        self.structure.name()
    }

    /// The store that it is in.
    pub fn store(&self) -> &Store {
        &self.store
    }
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Barrier")
            .field("name", &self.name())
            .field("store", &self.store.path())
            .finish()
    }
}

fn check_parties(parties: u32) -> Result<()> {
    if parties > 0 {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::InvalidInput,
        "a barrier for no parties would never open; name 1 or more",
    ))
}

fn must_be(recorded: u32, parties: u32) -> Result<()> {
    if recorded == parties {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::InvalidInput,
        format!(
            "it is for {recorded} parties, and was asked for with {parties}: open it with {recorded}, or by `open_or_set` if \
             that should change"
        ),
    ))
}
