//! Noticing at once that an owner file was created, closed or removed.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use nix::libc;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent};

use crate::OwnerId;

/// What has happened in a directory of owner files.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event {
    /// A file was created.
    Birth(OwnerId),
    /// A file was closed by its owner, or removed by anybody.
    End(OwnerId),
    /// Nobody knows what.
    Anything,
}

/// The kernel's news of such a directory; `None` where it has none to give (each user has but so many of these),
/// so that one must go and look.
#[derive(Debug)]
pub(crate) struct News(Option<Inotify>);

impl News {
    pub(crate) fn of(dir: impl AsFd) -> Self {
        Self(watch(dir.as_fd()).ok())
    }

    pub(crate) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.0.as_ref().map(AsFd::as_fd)
    }

    /// The next events, oldest first; `None` if there are no more.
    pub(crate) fn read(&self) -> Option<Vec<Event>> {
        let events = self.0.as_ref()?.read_events().ok()?;
        Some(events.iter().filter_map(event).collect())
    }
}

/// A process that dies closes its file, which is open for writing. No other process opens it so, and that a forked child
/// closes its copy is no news.
fn watch(dir: BorrowedFd<'_>) -> nix::Result<Inotify> {
    let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
    let path = format!("/proc/self/fd/{}", dir.as_raw_fd());
    let events =
        AddWatchFlags::IN_CREATE | AddWatchFlags::IN_CLOSE_WRITE | AddWatchFlags::IN_DELETE;
    let unless_removed = AddWatchFlags::from_bits_retain(libc::IN_EXCL_UNLINK);
    inotify.add_watch(path.as_str(), events | unless_removed)?;
    Ok(inotify)
}

fn event(event: &InotifyEvent) -> Option<Event> {
    let Some(name) = &event.name else {
        return Some(Event::Anything); // too many events, or the directory is gone
    };
    let id = OwnerId::from_file_name(name.as_encoded_bytes())?;
    Some(if event.mask.contains(AddWatchFlags::IN_CREATE) {
        Event::Birth(id)
    } else {
        Event::End(id)
    })
}
