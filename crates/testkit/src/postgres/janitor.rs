//! What ends a server when those who use it are gone.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::eventually;

/// A process that waits for the lock that all users of a server hold, then ends the server and removes its files. The
/// kernel takes that lock from the dead, so nothing is left behind by a test that is killed.
///
/// A shell with `flock`, since a library can start nothing of its own that outlives its process.
#[derive(Debug)]
pub(super) struct Janitor(Child);

impl Janitor {
    /// For the server in `directory`, whose users lock the file `users`; it gives them so much time to come back.
    pub(super) fn hire(users: &Path, directory: &Path, grace: Duration) -> Self {
        let janitor = Command::new("sh")
            .args(["-c", include_str!("janitor.sh"), "janitor"])
            .arg(users)
            .arg(directory)
            .arg(grace.as_secs().to_string())
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0) // what a terminal interrupts are the tests
            .spawn();
        Self(janitor.expect("a shell"))
    }

    /// Waits for it to have done its work.
    pub(super) fn finish(mut self, timeout: Duration) {
        eventually(timeout, || matches!(self.0.try_wait(), Ok(Some(_))));
    }
}
