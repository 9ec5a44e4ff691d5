//! One server for all test processes of a run.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use diskette_ipc::Mode;

use super::janitor::Janitor;
use super::programs::{Programs, home};
use super::{Postgres, lock, new_directory};

impl Postgres {
    /// The server that all tests of this target directory share, each with [a store of its own](crate::unique_store).
    /// Who comes first starts it; it ends a few seconds after its last user. `None` where no PostgreSQL is
    /// installed, which is said once on stderr.
    ///
    /// # Panics
    ///
    /// If it cannot be started; or if none is installed and `DISKETTE_REQUIRE_POSTGRES` is set.
    #[must_use]
    pub fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<Postgres>> = OnceLock::new();
        let shared = SHARED.get_or_init(|| Self::shared_by(&home(), Duration::from_secs(5)));
        shared.as_ref()
    }

    /// The server that is shared by all who name the same directory; it ends when nobody has used it for so many whole
    /// seconds.
    ///
    /// # Panics
    ///
    /// As for [`shared`](Self::shared).
    #[must_use]
    pub fn shared_by(home: &Path, grace: Duration) -> Option<Self> {
        let programs = Programs::installed()?;
        let users = home.join("users");
        let using = lock(&users, Mode::Shared); // from here on no running server is ended
        let _starting = lock(&home.join("starting"), Mode::Exclusive);

        let current = home.join("current");
        let directory = PathBuf::from(fs::read_to_string(&current).unwrap_or_default());
        let mut postgres = Self::new(programs, directory, using);
        if postgres.is_running() {
            postgres.await_ready(); // whoever has started it may be dead
            return Some(postgres);
        }

        postgres.directory = new_directory(programs);
        Janitor::hire(&users, &postgres.directory, grace);
        fs::write(current, postgres.directory.as_os_str().as_encoded_bytes())
            .expect("the server's place");
        programs.make_data(&postgres.data());
        postgres.start();
        Some(postgres)
    }
}
