//! Who is alive.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use crate::fork::{self, Hook, Kept};
use crate::owner_file::{Key, NOTHING, OwnerFiles, State};
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
/// The kernel unlocks the file of a process the moment it dies, however it dies (unless a child that was made by a raw
/// `clone` system call, and not by `fork`, has it open still and runs no other program). The file stays, as an
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

    /// Whether the process behind `id` lives. An id without a file is dead; a file that this user can't read counts as that
    /// of somebody alive.
    ///
    /// # Errors
    ///
    /// What opening a file can fail with.
    pub fn is_alive(&self, id: OwnerId) -> io::Result<bool> {
        Ok(self.files.state(id)? == State::Alive)
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

    /// All that have a file, dead or alive.
    ///
    /// # Errors
    ///
    /// What reading the directory can fail with.
    pub fn all(&self) -> io::Result<Vec<OwnerId>> {
        self.files.list()
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

    /// Adds an entry, which is not 0, to this process's will. What it means is between who writes and who settles it.
    ///
    /// # Errors
    ///
    /// As for [`me`](Self::me), and what writing 8 bytes can fail with.
    pub fn bequeath(&self, entry: i64) -> io::Result<()> {
        self.with_mine(|mine| mine.bequeath(entry))
    }

    /// Takes an entry out of this process's will: what it named is in order. Nothing happens if it isn't there.
    ///
    /// # Errors
    ///
    /// What writing 8 bytes can fail with.
    pub fn settled(&self, entry: i64) -> io::Result<()> {
        self.with_mine(|mine| mine.settled(entry))
    }

    /// The will of an owner; nothing, if it has no file. The entries may be garbage after a power cut.
    ///
    /// # Errors
    ///
    /// What reading a file can fail with.
    pub fn will(&self, id: OwnerId) -> io::Result<Vec<i64>> {
        self.files.will(id)
    }

    /// Removes the file of a dead owner, whose estate is settled. Nothing happens if it is gone already.
    ///
    /// # Errors
    ///
    /// As for [`dead`](Self::dead); [`InvalidInput`](io::ErrorKind::InvalidInput) if the owner lives.
    pub fn bury(&self, id: OwnerId) -> io::Result<()> {
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
            && mine.will.is_empty()
        {
            // While it is still locked, so that nobody takes it for an estate.
            let _ = self.files.remove(mine.id);
        }
        here.remove(&self.files.key());
    }
}

/// A child closes its parent's files, so that it keeps none of them locked when the parent dies.
pub(crate) const HOOK: Hook = Hook {
    before: || HERE.hold(),
    parent: || drop(HERE.release()),
    child: || {
        for owner in HERE.release().values_mut() {
            owner.mine = None;
        }
    },
};

/// Whether `id` is this process.
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
    /// What its will says, entry by entry, and `NOTHING` for those that are settled; never at the end.
    will: Vec<i64>,
}

impl Mine {
    fn new(files: &OwnerFiles) -> io::Result<Self> {
        let id = OwnerId::random()?;
        let (file, will) = (files.create(id)?, Vec::new());
        Ok(Self { id, file, will })
    }

    fn bequeath(&mut self, entry: i64) -> io::Result<()> {
        let free = self.will.iter().position(|&entry| entry == NOTHING);
        let at = free.unwrap_or(self.will.len());
        self.write(at, entry)?;
        match free {
            Some(at) => self.will[at] = entry,
            None => self.will.push(entry),
        }
        Ok(())
    }

    fn settled(&mut self, entry: i64) -> io::Result<()> {
        if let Some(at) = self.will.iter().position(|&other| other == entry) {
            self.write(at, NOTHING)?;
            self.will[at] = NOTHING;
            while self.will.last() == Some(&NOTHING) {
                self.will.pop();
            }
        }
        Ok(())
    }

    fn write(&self, at: usize, entry: i64) -> io::Result<()> {
        self.file.write_all_at(&entry.to_le_bytes(), at as u64 * 8)
    }
}

fn invalid(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, message)
}
