//! The servers of those who have one: each started anew in the directory of those whom it serves, reached by a Unix socket only.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use diskette_testkit::{PATIENCE, Postgres, eventually};

#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Redis {
        fsync: &'static str,
    },
    Memcached,
    /// As it is shipped: what was committed is on the disk.
    Postgres,
}

pub(crate) enum Server {
    Program(Child),
    Postgres(Postgres),
}

/// Megabytes.
const MEMCACHED: &str = "4096";
const AS_SHIPPED: [(&str, &str); 3] = [
    ("fsync", "on"),
    ("synchronous_commit", "on"),
    ("full_page_writes", "on"),
];

impl Server {
    /// `None` if it isn't installed.
    pub(crate) fn start(kind: Kind, directory: &Path) -> Option<Self> {
        let mut command = match kind {
            Kind::Postgres => return Postgres::private(&AS_SHIPPED).map(Server::Postgres),
            Kind::Redis { fsync } => {
                let mut command = Command::new("redis-server");
                command.args(["--port", "0", "--unixsocket", "socket", "--save", ""]);
                command.args(["--appendonly", "yes", "--appendfsync", fsync]);
                command
            }
            Kind::Memcached => {
                let mut command = Command::new("memcached");
                // Which user it becomes, where it is root.
                command.args(["-s", "socket", "-m", MEMCACHED, "-u", "root"]);
                command
            }
        };
        command.current_dir(directory).stdout(Stdio::null());
        let server = Server::Program(command.spawn().ok()?);
        eventually(PATIENCE, || {
            UnixStream::connect(directory.join("socket")).is_ok()
        });
        Some(server)
    }

    /// Where `Store::open` finds a store on it.
    pub(crate) fn store(&self) -> Option<String> {
        match self {
            Server::Program(_) => None,
            Server::Postgres(server) => Some(server.url("peers")),
        }
    }

    /// Its first process.
    pub(crate) fn id(&self) -> Option<u32> {
        match self {
            Server::Program(child) => Some(child.id()),
            Server::Postgres(server) => server.id(),
        }
    }

    /// Where its files are, if not in the directory.
    pub(crate) fn elsewhere(&self) -> Option<PathBuf> {
        match self {
            Server::Program(_) => None,
            Server::Postgres(server) => server.socket().parent().map(Path::to_owned),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Server::Program(child) = self {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Its version, as it says itself.
pub(crate) fn version(program: &str) -> Option<String> {
    let said = Command::new(program).arg("--version").output().ok()?;
    let said = String::from_utf8_lossy(&said.stdout);
    let words: Vec<_> = said.split_whitespace().take(3).collect();
    (!words.is_empty()).then(|| words.join(" "))
}
