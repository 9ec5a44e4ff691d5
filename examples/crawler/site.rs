//! A site to crawl on any machine: the documentation that comes with Rust, served on loopback.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

use axum::Router;
use axum::serve::ListenerExt;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tower_http::services::ServeDir;
use url::Url;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
pub enum Docs {
    /// The Rust book
    Book,
    /// All of the toolchain's HTML documentation
    All,
    /// The few pages that come with this example
    #[value(skip)]
    Bundled,
}

/// Served until it is dropped.
pub struct Site {
    address: SocketAddr,
    _runtime: Runtime,
}

impl Docs {
    /// What was asked for, or the bundled site where the toolchain has no documentation.
    pub fn or_bundled(self) -> Self {
        if self.folder().join(self.index()).is_file() {
            self
        } else {
            Self::Bundled
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Book => "the Rust book",
            Self::All => "the toolchain's documentation",
            Self::Bundled => "the bundled site",
        }
    }

    fn folder(self) -> PathBuf {
        match self {
            Self::Book | Self::All => toolchain_docs().unwrap_or_default(),
            Self::Bundled => Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/crawler/site"),
        }
    }

    fn index(self) -> &'static str {
        match self {
            Self::Book => "book/index.html",
            Self::All | Self::Bundled => "index.html",
        }
    }
}

impl Site {
    /// Serves `docs` at any free port, or at `port`: a crawl that goes on needs the same again.
    ///
    /// # Errors
    ///
    /// The port is taken.
    pub fn serve(docs: Docs, port: Option<u16>) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .enable_io()
            .build()?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port.unwrap_or(0)));
        let listener = runtime.block_on(listener)?;
        let address = listener.local_addr()?;
        // Else each answer waits 40 ms for the acknowledgement of its own header.
        let listener = listener.tap_io(|connection| drop(connection.set_nodelay(true)));
        let pages = Router::new().fallback_service(ServeDir::new(docs.folder()));
        runtime.spawn(axum::serve(listener, pages).into_future());
        Ok(Self {
            address,
            _runtime: runtime,
        })
    }

    pub fn start(&self, docs: Docs) -> Result<Url, url::ParseError> {
        Url::parse(&format!("http://{}/{}", self.address, docs.index()))
    }
}

fn toolchain_docs() -> Option<PathBuf> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc)
        .args(["--print", "sysroot"])
        .output()
        .ok()?;
    let sysroot = String::from_utf8(output.stdout).ok()?;
    Some(Path::new(sysroot.trim()).join("share/doc/rust/html"))
}
