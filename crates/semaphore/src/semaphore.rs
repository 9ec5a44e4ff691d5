use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use diskette_ipc::{Custody, Deadline, Holder};
use diskette_store::{Access, Db, Error, ErrorKind, Hold, Holdable, Result, Store, Structure};

use crate::permit::Permit;
use crate::sql;

/// A number of permits in a store: no more of them are held at a time, over all threads of all processes.
///
/// A handle: cheap to clone, and to send to other threads. The number is recorded, and is the same for all who open
/// the semaphore; [`open_or_set`](Self::open_or_set) and [`resize`](Self::resize) change it.
///
/// # Process safety
///
/// Whoever holds a permit and asks for another waits like anybody else, if need be for itself: who needs several asks
/// for them at once. They are given all or none, so that those who ask for several never wait for each other in a
/// circle. Circles over several semaphores are not found; a timeout ends them.
///
/// Who holds what is written in a file, `board`, in the directory of the store. If that, or the file by which other
/// processes know that this one lives, is removed or cut short while in use, taking and releasing fail with
/// [`is_removed`](Error::is_removed) and [`is_overtaken`](Error::is_overtaken); a new `board` isn't made until all processes
/// that know the old one have ended.
///
/// # Crashes
///
/// If a process dies, however it dies, its permits are free at once; who waits for them is woken within a
/// millisecond. A process that dies in the middle of [`resize`](Self::resize) may leave the new number recorded
/// and the old one in force until the semaphore is next opened or resized.
///
/// # Fairness
///
/// Who waits is served in the order of arrival, however many permits each wants: who wants many is not overtaken for ever by
/// those who want few. For a millisecond after each hand-over what is free goes to whoever comes; then it is kept for the
/// one who has waited longest.
///
/// # Cost
///
/// Taking a free permit and giving it back: two system calls, which see to it that the `board` is still there, and a few
/// atomic writes. It takes a look at each permit from the first to one that is free; at all, when several are taken at
/// once or the semaphore was made smaller. Waiting costs nothing but a look every two seconds. Opening: two statements; a
/// semaphore is two rows, and 32 bytes of memory for each permit.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use diskette::{BoundedSemaphore, Store};
///
/// # let dir = tempfile::tempdir()?;
/// # std::env::set_current_dir(&dir)?;
/// let store = Store::open("store")?;
/// let gpus = BoundedSemaphore::new(&store, "gpus", 2)?;
///
/// let one = gpus.acquire()?;
/// let two = gpus.acquire()?;
/// assert!(gpus.try_acquire()?.is_none());
/// assert!(gpus.acquire_timeout(Duration::from_millis(5))?.is_none());
/// assert_eq!(gpus.holders()?[0].party.pid, std::process::id());
///
/// drop(one);
/// two.release()?;
/// assert_eq!(gpus.available()?, 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct BoundedSemaphore {
    inner: Arc<Holdable>,
}

impl BoundedSemaphore {
    /// No semaphore has more permits.
    pub const MAX_PERMITS: u32 = 65_536;

    /// Opens the semaphore of this name in a store, which has so many permits; makes it if there is none.
    ///
    /// # Errors
    ///
    /// [`is_invalid_input`](Error::is_invalid_input) for no permits or more than [`MAX_PERMITS`](Self::MAX_PERMITS), for
    /// another number than the one recorded, and for a name that is empty, longer than 255 bytes or has
    /// control characters; [`is_wrong_kind`](Error::is_wrong_kind) when the name belongs to another kind of
    /// structure; [`is_removed`](Error::is_removed) when the board was removed under other processes.
    pub fn new(store: &Store, name: &str, permits: u32) -> Result<Self> {
        let structure = open(store, name, permits)?;
        let recorded = store.read_one(|db| recorded(db, &structure));
        let agree = recorded.and_then(|recorded| must_be(recorded, permits));
        structure.doing("opening", agree)?;
        Self::of(store, structure, permits)
    }

