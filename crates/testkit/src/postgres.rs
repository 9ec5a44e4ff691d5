//! A PostgreSQL server of the tests' own.

mod bouncer;
mod janitor;
mod programs;
mod shared;
mod tls;

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use diskette_ipc::{Deadline, FileLock, Mode, clock};
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;

use crate::{PATIENCE, Proxy, eventually};
pub use bouncer::Bouncer;
use janitor::Janitor;
use programs::Programs;

/// A PostgreSQL server for tests, reached by a Unix socket only: [the one that all share](Self::shared), or
/// [one's own](Self::private). It is gone with those who use it, and so are its files, however they end.
///
/// Its only database is `diskette`, owned by the role `diskette`, who is no superuser. No password is asked for.
///
/// Nothing is synced to the disk, for speed: what is committed outlives the death of any process, but no power cut.
/// Ask for `("fsync", "on")` where that matters.
#[derive(Debug)]
pub struct Postgres {
    programs: &'static Programs,
    /// The data, the log and the socket.
    directory: PathBuf,
    settings: Vec<String>,
    /// Held shared by all who use the server: see [`Janitor`].
    users: FileLock,
    /// Of a server of one's own: waited for.
    janitor: Option<Janitor>,
    /// If this process has started it.
    server: Option<Child>,
}

impl Postgres {
    /// A server of one's own, to be killed and restarted; with these settings, as in `postgresql.conf`. `None` where no
    /// PostgreSQL is installed.
    ///
    /// # Panics
    ///
    /// If it cannot be started; or if none is installed and `DISKETTE_REQUIRE_POSTGRES` is set.
    #[must_use]
    pub fn private(settings: &[(&str, &str)]) -> Option<Self> {
        let programs = Programs::installed()?;
        Some(Self::private_in(
            programs,
            new_directory(programs),
            settings,
        ))
    }

    fn private_in(
        programs: &'static Programs,
        directory: PathBuf,
        settings: &[(&str, &str)],
    ) -> Self {
        let users = directory.join("users");
        let mut postgres = Self::new(programs, directory, lock(&users, Mode::Shared));
        postgres.janitor = Some(Janitor::hire(&users, &postgres.directory, Duration::ZERO));
        for (name, value) in settings {
            postgres.settings.push(format!("{name}={value}"));
        }
        programs.make_data(&postgres.data());
        postgres.start();
        postgres
    }

    /// Where `Store::open` finds the store `name` on this server.
    #[must_use]
    pub fn url(&self, name: &str) -> String {
        format!("{}&store={}", self.url_of(DATABASE, ROLE), encoded(name))
    }

    /// A database of this server, for one of its roles: `"postgres"` is the superuser.
    #[must_use]
    pub fn url_of(&self, database: &str, role: &str) -> String {
        url(&self.directory, database, role)
    }

    /// The store `name` by way of a proxy's Unix socket.
    #[must_use]
    pub fn url_through(&self, proxy: &Proxy, name: &str) -> String {
        let url = url(proxy.directory(), DATABASE, ROLE);
        format!("{url}&store={}", encoded(name))
    }

    /// The store `name` by way of a proxy, over TCP.
    #[must_use]
    pub fn url_over_tcp(&self, proxy: &Proxy, name: &str) -> String {
        let (address, name) = (proxy.address(), encoded(name));
        format!("postgres://{ROLE}@{address}/{DATABASE}?store={name}")
    }

