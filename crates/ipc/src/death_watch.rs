//! Being told who dies.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::departures::Departures;
use crate::owner_file::{OwnerFiles, State};
use crate::{Deadline, Doorbell, OwnerId, fork, owners};

/// Tells which owners of a directory die, as they do: killed, ended, or with their last [`Owners`](crate::Owners)
/// dropped. It begins with those who are dead already and have an estate to settle.
///
/// # Process safety
///
/// A watch belongs to the process that made it, and never tells of that process itself.
///
/// # Crashes
///
/// A death is told once, within a millisecond; at the latest with the safety poll, after 500 milliseconds. Where the
/// kernel has no more directory watches to give, every 50 milliseconds the files are looked at.
///
/// # Cost
///
/// Two or three descriptors; nothing while nobody dies but the safety poll, a microsecond for each owner.
///
/// # Example
///
/// ```
/// use diskette_ipc::Owners;
///
/// # let home = tempfile::tempdir()?;
/// # std::fs::create_dir(home.path().join("owners"))?;
/// let owners = Owners::open(&home.path().join("owners"), home.path().join("owners.lock"))?;
/// let mut watch = owners.watch()?;
/// let stopper = watch.stopper();
/// let watcher = std::thread::spawn(move || {
///     while let Some(dead) = watch.next()? {
///         println!("{dead} is dead");
///     }
///     std::io::Result::Ok(())
/// });
///
/// stopper.stop();
/// watcher.join().unwrap()?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct DeathWatch {
    files: Arc<OwnerFiles>,
    departures: Departures,
    stopped: UnixStream,
    stopper: Stopper,
    generation: u64,
    /// When to look at all the files again.
    census: Deadline,
    living: BTreeSet<OwnerId>,
    /// Known to be dead, with their file still there.
    told: BTreeSet<OwnerId>,
    news: VecDeque<OwnerId>,
}

/// Ends a [`DeathWatch`] from another thread.
#[derive(Clone, Debug)]
pub struct Stopper {
    line: Arc<UnixStream>,
    generation: u64,
}

const WITHOUT_NEWS: Duration = Duration::from_millis(50);

impl DeathWatch {
    pub(crate) fn new(files: Arc<OwnerFiles>) -> io::Result<Self> {
        let generation = fork::generation();
        let (stopped, line) = UnixStream::pair()?;
        let line = Arc::new(line);
        Ok(Self {
            departures: Departures::from(files.dir()),
            files,
            stopped,
            stopper: Stopper { line, generation },
            generation,
            census: Deadline::at_once(),
            living: BTreeSet::new(),
            told: BTreeSet::new(),
            news: VecDeque::new(),
        })
    }

    /// Sleeps until an owner dies, and tells which; `None` once it was stopped.
    ///
    /// # Errors
    ///
    /// What reading the directory can fail with, such as that it was removed; that the watch is a parent's.
    #[allow(clippy::should_implement_trait, reason = "it fails")]
    pub fn next(&mut self) -> io::Result<Option<OwnerId>> {
        if self.generation != fork::generation() {
            return Err(io::Error::other(
                "a death watch doesn't work in a forked child: make a new one there",
            ));
        }
        loop {
            if let Some(id) = self.news.pop_front() {
                return Ok(Some(id));
            }
            if self.census.is_past() {
                self.look_at_all()?;
            } else if self.sleep()? {
                return Ok(None);
            }
        }
    }

    /// What ends this watch.
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// Sleeps until the next census or until something happens; `true` if that is the end.
    fn sleep(&mut self) -> io::Result<bool> {
        let mut fds = vec![PollFd::new(self.stopped.as_fd(), PollFlags::POLLIN)];
        let departures = self.departures.fd();
        fds.extend(departures.map(|fd| PollFd::new(fd, PollFlags::POLLIN)));

        let left = self.census.remaining().unwrap_or(Doorbell::SAFETY_POLL);
        let left = left + Duration::from_millis(1); // poll counts whole ones
        match poll(
            &mut fds,
            PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO),
        ) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        if fds[0].any() == Some(true) {
            return Ok(true);
        }
        for who in self.departures.read() {
            match who {
                Some(id) => self.look_at(id)?,
                None => self.census = Deadline::at_once(),
            }
        }
        Ok(false)
    }

    fn look_at(&mut self, id: OwnerId) -> io::Result<()> {
        if !owners::is_mine(self.files.key(), id) && self.files.state(id)? != State::Alive {
            self.tell(id);
        }
        Ok(())
    }

    fn look_at_all(&mut self) -> io::Result<()> {
        let (living, dead) = owners::census(&self.files)?;
        let gone: Vec<_> = self.living.difference(&living).copied().collect();
        for &id in gone.iter().chain(&dead) {
            self.tell(id);
        }
        self.told.retain(|id| dead.contains(id));
        self.living = living;
        self.census = Deadline::after(match self.departures.fd() {
            Some(_) => Doorbell::SAFETY_POLL,
            None => WITHOUT_NEWS,
        });
        Ok(())
    }

    fn tell(&mut self, id: OwnerId) {
        self.living.remove(&id);
        if self.told.insert(id) {
            self.news.push_back(id);
        }
    }
}

impl Stopper {
    /// Makes [`DeathWatch::next`] return `None`, now and ever after. In a forked child nothing happens: the watch is
    /// its parent's.
    pub fn stop(&self) {
        if self.generation == fork::generation() {
            let _ = self.line.shutdown(Shutdown::Both);
        }
    }
}