    /// Opens the semaphore of this name in a store and gives it so many permits, whatever it had; makes it if there is
    /// none. For a new release with another number: programs of the old one that run go by the new number, as after a
    /// [`resize`](Self::resize).
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new), but for another number than the one recorded, and of [`resize`](Self::resize).
    ///
    /// # Example
    ///
    /// ```
    /// use diskette::{BoundedSemaphore, Store};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # std::env::set_current_dir(&dir)?;
    /// let store = Store::open("store")?;
    /// let old = BoundedSemaphore::new(&store, "gpus", 2)?;
    /// assert!(BoundedSemaphore::new(&store, "gpus", 4).is_err());
    /// BoundedSemaphore::open_or_set(&store, "gpus", 4)?;
    /// assert_eq!(old.permits()?, 4);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn open_or_set(store: &Store, name: &str, permits: u32) -> Result<Self> {
        let structure = open(store, name, permits)?;
        let recorded = store.read_one(|db| recorded(db, &structure));
        let recorded = structure.doing("opening", recorded)?;
        let semaphore = Self::of(store, structure, recorded)?;
        if recorded != permits {
            semaphore.doing("opening", semaphore.set(permits))?;
        }
        Ok(semaphore)
    }

    /// Opens the semaphore of this name, with the permits that it has; `None` if there is none.
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new), but for the permits.
    pub fn find(store: &Store, name: &str) -> Result<Option<Self>> {
        let Some(found) = Structure::find(store, &sql::KIND, name, "")? else {
            return Ok(None);
        };
        let recorded = store.read_one(|db| recorded(db, &found));
        let permits = found.doing("opening", recorded)?;
        Self::of(store, found, permits).map(Some)
    }

    fn of(store: &Store, structure: Arc<Structure>, permits: u32) -> Result<Self> {
        let inner = Holdable::new(store, structure, Custody::Any, permits)?.with_limit_as(recorded);
        let semaphore = Self {
            inner: Arc::new(inner),
        };
        // Somebody has died, or is, in the middle of a resize.
        if semaphore.permits()? != permits {
            semaphore.doing("opening", semaphore.put_in_force())?;
        }
        Ok(semaphore)
    }

    /// Takes a permit if one is free; `None` if none is, or it is kept for somebody who has long waited.
    ///
    /// # Errors
    ///
    /// [`is_removed`](Error::is_removed): see [above](Self#process-safety); the first time in a thread, those of
    /// creating a file.
    pub fn try_acquire(&self) -> Result<Option<Permit>> {
        self.permit("try_acquire", 1, self.inner.try_take(1))
    }

    /// Takes a permit, however long it takes.
    ///
    /// # Errors
    ///
    /// [`is_misuse`](Error::is_misuse) within a transaction of this thread; [`is_stopped`](Error::is_stopped); those of
    /// [`try_acquire`](Self::try_acquire).
    pub fn acquire(&self) -> Result<Permit> {
        self.forever("acquire", 1)
    }

    /// Takes a permit; `None` when the time is up. A timeout of zero doesn't wait.
    ///
    /// # Errors
    ///
    /// Those of [`acquire`](Self::acquire).
    pub fn acquire_timeout(&self, timeout: Duration) -> Result<Option<Permit>> {
        let taken = self.inner.take(1, Deadline::after(timeout));
        self.permit("acquire_timeout", 1, taken)
    }

    /// Takes `n` permits at once if they are free, or none; `None` also if another takes some of them at the same moment.
    ///
    /// # Errors
    ///
    /// [`is_invalid_input`](Error::is_invalid_input) for 0, and for more than the semaphore has; those of
    /// [`try_acquire`](Self::try_acquire).
    pub fn try_acquire_n(&self, n: u32) -> Result<Option<Permit>> {
        self.permit("try_acquire_n", n, self.inner.try_take(n))
    }

    /// Takes `n` permits at once, however long it takes. Until it has all, it holds none.
    ///
    /// # Errors
    ///
    /// [`is_invalid_input`](Error::is_invalid_input) for 0, and for more than the semaphore has: so ends also the
    /// wait of those who asked before it was [resized](Self::resize). Those of [`acquire`](Self::acquire).
    pub fn acquire_n(&self, n: u32) -> Result<Permit> {
        self.forever("acquire_n", n)
    }

    /// Takes `n` permits at once; `None` when the time is up.
    ///
    /// # Errors
    ///
    /// Those of [`acquire_n`](Self::acquire_n).
    pub fn acquire_n_timeout(&self, n: u32, timeout: Duration) -> Result<Option<Permit>> {
        let taken = self.inner.take(n, Deadline::after(timeout));
        self.permit("acquire_n_timeout", n, taken)
    }

    /// How many permits there are, held or free.
    ///
    /// # Errors
    ///
    /// [`is_removed`](Error::is_removed).
    pub fn permits(&self) -> Result<u32> {
        self.doing("permits", self.inner.limit())
    }

    /// How many permits are free now. By the time you look, they may be somebody's.
    ///
    /// # Errors
    ///
    /// [`is_removed`](Error::is_removed).
    pub fn available(&self) -> Result<u32> {
        self.doing("available", self.inner.free())
    }

    /// Who holds permits, in the order in which they took them: an entry for each [`Permit`].
    ///
    /// # Errors
    ///
    /// [`is_removed`](Error::is_removed).
    pub fn holders(&self) -> Result<Vec<Holder>> {
        self.doing("holders", self.inner.holders())
    }

    /// Changes the number of permits, for all who use the semaphore and for good. More wake those who wait. Of fewer,
    /// those that are held stay held, and none is given until enough have come back; whoever waits for more at once than
    /// there are now gets an error, within half a second.
    ///
    /// # Errors
    ///
    /// [`is_invalid_input`](Error::is_invalid_input) as for [`new`](Self::new), [`is_misuse`](Error::is_misuse) within a
    /// transaction of this thread, [`is_removed`](Error::is_removed); those of the database.
    pub fn resize(&self, permits: u32) -> Result<()> {
        let resized = check_permits(permits).and_then(|()| self.set(permits));
        self.doing("resize", resized)
    }

    /// The name of the semaphore in its store.
    pub fn name(&self) -> &str {
        self.inner.structure().name()
    }

    /// The store that it is in.
    pub fn store(&self) -> &Store {
        self.inner.store()
    }

    fn set(&self, permits: u32) -> Result<()> {
        self.inner.structure().inside(self.store()).write(|db| {
            let id = self.inner.structure().id();
            let changed = db.execute(sql::RESIZE, &[i64::from(permits).into(), id.into()])?;
            if changed == 0 {
                return Err(corrupt("is not in the table of semaphores"));
            }
            // Before the commit: a full disk is found while nothing is changed yet.
            self.inner.reserve(permits)
        })?;
        self.put_in_force()
    }

    /// Gives out as many permits as are recorded. In a transaction, so that of two who do it the one who reads the later number
    /// comes later.
    fn put_in_force(&self) -> Result<()> {
        self.inner.structure().inside(self.store()).write(|db| {
            let permits = recorded(db, self.inner.structure())?;
            self.inner.set_limit(permits)
        })
    }

    fn forever(&self, verb: &str, n: u32) -> Result<Permit> {
        let permit = self.permit(verb, n, self.inner.take(n, Deadline::never()))?;
        permit.ok_or_else(|| unreachable!("a wait without a deadline doesn't time out"))
    }

    fn permit(&self, verb: &str, n: u32, taken: Result<Option<Hold>>) -> Result<Option<Permit>> {
        let hold = self.doing(verb, taken)?;
        Ok(hold.map(|hold| Permit::new(&self.inner, hold, n)))
    }

    fn doing<R>(&self, verb: &str, result: Result<R>) -> Result<R> {
        self.inner.structure().doing(verb, result)
    }
}

