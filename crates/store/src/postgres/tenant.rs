//! Who uses the shards of a structure: an advisory lock on a connection of its own.

use std::fmt;

use diskette_ipc::{Deadline, Mode, Mutex};

use crate::error::{Error, Result};
use crate::postgres::Postgres;
use crate::postgres::connection::Connection;
use crate::tenancy::{Lock, Tenancy};

/// Those of owners have one number, those of stores and structures two, the second of which isn't negative.
const SHARE: &str = "SELECT pg_advisory_lock_shared($1, $2)";
const ALONE: &str = "SELECT pg_advisory_lock($1, $2)";
const LEAVE: &str = "SELECT pg_advisory_unlock_all()";

pub(crate) struct Tenant {
    postgres: Postgres,
    structure: i64,
    connection: Mutex<Option<Connection>>,
}

impl Postgres {
    pub(crate) fn tenancy(&self, structure: i64) -> Result<Tenancy> {
        let tenant = Tenant {
            postgres: self.clone(),
            structure,
            connection: Mutex::default(),
        };
        Ok(Tenancy::of(
            Lock::Session(tenant.into()),
            self.store(),
            structure,
        ))
    }
}

impl Tenant {
    pub(crate) fn is_connected(&self) -> bool {
        let connection = self.connection.lock();
        connection.as_ref().is_some_and(Connection::is_open)
    }

    pub(crate) fn lock(&self, mode: Mode, deadline: Deadline) -> Result<bool> {
        let mut kept = self.connection.lock();
        let connection = match kept.take() {
            Some(connection) if connection.is_open() => connection,
            lost => {
                lost.into_iter().for_each(Connection::abandon);
                self.postgres.open_another()?
            }
        };
        let connection = kept.insert(connection);
        let sql = match mode {
            Mode::Shared => SHARE,
            Mode::Exclusive => ALONE,
        };
        connection.query(LEAVE, &[])?;
        // 0 would be no limit.
        let timeout = deadline
            .remaining()
            .map_or(0, |left| left.as_millis().clamp(1, i32::MAX as u128));
        connection.batch(&format!("SET lock_timeout = {timeout}"))?;
        let of_this = [self.postgres.shared.number.into(), (-self.structure).into()];
        match connection.query(sql, &of_this) {
            Ok(_) => Ok(true),
            Err(error) if Error::is_timeout(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl Drop for Tenant {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.lock().take() {
            connection.abandon();
        }
    }
}

impl fmt::Debug for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tenant").field(&self.structure).finish()
    }
}
