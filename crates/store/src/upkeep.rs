//! Looking after a store.

use std::path::Path;

use crate::engine::Engine;
use crate::error::Result;
use crate::report::Report;
use crate::stats::Stats;
use crate::store::Store;

impl Store {
    /// Looks for damage: the database page by page, each value file's presence and length, and files
    /// that belong to nothing. Changes nothing; reads the whole database; others go on meanwhile.
    ///
    /// # Errors
    ///
    /// Only where looking was not possible; damage is in the report.
    pub fn check(&self) -> Result<Report> {
        self.in_one_place(|store| match store.engine() {
            Engine::Sqlite(sqlite) => sqlite.check(),
            #[cfg(feature = "postgres")]
            Engine::Postgres(postgres) => postgres.check(),
        })
    }

    /// Mends what can be mended without losing anything: rebuilds the database's indexes, settles
    /// what dead processes left, removes orphaned value files. Says what is still wrong.
    ///
    /// # Errors
    ///
    /// Those of the database; [`is_timeout`](crate::Error::is_timeout) when the turn to write didn't come.
    pub fn repair(&self) -> Result<Report> {
        self.in_one_place(|store| match store.engine() {
            Engine::Sqlite(sqlite) => sqlite.repair(),
            #[cfg(feature = "postgres")]
            Engine::Postgres(postgres) => postgres.repair(),
        })
    }

    /// What the store holds, and how large it is.
    ///
    /// # Cost
    ///
    /// It goes through all values without reading them: some 100 ns for each.
    ///
    /// # Errors
    ///
    /// Those of the database.
    pub fn stats(&self) -> Result<Stats> {
        self.in_one_place(|store| match store.engine() {
            Engine::Sqlite(sqlite) => sqlite.stats(),
            #[cfg(feature = "postgres")]
            Engine::Postgres(postgres) => postgres.stats(),
        })
    }

    /// What the directory of the store takes on the disk, in bytes, as `du` says: the database and its log, value files, those
    /// that are about to be removed among them, and the rest. [`stats`](Self::stats) says what is in it.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    ///
    /// # Cost
    ///
    /// Asks for the size of each file.
    pub fn disk_bytes(&self) -> Result<u64> {
        self.in_one_place(|store| match store.engine() {
            Engine::Sqlite(sqlite) => sqlite.disk_bytes(),
            #[cfg(feature = "postgres")]
            Engine::Postgres(postgres) => postgres.disk_bytes(),
        })
    }

