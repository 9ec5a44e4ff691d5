//! How a server is reached: over a Unix socket, in the clear, or by TLS, as the address says (`sslmode`).

use tokio_postgres::{Client, Config};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::error::Result;
use crate::postgres::failure::from_postgres;

pub(crate) type Socket = tokio_postgres::Connection<
    tokio_postgres::Socket,
    <MakeRustlsConnect as tokio_postgres::tls::MakeTlsConnect<tokio_postgres::Socket>>::Stream,
>;

/// Trusts those whom Mozilla trusts.
pub(crate) async fn connect(config: &Config) -> Result<(Client, Socket)> {
    let tls = MakeRustlsConnect::with_webpki_roots();
    config.connect(tls).await.map_err(from_postgres)
}
