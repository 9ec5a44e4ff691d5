//! A server that is reached by TLS, and certificates that openssl(1) has made.

use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use diskette_ipc::random;

use super::programs::{Programs, output, tool};
use super::{DATABASE, Postgres, ROLE, encoded, new_directory};

impl Postgres {
    /// A [private](Self::private) server that is reached over TCP as well, by TLS if the client wants, with a certificate for its
    /// address. `None` where no PostgreSQL or no openssl(1) is installed.
    ///
    /// # Panics
    ///
    /// As for [`private`](Self::private).
    #[must_use]
    pub fn private_with_tls() -> Option<Self> {
        let (programs, openssl) = (Programs::installed()?, tool("openssl")?);
        let directory = new_directory(programs);
        let address = own_address();
        let openssl = |what: &str| {
            let mut openssl = programs.server(openssl.to_str().expect("an ASCII path"));
            output(openssl.current_dir(&directory).args(what.split(' ')), "");
        };
        for root in ["root", "other"] {
            openssl(&format!(
                "req -x509 {NEW_KEY} -keyout {root}.key -out {root}.pem -subj /CN={root} -days 3650"
            ));
        }
        let names = directory.join("names");
        fs::write(names, format!("subjectAltName=IP:{address}")).expect("a file");
        openssl(&format!(
            "req {NEW_KEY} -keyout server.key -out server.csr -subj /CN=server"
        ));
        openssl(
            "x509 -req -in server.csr -CA root.pem -CAkey root.key -CAcreateserial -extfile names -days 3650 -out server.pem",
        );
        let file = |name| directory.join(name).display().to_string();
        let settings = [
            ("ssl", "on".into()),
            ("ssl_cert_file", file("server.pem")),
            ("ssl_key_file", file("server.key")),
            ("listen_addresses", address.to_string()),
        ];
        let settings = settings
            .each_ref()
            .map(|(name, value)| (*name, value.as_str()));
        Some(Self::private_in(programs, directory, &settings))
    }

    /// The store `name` on such a server, over TCP, with parameters such as `sslmode=require`.
    ///
    /// # Panics
    ///
    /// If it isn't one.
    #[must_use]
    pub fn url_by_tls(&self, name: &str, parameters: &str) -> String {
        let address = self.settings.iter().rev();
        let mut address = address.filter_map(|it| it.strip_prefix("listen_addresses="));
        let address = address.next().expect("an address");
        let name = encoded(name);
        format!("postgres://{ROLE}@{address}/{DATABASE}?store={name}&{parameters}")
    }

    /// The certificate of who has signed that of such a server, or of another: `"root"` or `"other"`.
    #[must_use]
    pub fn certificate(&self, of: &str) -> PathBuf {
        self.directory.join(of).with_extension("pem")
    }
}

const NEW_KEY: &str = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";

/// All of 127.0.0.0/8 is this machine: so each server has the same port.
fn own_address() -> Ipv4Addr {
    let [a, b, c, ..] = random::number().expect("a number").to_le_bytes();
    Ipv4Addr::new(127, 1 + a % 254, 1 + b % 254, 1 + c % 254)
}
