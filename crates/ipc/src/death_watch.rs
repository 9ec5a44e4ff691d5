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

use crate::news::{Event, News};
use crate::owner_file::{OwnerFiles, State};
use crate::{Deadline, OwnerId, back_off, fork, owners};

/// Tells which owners of a directory die, as they do: killed, ended, or with their last [`Owners`](crate::Owners)
/// dropped. It begins with those who are dead already and have an estate to settle.
///
/// # Process safety
///
/// A watch belongs to the process that made it, and never tells of that process itself.
///
/// # Crashes
///
/// A death is told once, within a millisecond. The kernel tells of it; all the files are looked at every 10 seconds all the
/// same. Where the kernel has no more directory watches to give, they are looked at every 50 milliseconds, and an orderly end
/// of someone who was born since the last look goes unnoticed.
///
/// # Cost
///
/// Two or three descriptors; nothing while nobody dies but those looks, some microseconds for each owner.
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
    news: News,
    stopped: UnixStream,
    stopper: Stopper,
    generation: u64,
    /// When to look at all the files again.
    census: Deadline,
    living: BTreeSet<OwnerId>,
    /// Those whose death was told and whose file is still there.
    told: BTreeSet<OwnerId>,
    to_tell: VecDeque<OwnerId>,
}

/// Ends a [`DeathWatch`] from another thread.
#[derive(Clone, Debug)]
pub struct Stopper {
    line: Arc<UnixStream>,
    generation: u64,
}

/// Far longer than the kernel takes to close a file.
const CLOSING: Duration = Duration::from_millis(100);
const WITH_NEWS: Duration = Duration::from_secs(10);
const WITHOUT_NEWS: Duration = Duration::from_millis(50);

impl DeathWatch {
    pub(crate) fn new(files: Arc<OwnerFiles>) -> io::Result<Self> {
        let generation = fork::generation();
        let (stopped, line) = UnixStream::pair()?;
        let line = Arc::new(line);
        Ok(Self {
            news: News::of(files.dir()),
            files,
            stopped,
            stopper: Stopper { line, generation },
            generation,
            census: Deadline::at_once(),
            living: BTreeSet::new(),
            told: BTreeSet::new(),
            to_tell: VecDeque::new(),
        })
    }

    /// Sleeps until an owner dies, and tells which; `None` once it was stopped.
    ///
    /// # Errors
    ///
    /// What reading the directory can fail with, such as that it was removed; that the watch is a parent's. No death is lost
    /// by it: to be called again.
    #[allow(clippy::should_implement_trait, reason = "it fails")]
    pub fn next(&mut self) -> io::Result<Option<OwnerId>> {
        if self.generation != fork::generation() {
            return Err(io::Error::other(
                "a death watch doesn't work in a forked child: make a new one there",
            ));
        }
        let next = self.find_next();
        if next.is_err() {
            // News may be lost with it.
            self.census = Deadline::at_once();
        }
        next
    }

    /// What ends this watch.
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    fn find_next(&mut self) -> io::Result<Option<OwnerId>> {
        loop {
            if let Some(id) = self.to_tell.pop_front() {
                return Ok(Some(id));
            }
            if self.census.is_past() {
                self.look_at_all()?;
            } else if self.sleep()? {
                return Ok(None);
            }
        }
    }

    /// Sleeps until the next census or until something happens; `true` if that is the end.
    fn sleep(&mut self) -> io::Result<bool> {
        let mut fds = vec![PollFd::new(self.stopped.as_fd(), PollFlags::POLLIN)];
        let news = self.news.fd();
        fds.extend(news.map(|fd| PollFd::new(fd, PollFlags::POLLIN)));

        let left = self.census.remaining().unwrap_or(WITH_NEWS);
        let left = left + Duration::from_millis(1); // poll counts whole ones
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO);
        match poll(&mut fds, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        if fds[0].any() == Some(true) {
            return Ok(true);
        }
        self.read_news()?;
        Ok(false)
    }

    fn read_news(&mut self) -> io::Result<()> {
        while let Some(events) = self.news.read() {
            for event in events {
                match event {
                    Event::Birth(id) => self.born(id),
                    Event::End(id) => self.look_at(id)?,
                    Event::Anything => self.census = Deadline::at_once(),
                }
            }
        }
        Ok(())
    }

    fn born(&mut self, id: OwnerId) {
        // The news may be old.
        if !self.told.contains(&id) && !owners::is_mine(self.files.key(), id) {
            self.living.insert(id);
        }
    }

    fn look_at(&mut self, id: OwnerId) -> io::Result<()> {
        if owners::is_mine(self.files.key(), id) {
            return Ok(());
        }
        // The kernel tells that a file is closed just before it takes the lock.
        let state = || match self.files.state(id)? {
            State::Alive => Ok(None),
            state => Ok(Some(state)),
        };
        match back_off::repeat(Deadline::after(CLOSING), state)?.unwrap_or(State::Alive) {
            State::Alive => {}
            State::Dead => self.dead(id),
            State::Gone => self.gone(id),
        }
        Ok(())
    }

    fn look_at_all(&mut self) -> io::Result<()> {
        // First, so that no news is older than the last census: nobody comes back to life by it.
        self.read_news()?;
        let (living, dead) = owners::census(&self.files)?;
        let missing: Vec<_> = self.living.difference(&living).copied().collect();
        for &id in &dead {
            self.dead(id);
        }
        for id in missing {
            self.gone(id);
        }
        self.told = dead;
        self.living = living;
        self.census = Deadline::after(match self.news.fd() {
            Some(_) => WITH_NEWS,
            None => WITHOUT_NEWS,
        });
        Ok(())
    }

    fn dead(&mut self, id: OwnerId) {
        self.living.remove(&id);
        if self.told.insert(id) {
            self.to_tell.push_back(id);
        }
    }

    /// Only of the living is it news that their file is gone; of the dead it means that they were buried.
    fn gone(&mut self, id: OwnerId) {
        if self.living.remove(&id) {
            self.to_tell.push_back(id);
        }
    }
}

impl Stopper {
    /// Makes [`DeathWatch::next`] return `None`, once it has told the deaths that it knows of, and ever after. In a forked child nothing happens: the watch is
    /// its parent's.
    pub fn stop(&self) {
        if self.generation == fork::generation() {
            let _ = self.line.shutdown(Shutdown::Both);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;
    use crate::Owners;

    /// A burial is no second death. It once was, if a look at all the files was due before the news of it was read.
    #[test]
    fn who_is_buried_has_died_but_once() -> io::Result<()> {
        let home = tempfile::tempdir()?;
        let dir = home.path().join("owners");
        std::fs::create_dir(&dir)?;
        let owners = Owners::open(&dir, home.path().join("owners.lock"))?;
        // The file of somebody who is dead is one that nobody has locked.
        let die = |id| File::create(dir.join(OwnerId::from_i64(id).to_string()));
        let (first, second) = (OwnerId::from_i64(1), OwnerId::from_i64(2));

        let mut watch = owners.watch()?;
        die(1)?;
        assert_eq!(watch.next()?, Some(first));
        owners.bury(first)?;
        die(2)?;
        watch.census = Deadline::at_once();
        assert_eq!(watch.next()?, Some(second));
        watch.stopper().stop();
        assert_eq!(watch.next()?, None);
        Ok(())
    }
}
