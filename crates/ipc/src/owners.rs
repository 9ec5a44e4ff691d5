//! Who is alive.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use crate::fork::{self, Hook, Kept};
use crate::owner_file::{Key, LONGEST_WILL, OwnerFiles, State};
use crate::{DeathWatch, Mode, OwnerId};

/// The processes that share a directory, alive and dead.
///
/// Each process that leaves marks for others to respect (a claim in a table, say) writes its [`OwnerId`](Self::me) with
/// them, and whoever meets such a mark asks [`is_alive`](Self::is_alive). Behind an id stands a file that its process
/// keeps locked for its whole life: no heartbeat, no time-out, no guess from a pid.
///
/// The file also holds a *will*: what is to be looked after if the process dies.
///
/// # Process safety
///
/// All `Owners` of one directory in one process are the same owner, whichever way they were opened; it lasts
/// until the last of them is dropped. A child made by `fork` is a new owner from its first [`me`](Self::me) on, and keeps
/// nothing of its parent's alive.
///
/// # Crashes
///
/// The kernel unlocks the file of a process the moment it dies, however it dies. The file stays, as an
/// estate to be settled: [`dead`](Self::dead) lists those, [`bury`](Self::bury) removes one. A process that ends in good
/// order with an empty will leaves no file.
///
/// # Cost
///
/// `me`: no system call. `is_alive`: three, one microsecond. One open file, and one for the directory.
///
/// # Example
///
/// ```
/// use diskette_ipc::Owners;
///
/// # let home = tempfile::tempdir()?;
/// # std::fs::create_dir(home.path().join("owners"))?;
/// let owners = Owners::open(&home.path().join("owners"), home.path().join("owners.lock"))?;
/// let me = owners.me()?;
/// assert!(owners.is_alive(me)?);
///
/// for dead in owners.dead()? {
///     for entry in owners.will(dead)? {
///         println!("{dead} was about to write value {entry}");
///     }
///     owners.bury(dead)?;
/// }
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Owners {
    files: Arc<OwnerFiles>,
    /// What `me` has said in this generation.
    id: AtomicI64,
    generation: AtomicU64,
}

impl Owners {
    /// Joins the processes that share the directory `dir`, which must exist. `lock` is the path of a lock file, outside
    /// of it, that keeps the creation and the burial of owner files apart.
    ///
    /// # Errors
    ///
    /// What opening a directory can fail with.
    pub fn open(dir: &Path, lock: PathBuf) -> io::Result<Self> {
        fork::install();
        let files = Arc::new(OwnerFiles::open(dir, lock)?);
        HERE.lock().entry(files.key()).or_default().handles += 1;
        Ok(Self {
            files,
            id: AtomicI64::new(0),
            generation: AtomicU64::new(u64::MAX),
        })
    }

    /// This process, as an owner of this directory.
    ///
    /// # Errors
    ///
    /// The first time, what creating and locking a file can fail with, and [`TimedOut`](io::ErrorKind::TimedOut) if
    /// somebody holds the lock for 10 seconds; then none.
    pub fn me(&self) -> io::Result<OwnerId> {
        let generation = fork::generation();
        if self.generation.load(Ordering::Acquire) == generation {
            return Ok(OwnerId::from_i64(self.id.load(Ordering::Relaxed)));
        }
        let id = self.be_born()?;
        self.id.store(id.as_i64(), Ordering::Relaxed);
        self.generation.store(generation, Ordering::Release);
        Ok(id)
    }

    /// Whether other processes can tell that this one lives: `false` once its file was removed.
    ///
    /// # Errors
    ///
    /// Those of [`me`](Self::me).
    pub fn am_known(&self) -> io::Result<bool> {
        self.with_mine(|mine| Ok(mine.file.metadata()?.nlink() > 0))
    }

    /// Whether the process behind `id` lives. An id without a file is dead.
    ///
    /// # Errors
    ///
    /// What opening a file can fail with.
    pub fn is_alive(&self, id: OwnerId) -> io::Result<bool> {
        Ok(is_mine(self.files.key(), id) || self.files.state(id)? == State::Alive)
    }

    /// The dead whose estates aren't settled yet.
    ///
    /// # Errors
    ///
    /// What reading the directory can fail with; [`TimedOut`](io::ErrorKind::TimedOut) if somebody holds the lock for
    /// 10 seconds.
    pub fn dead(&self) -> io::Result<Vec<OwnerId>> {
        Ok(census(&self.files)?.1.into_iter().collect())
    }

    /// All that have a file, dead or alive, but this process itself.
    ///
    /// # Errors
    ///
    /// What reading the directory can fail with.
    pub fn others(&self) -> io::Result<Vec<OwnerId>> {
        let mut others = self.files.list()?;
        others.retain(|&id| !is_mine(self.files.key(), id));
        Ok(others)
    }

    /// Adds an entry to this process's will. What it means is between who writes and who settles it.
    ///
    /// # Errors
    ///
    /// As for [`me`](Self::me), and what writing 8 bytes can fail with.
    pub fn bequeath(&self, entry: i64) -> io::Result<()> {
        self.with_mine(|mine| mine.bequeath(entry))
    }

    /// Empties this process's will: all that it named is in order.
    ///
    /// # Errors
    ///
    /// What truncating a file can fail with.
    pub fn settled_all(&self) -> io::Result<()> {
        self.with_mine(Mine::settled_all)
    }

    /// The will of another owner; nothing, if it has no file. The entries may be garbage after a power cut.
    ///
    /// # Errors
    ///
    /// What reading a file can fail with; [`InvalidInput`](io::ErrorKind::InvalidInput) for this process itself.
    pub fn will(&self, id: OwnerId) -> io::Result<Vec<i64>> {
        self.must_be_another(id)?;
        self.files.will(id)
    }

