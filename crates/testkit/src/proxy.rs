//! A network that can be cut.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use tempfile::TempDir;

use crate::postgres::SOCKET;

/// What stands for the network between clients and a server's Unix socket. Clients come by a Unix socket or by TCP.
///
/// All connections are closed when this is dropped.
#[derive(Debug)]
pub struct Proxy {
    /// Of the Unix socket.
    directory: TempDir,
    address: SocketAddr,
    network: Arc<Network>,
}

impl Proxy {
    /// A network between whoever connects and the server at `socket`, which need not run yet.
    ///
    /// # Panics
    ///
    /// If there can be no sockets.
    #[must_use]
    pub fn to(socket: impl Into<PathBuf>) -> Self {
        let directory = tempfile::Builder::new()
            .prefix("diskette-")
            .tempdir_in("/tmp") // a socket's path has to be short
            .expect("a directory");
        let unix = UnixListener::bind(directory.path().join(SOCKET)).expect("a Unix socket");
        let tcp = TcpListener::bind(("127.0.0.1", 0)).expect("a TCP socket");
        let address = tcp.local_addr().expect("its address");

        let network = Arc::new(Network {
            server: socket.into(),
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        network.serve(move || Ok(unix.accept()?.0));
        network.serve(move || {
            let (client, _) = tcp.accept()?;
            let _ = client.set_nodelay(true); // it is not this that is slow
            Ok(client)
        });
        Self {
            directory,
            address,
            network,
        }
    }

    /// Where its Unix socket is, named as PostgreSQL's clients expect it.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Where it listens by TCP.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Falls silent: what is sent from now on, either way, does not arrive, not even that one side is gone. Connections
    /// stay open, and new ones are made that hear nothing.
    pub fn cut(&self) {
        self.network.state().cut = true;
    }

    /// Ends the silence. What was sent meanwhile arrives now, as TCP sends it again.
    pub fn heal(&self) {
        self.network.state().cut = false;
        self.network.changed.notify_all();
    }

    /// Closes all connections that there are, at both ends, even those that are cut.
    pub fn drop_all(&self) {
        for connection in self.network.state().connections.values() {
            connection.close();
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.network.state().closed = true;
        self.heal();
        self.drop_all();
        // Those who listen look up.
        let _ = UnixStream::connect(self.directory.path().join(SOCKET));
        let _ = TcpStream::connect(self.address);
    }
}

#[derive(Debug)]
struct Network {
    server: PathBuf,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    cut: bool,
    closed: bool,
    connections: BTreeMap<u64, Connection>,
    /// Made so far.
    made: u64,
}

impl Network {
    /// Connects whoever comes.
    fn serve<C: End>(self: &Arc<Self>, accept: impl Fn() -> io::Result<C> + Send + 'static) {
        let network = Arc::clone(self);
        thread::spawn(move || {
            while let Ok(client) = accept() {
                if network.state().closed {
                    return;
                }
                let network = Arc::clone(&network);
                thread::spawn(move || network.carry(client));
            }
        });
    }

    /// Passes on what both sides say, until both are gone.
    fn carry(&self, client: impl End) -> io::Result<()> {
        let server = UnixStream::connect(&self.server)?;
        let id = self.enter(Connection::of(&client, &server)?);
        let (from_client, to_client) = (client.again()?, client);
        let (from_server, to_server) = (server.again()?, server);
        thread::scope(|both| {
            both.spawn(|| self.pass(from_client, to_server));
            both.spawn(|| self.pass(from_server, to_client));
        });
        self.state().connections.remove(&id);
        Ok(())
    }

    /// Passes on what is said in one direction, to its end.
    fn pass(&self, mut from: impl End, mut to: impl End) {
        let mut bytes = [0; 16 * 1024];
        loop {
            let read = from.read(&mut bytes).unwrap_or(0); // an error is an end as well
            self.wait_while_cut();
            if read == 0 || to.write_all(&bytes[..read]).is_err() {
                break;
            }
        }
        let _ = from.shutdown(Shutdown::Read);
        let _ = to.shutdown(Shutdown::Write);
    }

    fn wait_while_cut(&self) {
        let healed = self.changed.wait_while(self.state(), |state| state.cut);
        drop(healed.unwrap_or_else(PoisonError::into_inner));
    }

    fn enter(&self, connection: Connection) -> u64 {
        let mut state = self.state();
        if state.closed {
            connection.close();
        }
        state.made += 1;
        let id = state.made;
        state.connections.insert(id, connection);
        id
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Both ends of a connection.
#[derive(Debug)]
struct Connection {
    client: Box<dyn Close>,
    server: UnixStream,
}

impl Connection {
    fn of(client: &impl End, server: &UnixStream) -> io::Result<Self> {
        Ok(Self {
            client: Box::new(client.again()?),
            server: server.again()?,
        })
    }

    fn close(&self) {
        let _ = self.client.shutdown(Shutdown::Both);
        let _ = self.server.shutdown(Shutdown::Both);
    }
}

/// One end of a connection, of whichever kind.
trait End: Close + Read + Write + Sized + 'static {
    /// Another handle of it.
    fn again(&self) -> io::Result<Self>;
}

trait Close: fmt::Debug + Send {
    fn shutdown(&self, how: Shutdown) -> io::Result<()>;
}

impl End for UnixStream {
    fn again(&self) -> io::Result<Self> {
        self.try_clone()
    }
}

impl Close for UnixStream {
    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.shutdown(how)
    }
}

impl End for TcpStream {
    fn again(&self) -> io::Result<Self> {
        self.try_clone()
    }
}

impl Close for TcpStream {
    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.shutdown(how)
    }
}