impl fmt::Debug for BoundedSemaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.describe(f, "BoundedSemaphore")
    }
}

/// Finds the semaphore, or makes it with so many permits.
fn open(store: &Store, name: &str, permits: u32) -> Result<Arc<Structure>> {
    let create = |db: &Db<'_>, structure: &Structure| {
        check_permits(permits)?;
        let params = [structure.id().into(), i64::from(permits).into()];
        db.run(sql::CREATE, &params)
    };
    let structure = Structure::open(store, &sql::KIND, name, "", create)?;
    structure.doing("opening", check_permits(permits))?;
    Ok(structure)
}

fn recorded(db: &Db<'_>, structure: &Structure) -> Result<u32> {
    let permits = db.query_one(sql::PERMITS, &[structure.id().into()], |row| row.int(0))?;
    let permits = permits.ok_or_else(|| structure.missing(db))?;
    u32::try_from(permits)
        .ok()
        .filter(|permits| (1..=BoundedSemaphore::MAX_PERMITS).contains(permits))
        .ok_or_else(|| corrupt(&format!("has {permits} permits, which can't be")))
}

fn must_be(recorded: u32, permits: u32) -> Result<()> {
    if recorded == permits {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::InvalidInput,
        format!(
            "it has {recorded} permits, and was asked for with {permits}: open it with {recorded}, or by `open_or_set` if \
             that should change"
        ),
    ))
}

fn check_permits(permits: u32) -> Result<()> {
    const MOST: u32 = BoundedSemaphore::MAX_PERMITS;
    if (1..=MOST).contains(&permits) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::InvalidInput,
        format!("a semaphore can't have {permits} permits; choose 1 to {MOST}"),
    ))
}

fn corrupt(how: &str) -> Error {
    Error::new(
        ErrorKind::Corrupt,
        format!("it {how}: Store::check says what is damaged"),
    )
}
