//! pgbouncer, between clients and a server.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Stdio};

use super::programs::tool;
use super::{DATABASE, Postgres, ROLE, SOCKET, encoded, new_directory, url};
use crate::{PATIENCE, eventually};

/// A pgbouncer in front of a server, reached by a Unix socket; made by [`Postgres::bouncer`]. It is gone with this, and so are its files,
/// however the test ends.
#[derive(Debug)]
pub struct Bouncer {
    directory: PathBuf,
    shell: Child,
}

impl Postgres {
    /// A pgbouncer in front of this server, with this `pool_mode`. `None` where none is installed.
    ///
    /// # Panics
    ///
    /// If it cannot be started; or if none is installed and `DISKETTE_REQUIRE_POSTGRES` is set.
    #[must_use]
    pub fn bouncer(&self, pool_mode: &str) -> Option<Bouncer> {
        let pgbouncer = tool("pgbouncer")?;
        let directory = new_directory(self.programs);
        let settings = format!(
            "[databases]\n\
             {DATABASE} = host={} user={ROLE}\n\
             [pgbouncer]\n\
             pool_mode = {pool_mode}\n\
             unix_socket_dir = {}\n\
             listen_port = 5432\n\
             auth_type = any\n",
            self.directory.display(),
            directory.display(),
        );
        let file = directory.join("pgbouncer.ini");
        fs::write(&file, settings).expect("pgbouncer's settings");
        // The shell reads until the test is gone, and then ends what it has started.
        let shell = self
            .programs
            .server("/bin/sh")
            .args([
                "-c",
                "\"$1\" -q \"$2\" & cat; kill $!; wait; rm -r \"$3\"",
                "sh",
            ])
            .arg(pgbouncer)
            .arg(file)
            .arg(&directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell");
        let bouncer = Bouncer { directory, shell };
        eventually(PATIENCE, || {
            UnixStream::connect(bouncer.directory.join(SOCKET)).is_ok()
        });
        Some(bouncer)
    }
}

impl Bouncer {
    /// The store `name` by way of it.
    #[must_use]
    pub fn url(&self, name: &str) -> String {
        let url = url(&self.directory, DATABASE, ROLE);
        format!("{url}&store={}", encoded(name))
    }
}

impl Drop for Bouncer {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}
