//! Where a store is: `postgres://user@host/database?store=name`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio_postgres::Config;

use crate::error::{Error, ErrorKind, Result};
use crate::postgres::connection::SILENCE;
use crate::postgres::tls::Trust;

pub(crate) struct Address {
    pub(crate) config: Config,
    pub(crate) trust: Trust,
    /// The schema of the store.
    pub(crate) schema: String,
    /// All of it but the password.
    pub(crate) shown: PathBuf,
}

/// Without the password.
pub(crate) fn shown(address: &str) -> String {
    let Some((scheme, rest)) = address.split_once("://") else {
        return address.to_owned();
    };
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    match authority.rsplit_once('@') {
        Some((user, host)) => {
            let user = user.split_once(':').map_or(user, |(user, _)| user);
            format!("{scheme}://{user}@{host}{path}")
        }
        None => address.to_owned(),
    }
}

impl Address {
    /// The address of another schema in the same database.
    pub(crate) fn of_schema(&self, schema: String) -> Self {
        Address {
            config: self.config.clone(),
            trust: self.trust.clone(),
            schema,
            shown: self.shown.clone(),
        }
    }

    pub(crate) fn parse(address: &str) -> Result<Self> {
        let invalid = |message: String| Error::new(ErrorKind::InvalidInput, message);
        // All but the name of the store is the client's to understand.
        let (base, query) = address.split_once('?').unwrap_or((address, ""));
        let (stores, others): (Vec<_>, Vec<_>) = query
            .split('&')
            .filter(|part| !part.is_empty())
            .partition(|part| part.starts_with("store="));
        let (roots, others): (Vec<_>, Vec<_>) = others
            .into_iter()
            .partition(|part| part.starts_with("sslrootcert="));
        let roots = roots
            .first()
            .map(|part| Path::new(&part["sslrootcert=".len()..]));
        let schema = match stores.as_slice() {
            [store] => store["store=".len()..].to_owned(),
            _ => {
                return Err(invalid(
                    "the address of a store names it: postgres://user@host/database?store=name"
                        .into(),
                ));
            }
        };
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if !(1..=63).contains(&schema.len())
            || !schema.bytes().all(plain)
            || schema.starts_with("pg_")
        {
            return Err(invalid(format!(
                "{schema:?} is no name for a store in a database: it has 1 to 63 letters, digits, `_` and `-`, and doesn't begin \
                 with `pg_`"
            )));
        }
        // Whoever asks for TLS has certificates and names looked at.
        let others = others.into_iter().map(|part| match part {
            "sslmode=verify-full" => "sslmode=require",
            part => part,
        });
        let others: Vec<_> = others.collect();
        let mut config: Config = format!("{base}?{}", others.join("&"))
            .parse()
            .map_err(|error| invalid(format!("the address can't be understood: {error}")))?;
        config.application_name("diskette");
        config.keepalives_idle(Duration::from_secs(5));
        config.keepalives_interval(Duration::from_secs(3));
        config.keepalives_retries(3);
        config.tcp_user_timeout(SILENCE);
        Ok(Address {
            trust: Trust::of(roots)?,
            config,
            schema,
            shown: shown(address).into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_its_store_and_shows_no_password() -> Result<()> {
        let text = "postgres://ada:secret@localhost:5433/db?sslmode=disable&store=crawl";
        let address = Address::parse(text)?;
        assert_eq!(address.schema, "crawl");
        assert_eq!(address.config.get_ports(), [5433]);
        let shown = address.shown.display().to_string();
        assert_eq!(
            shown,
            "postgres://ada@localhost:5433/db?sslmode=disable&store=crawl"
        );
        for wrong in [
            "postgres://localhost/db",
            "postgres://localhost/db?store=",
            "postgres://localhost/db?store=pg_x",
            "postgres://localhost/db?store=a%20b",
            "postgres://localhost:port/db?store=a",
        ] {
            let error = Address::parse(wrong).map(drop).unwrap_err();
            assert!(error.is_invalid_input(), "{wrong}: {error}");
        }
        Ok(())
    }
}