    /// Removes the file of a dead owner, whose estate is settled. Nothing happens if it is gone already.
    ///
    /// # Errors
    ///
    /// As for [`dead`](Self::dead); [`InvalidInput`](io::ErrorKind::InvalidInput) if the owner lives.
    pub fn bury(&self, id: OwnerId) -> io::Result<()> {
        self.must_be_another(id)?;
        let _guard = self.files.guard(Mode::Exclusive)?;
        if self.files.state(id)? == State::Alive {
            return Err(invalid(format!("owner {id} is alive and cannot be buried")));
        }
        self.files.remove(id)
    }

    /// A watch that tells who dies, from now on.
    ///
    /// # Errors
    ///
    /// What making it can fail with, such as no more descriptors.
    pub fn watch(&self) -> io::Result<DeathWatch> {
        DeathWatch::new(Arc::clone(&self.files))
    }

    fn must_be_another(&self, id: OwnerId) -> io::Result<()> {
        if is_mine(self.files.key(), id) {
            return Err(invalid(format!("owner {id} is this process itself")));
        }
        Ok(())
    }

    /// Creates the file of this process, unless it has one.
    fn be_born(&self) -> io::Result<OwnerId> {
        // First, since whoever has the guard may go on to take HERE.
        let _guard = self.files.guard(Mode::Exclusive)?;
        let mut here = HERE.lock();
        let owner = here.entry(self.files.key()).or_default();
        if let Some(mine) = &owner.mine {
            return Ok(mine.id);
        }
        let mine = Mine::new(&self.files)?;
        Ok(owner.mine.insert(mine).id)
    }

    fn with_mine<R>(&self, run: impl FnOnce(&mut Mine) -> io::Result<R>) -> io::Result<R> {
        self.me()?;
        let mut here = HERE.lock();
        match here.entry(self.files.key()).or_default().mine.as_mut() {
            Some(mine) => run(mine),
            None => Err(io::Error::other("this process is nobody here")),
        }
    }
}

impl Drop for Owners {
    fn drop(&mut self) {
        let mut here = HERE.lock();
        let Some(owner) = here.get_mut(&self.files.key()) else {
            return;
        };
        owner.handles -= 1;
        if owner.handles > 0 {
            return;
        }
        if let Some(mine) = owner.mine.take()
            && mine.will == 0
        {
            // While it is still locked, so that nobody takes it for an estate.
            let _ = self.files.remove(mine.id);
        }
        here.remove(&self.files.key());
    }
}

/// In a child: the parent's files are closed, which is no loss to the parent, whose locks are its own.
pub(crate) const HOOK: Hook = Hook {
    before: || HERE.hold(),
    parent: || drop(HERE.release()),
    child: || {
        for owner in HERE.release().values_mut() {
            owner.mine = None;
        }
    },
};

/// Whether `id` is this process: then its file must not be opened (see [`OwnerFiles::state`]).
pub(crate) fn is_mine(key: Key, id: OwnerId) -> bool {
    let here = HERE.lock();
    let mine = here.get(&key).and_then(|owner| owner.mine.as_ref());
    mine.is_some_and(|mine| mine.id == id)
}

/// The other owners that have a file: the living and the dead.
pub(crate) fn census(files: &OwnerFiles) -> io::Result<(BTreeSet<OwnerId>, BTreeSet<OwnerId>)> {
    let mut others = files.list()?;
    others.retain(|&id| !is_mine(files.key(), id));

    let (living, dead) = sort(files, others)?;
    if dead.is_empty() {
        return Ok((living, dead));
    }
    // Or about to be born: such are locked by the time we have the guard.
    let _guard = files.guard(Mode::Shared)?;
    let (newborn, still_dead) = sort(files, dead)?;
    Ok((&living | &newborn, still_dead))
}

fn sort(
    files: &OwnerFiles,
    ids: impl IntoIterator<Item = OwnerId>,
) -> io::Result<(BTreeSet<OwnerId>, BTreeSet<OwnerId>)> {
    let (mut living, mut dead) = (BTreeSet::new(), BTreeSet::new());
    for id in ids {
        match files.state(id)? {
            State::Alive => living.insert(id),
            State::Dead => dead.insert(id),
            State::Gone => false,
        };
    }
    Ok((living, dead))
}

/// What this process is, by directory. The file of an owner is created while this is locked: whoever finds the file can
/// tell whose it is.
static HERE: Kept<BTreeMap<Key, Owner>> = Kept::new(BTreeMap::new());

#[derive(Default)]
struct Owner {
    handles: usize,
    mine: Option<Mine>,
}

/// The file of this process.
struct Mine {
    id: OwnerId,
    file: File,
    /// Bytes of will that have been written.
    will: u64,
}

impl Mine {
    fn new(files: &OwnerFiles) -> io::Result<Self> {
        let id = OwnerId::random()?;
        let file = files.create(id)?;
        Ok(Self { id, file, will: 0 })
    }

    fn bequeath(&mut self, entry: i64) -> io::Result<()> {
        if self.will >= LONGEST_WILL {
            return Err(io::Error::new(
                io::ErrorKind::QuotaExceeded,
                "the will is full: settle it before adding to it",
            ));
        }
        self.file.write_all_at(&entry.to_le_bytes(), self.will)?;
        self.will += 8;
        Ok(())
    }

    fn settled_all(&mut self) -> io::Result<()> {
        if self.will > 0 {
            self.file.set_len(0)?;
            self.will = 0;
        }
        Ok(())
    }
}

fn invalid(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, message)
}
