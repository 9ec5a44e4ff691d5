//! Noticing at once that an owner file was closed or removed.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use nix::libc;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use crate::OwnerId;

/// The kernel's news from a directory of owner files; `None` where it has none to give (each user has but so many of
/// these), so that one must go and look.
#[derive(Debug)]
pub(crate) struct Departures(Option<Inotify>);

impl Departures {
    pub(crate) fn from(dir: impl AsFd) -> Self {
        Self(watch(dir.as_fd()).ok())
    }

    pub(crate) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.0.as_ref().map(AsFd::as_fd)
    }

    /// Who may have died; `None` stands for anybody.
    pub(crate) fn read(&self) -> Vec<Option<OwnerId>> {
        let events = self.0.as_ref().map(Inotify::read_events);
        let Some(Ok(events)) = events else {
            return Vec::new();
        };
        let mut who = Vec::new();
        for event in events {
            match event.name {
                Some(name) => {
                    let id = OwnerId::from_file_name(name.as_encoded_bytes());
                    who.extend(id.map(Some));
                }
                None => who.push(None), // too many events, or the directory is gone
            }
        }
        who
    }
}

/// A process that dies closes its file, which is open for writing, after the kernel has taken its lock. No other process
/// opens it so, and a forked child closes it at birth.
fn watch(dir: BorrowedFd<'_>) -> nix::Result<Inotify> {
    let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
    let path = format!("/proc/self/fd/{}", dir.as_raw_fd());
    let unless_removed = AddWatchFlags::from_bits_retain(libc::IN_EXCL_UNLINK);
    let events = AddWatchFlags::IN_CLOSE_WRITE | AddWatchFlags::IN_DELETE | unless_removed;
    inotify.add_watch(path.as_str(), events)?;
    Ok(inotify)
}