    /// Copies the store, as it is at one moment, into the directory `to`, while others go on writing.
    /// The copy is a store like any other; that of a store in a PostgreSQL database too, which is so taken home. There the shards
    /// are of that moment as well, all is read again and compared, and large values are copies. Never copy the files of a store that this very process has open: reading the
    /// database by other means takes SQLite's locks from the process.
    ///
    /// Once it returns, no power cut takes the copy, at either durability.
    ///
    /// Each of the databases of a structure that is spread over several is copied as it is at a moment of its own. Claims are
    /// there to be claimed in the copy, as if their owners had died.
    ///
    /// Value files are hard links where the file system allows (they never change), copies elsewhere.
    ///
    /// # Errors
    ///
    /// [`is_invalid_input`](crate::Error::is_invalid_input) when there is a store at `to` already; the errors
    /// of [`Store::open`] for `to`; [`is_disk_full`](crate::Error::is_disk_full). An incomplete copy stays
    /// behind then, to be removed.
    ///
    /// # Example
    ///
    /// ```
    /// use diskette::Store;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # std::env::set_current_dir(&dir)?;
    /// let store = Store::open("store")?;
    /// store.backup("copy")?;
    /// assert!(Store::open("copy")?.check()?.is_sound());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn backup(&self, to: impl AsRef<Path>) -> Result<()> {
        let to = to.as_ref();
        let copied = self.in_one_place(|store| match store.engine() {
            Engine::Sqlite(sqlite) => sqlite.backup(to),
            #[cfg(feature = "postgres")]
            Engine::Postgres(postgres) => postgres.backup(to),
        });
        let between = || format!("backing up {} to {}", self.path().display(), to.display());
        copied.map_err(|error| error.at(between))
    }

    /// Moves the store of a directory to a PostgreSQL database, where the processes of several machines can use it:
    /// `postgres://user@host/database?store=name`, which must be free. `tell` hears how far it has come; from [`Step::Waiting`](crate::Step) on it must not use the store.
    ///
    /// All is copied while others read and write, and then what they have changed, as long as that is quickly less. Then nobody can write: they
    /// wait, each as long as its store's timeout, while the rest is brought over. All is compared, by the number of rows and a
    /// checksum of each range of them, before the new place becomes the store.
    ///
    /// From then on whoever opens the directory is led there. The directory keeps the address as it was given, password
    /// and all, in a file that only its owner, or group, can read. Its other files stay as they were, for whoever wants to look.
    ///
    /// # Process safety
    ///
    /// Other processes may have the store open, and use it. Once it has moved, all handles there are go on at the new place by themselves, in
    /// every process, with their next call: each opens it when it first has to, as `Store::open` of the directory would, and what waits
    /// is woken for it. If it can't be reached, the call is an error that says so, and the next tries again. An iterator goes on as well; a
    /// snapshot that is open shows what it did before.
    ///
    /// What is held at that moment is lost: guards and permits say `is_held() == false`, and what is done with them, with claims and with
    /// reservations is an error that says where the store has moved ([`is_moved`](crate::Error::is_moved)), and changes nothing. The same handles
    /// take them anew. Items and jobs that were claimed are there to be claimed, as if their owner had died.
    ///
    /// A program without the feature `postgres` can't follow: there every call is that error.
    ///
    /// # Errors
    ///
    /// The store stays where it is, and goes on: [`is_timeout`](crate::Error::is_timeout) when the turn to write didn't come;
    /// [`is_invalid_input`](crate::Error::is_invalid_input) for an address where there is something already, for a key of more than 2,600 bytes and
    /// a text with a character 0, which PostgreSQL can't store; those of the connection;
    /// [`is_misuse`](crate::Error::is_misuse) within a transaction of this thread, while another moves it, and where others go on making
    /// structures that are spread over shards. An error of opening the new place comes after the move.
    ///
    /// # Crashes
    ///
    /// Killed at any step, by a power cut too, either the directory is the store or the new place is, and whole. What was copied by then takes
    /// room in the database until the move is asked for again, with the same address.
    ///
    /// # Cost
    ///
    /// The pause is as long as it takes to read the rows of the store once, to see which have changed since they were copied, and to copy those, in
    /// ranges of a page; large values only if they are new. What it takes before is to write all of it to the database and read it there, and to
    /// read the store two or three times more. In memory there are some 50 bytes for each range. Files of large values that are
    /// replaced stay until a round of copying has ended.
    ///
    /// # Example
    ///
    /// ```no_run
    /// use diskette::Store;
    ///
    /// let store = Store::open("crawl")?;
    /// let moved = store.promote("postgres://crawler@db.example.org/crawls?store=std", |progress| {
    ///     eprintln!("{} of {} rows", progress.rows, progress.all_rows);
    /// })?;
    /// println!("nobody could write for {:?}", moved.pause);
    /// # Ok::<(), diskette::Error>(())
    /// ```
    #[cfg(feature = "postgres")]
    pub fn promote(
        &self,
        url: &str,
        mut tell: impl FnMut(&crate::Progress),
    ) -> Result<crate::Promoted> {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.promote(url, &mut tell),
            Engine::Postgres(postgres) => Err(crate::Error::new(
                crate::ErrorKind::InvalidInput,
                format!(
                    "the store {} is in a database already",
                    postgres.path().display()
                ),
            )),
        }
    }

    /// Gives the free space of the database back to the file system, and empties the write-ahead log.
    /// Writers wait meanwhile, and it takes as much free disk as the store is large.
    ///
    /// # Errors
    ///
    /// [`is_timeout`](crate::Error::is_timeout) when the turn to write didn't come or a long reader is in the
    /// way; [`is_disk_full`](crate::Error::is_disk_full).
    pub fn compact(&self) -> Result<()> {
        self.in_one_place(|store| match store.engine() {
            Engine::Sqlite(sqlite) => sqlite.compact(),
            #[cfg(feature = "postgres")]
            Engine::Postgres(postgres) => postgres.compact(),
        })
    }
}