    /// Its Unix socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.directory.join(SOCKET)
    }

    /// Its first process, if this one has started it.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.server.as_ref().map(Child::id)
    }

    /// A network between clients and this server.
    ///
    /// # Panics
    ///
    /// If there can be none.
    #[must_use]
    pub fn proxy(&self) -> Proxy {
        Proxy::to(self.socket())
    }

    /// Executes statements as the superuser, by `psql`. A line for each row, with `|` between its fields.
    ///
    /// # Panics
    ///
    /// If one fails.
    #[track_caller]
    pub fn sql(&self, statements: &str) -> String {
        let mut psql = self.psql(&self.url_of(DATABASE, SUPERUSER));
        let said = psql.args(["-c", statements]).output().expect("psql");
        let errors = String::from_utf8_lossy(&said.stderr);
        assert!(said.status.success(), "{statements}: {errors}");
        let rows = String::from_utf8(said.stdout).expect("text");
        rows.trim_end_matches('\n').to_owned()
    }

    /// `psql` for a [`url_of`](Self::url_of), quiet, and failing with the first statement that fails.
    #[must_use]
    pub fn psql(&self, url: &str) -> Command {
        let mut psql = self.programs.client("psql");
        psql.args(["-XAtq", "-v", "ON_ERROR_STOP=1", url]);
        psql
    }

    /// The process ids of the server's sessions, without the one that asks.
    ///
    /// # Panics
    ///
    /// If the server doesn't run.
    #[must_use]
    pub fn sessions(&self) -> Vec<u32> {
        let sessions = self.sql(
            "SELECT pid FROM pg_stat_activity
             WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()",
        );
        let sessions = sessions.lines().map(|pid| pid.parse().expect("a pid"));
        sessions.collect()
    }

    /// Ends a session, as an administrator does.
    ///
    /// # Panics
    ///
    /// If the server doesn't run.
    pub fn end_session(&self, session: u32) {
        self.sql(&format!("SELECT pg_terminate_backend({session})"));
    }

    /// All that the server has logged.
    ///
    /// # Panics
    ///
    /// If it can't be read.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.join(LOG)).expect("the server's log")
    }

    /// Kills the server's first process with SIGKILL, and returns when all of them are gone.
    ///
    /// # Panics
    ///
    /// If it doesn't run, or if another process has started it.
    pub fn kill(&mut self) {
        self.end(Signal::SIGKILL);
    }

    /// Shuts the server down, with its sessions, and returns when all of its processes are gone.
    ///
    /// # Panics
    ///
    /// As for [`kill`](Self::kill).
    pub fn stop(&mut self) {
        self.end(Signal::SIGINT);
    }

    /// Starts it again after [`kill`](Self::kill) or [`stop`](Self::stop), with what was committed, at the same place.
    ///
    /// # Panics
    ///
    /// If it runs, or cannot be started.
    pub fn start(&mut self) {
        assert!(!self.is_running(), "the server runs already");
        let log = File::options()
            .append(true)
            .create(true)
            .open(self.directory.join(LOG))
            .expect("the server's log");
        log.try_lock().expect("the lock of the server's log");
        let settings = self.settings.iter().flat_map(|setting| ["-c", setting]);
        let server = self
            .programs
            .server("postgres")
            .arg("-D")
            .arg(self.data())
            .args(settings)
            .arg("-k")
            .arg(&self.directory)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("the server's log"))
            .stderr(log)
            .process_group(0) // what a terminal interrupts are the tests
            .spawn();
        self.server = Some(server.expect("a server process"));
        self.await_ready();
    }

    fn new(programs: &'static Programs, directory: PathBuf, users: FileLock) -> Self {
        Self {
            programs,
            directory,
            settings: SETTINGS.map(str::to_owned).to_vec(),
            users,
            janitor: None,
            server: None,
        }
    }

    fn end(&mut self, signal: Signal) {
        let mut server = self.server.take().expect("a server of this process");
        let pid = Pid::from_raw(server.id().cast_signed());
        signal::kill(pid, signal).expect("a running server");
        // Waited for before its children are: its id must not be another's when it starts again.
        eventually(PATIENCE, || {
            matches!(server.try_wait(), Ok(Some(_))) && !self.is_running()
        });
    }

    /// Each process of the server has inherited the lock on the log.
    fn is_running(&self) -> bool {
        let log = match File::open(self.directory.join(LOG)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return false,
            log => log.expect("the server's log"),
        };
        matches!(log.try_lock_shared(), Err(fs::TryLockError::WouldBlock))
    }

    /// Waits until it takes connections, as `pg_ctl` does: by the eighth line of its pid file.
    fn await_ready(&mut self) {
        let server = self.server.as_ref().map(|server| server.id().to_string());
        let deadline = Deadline::after(PATIENCE);
        loop {
            let file = fs::read_to_string(self.data().join("postmaster.pid")).unwrap_or_default();
            let lines: Vec<_> = file.lines().map(str::trim).collect();
            let is_it = server
                .as_deref()
                .is_none_or(|id| lines.first() == Some(&id));
            if is_it && lines.get(7) == Some(&"ready") {
                return;
            }
            let runs = !deadline.is_past() && self.is_running();
            assert!(runs, "the server doesn't start:\n{}", self.log());
            clock::sleep(Duration::from_millis(2));
        }
    }

    fn data(&self) -> PathBuf {
        self.directory.join("data")
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let Some(janitor) = self.janitor.take() else {
            return;
        };
        if thread::panicking() {
            let log = fs::read_to_string(self.directory.join(LOG)).unwrap_or_default();
            eprintln!("--- the server logged:\n{log}---");
            return; // the janitor needs nobody who waits for it
        }
        let _ = self.users.unlock();
        janitor.finish(PATIENCE);
        if let Some(mut server) = self.server.take() {
            let _ = server.try_wait();
        }
    }
}

const DATABASE: &str = "diskette";
const ROLE: &str = "diskette";
const SUPERUSER: &str = "postgres";
/// What clients look for in the directory that they are given as the host.
pub(crate) const SOCKET: &str = ".s.PGSQL.5432";
const LOG: &str = "log";

const SETTINGS: [&str; 5] = [
    "listen_addresses=",
    "port=5432",
    "max_connections=500",
    "fsync=off",
    // In files of the data directory, so that a killed server leaves nothing in /dev/shm.
    "dynamic_shared_memory_type=mmap",
];

/// A directory for a server. Not in the target directory: its name has to be short, for the socket, and the server's
/// user has to reach it.
fn new_directory(programs: &Programs) -> PathBuf {
    let directory = tempfile::Builder::new()
        .prefix("diskette-")
        .tempdir_in("/tmp")
        .expect("a directory")
        .keep();
    if let Some(user) = &programs.user {
        let (user, group) = (user.uid.as_raw(), user.gid.as_raw());
        chown(&directory, Some(user), Some(group)).expect("a directory of the server's user");
    }
    directory
}

fn lock(path: &Path, mode: Mode) -> FileLock {
    let lock = FileLock::open(path).expect("a lock file");
    let locked = lock.lock(mode, Deadline::after(2 * PATIENCE));
    assert!(locked.expect("a lock"), "{} stays locked", path.display());
    lock
}

fn url(host: &Path, database: &str, role: &str) -> String {
    let host = host.to_str().expect("an ASCII path");
    let (database, role) = (encoded(database), encoded(role));
    format!("postgres://{role}@/{database}?host={host}")
}

/// As it may stand in a URL.
fn encoded(name: &str) -> String {
    let bytes = name.bytes().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    });
    bytes.collect()
}
