//! How a server is reached: over a Unix socket, in the clear, or by TLS, as the address says (`sslmode`).

use std::error::Error as _;
use std::io;
use std::path::Path;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{CertificateError, ClientConfig, RootCertStore};
use tokio_postgres::{Client, Config};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::error::{Error, ErrorKind, Result};
use crate::postgres::failure::{self, from_postgres};

pub(crate) type Socket = tokio_postgres::Connection<
    tokio_postgres::Socket,
    <MakeRustlsConnect as tokio_postgres::tls::MakeTlsConnect<tokio_postgres::Socket>>::Stream,
>;

/// Whom to trust with a connection.
#[derive(Clone)]
pub(crate) struct Trust(MakeRustlsConnect);

impl Trust {
    /// Those whom Mozilla trusts, or those whose certificates are in a file, in PEM.
    pub(crate) fn of(roots: Option<&Path>) -> Result<Self> {
        let Some(path) = roots else {
            return Self::those(RootCertStore {
                roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
            });
        };
        let unusable = |why: String| {
            let path = path.display();
            Error::new(
                ErrorKind::InvalidInput,
                format!("{path} has no root certificates in PEM ({why}): name another sslrootcert"),
            )
        };
        let mut store = RootCertStore::empty();
        let all =
            CertificateDer::pem_file_iter(path).map_err(|error| unusable(error.to_string()))?;
        for certificate in all {
            let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
            let added = store.add(certificate);
            added.map_err(|error| unusable(error.to_string()))?;
        }
        if store.is_empty() {
            return Err(unusable("there is none".into()));
        }
        Self::those(store)
    }

    fn those(roots: RootCertStore) -> Result<Self> {
        let provider = rustls::crypto::ring::default_provider();
        let config = ClientConfig::builder_with_provider(provider.into())
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::new(ErrorKind::Io, format!("TLS can't be had: {error}")))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Trust(MakeRustlsConnect::new(config)))
    }

    pub(crate) async fn connect(&self, config: &Config) -> Result<(Client, Socket)> {
        let connected = config.connect(self.0.clone()).await;
        connected.map_err(|error| match distrust(&error) {
            Some(why) => failure::not_trusted(&why).caused_by(error),
            None => from_postgres(error),
        })
    }
}

/// What is wrong with the server's certificate, if that is what went wrong.
fn distrust(error: &tokio_postgres::Error) -> Option<CertificateError> {
    let by_tls = error.source()?.downcast_ref::<io::Error>()?.get_ref()?;
    match by_tls.downcast_ref::<rustls::Error>()? {
        rustls::Error::InvalidCertificate(why) => Some(why.clone()),
        _ => None,
    }
}
