//! Where a test has its store.

use std::env;
use std::fmt::Debug;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::{Postgres, unique_store};

/// A place for a store that only this test has: a directory or, if the environment says `DISKETTE_ENGINE=postgres`, the
/// server that all tests share. So the tests of what a structure does are those of both engines.
#[derive(Debug)]
pub struct Place {
    /// Gone with this.
    directory: TempDir,
    path: PathBuf,
}

impl Place {
    /// A new one, with no store yet.
    ///
    /// # Panics
    ///
    /// If there can be no directory; if PostgreSQL is asked for, and there is none.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "each is another one")]
    pub fn new() -> Self {
        let mut place = Self::directory();
        if on_postgres() {
            let server = Postgres::shared().expect("PostgreSQL");
            place.path = server.url(&unique_store()).into();
        }
        place
    }

    /// One in a directory, for a test that looks into its files.
    ///
    /// # Panics
    ///
    /// If there can be none.
    #[must_use]
    pub fn directory() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        Place {
            path: directory.path().join("store"),
            directory,
        }
    }

    /// What `Store::open` takes.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is opened there, and the place, which has to outlive it.
    ///
    /// # Panics
    ///
    /// If it can't be opened.
    #[track_caller]
    pub fn with<S, E: Debug>(self, open: impl FnOnce(&Path) -> Result<S, E>) -> (Self, S) {
        let opened = open(&self.path).expect("what is opened there");
        (self, opened)
    }

    /// A path for a file of the test's own, gone with this.
    #[must_use]
    pub fn beside(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

/// So many cases for a property test, or fewer where each step is a round trip to a server.
#[must_use]
pub fn cases(cases: u32) -> u32 {
    if on_postgres() { cases / 4 } else { cases }
}

/// Whether a [`Place`] is on a server.
#[must_use]
pub fn on_postgres() -> bool {
    env::var_os("DISKETTE_ENGINE").is_some_and(|engine| engine == "postgres")
}
