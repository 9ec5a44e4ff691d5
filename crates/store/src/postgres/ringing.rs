//! Waking who waits, on this machine and others.
//!
//! Who waits for a line says so in a table before he looks for what he waits for, and who commits something for that line looks
//! into the table after the commit: so one of them sees the other. Only where somebody waits is there a NOTIFY, in a transaction
//! of its own, since those of all sessions of a server are committed one after the other.

use diskette_ipc::Doorbell;

use crate::postgres::Postgres;
use crate::postgres::connection::Around;
use crate::postgres::session::channel;

const AWAITED: &str = "SELECT DISTINCT line FROM waiting";
const NOTIFY: &str = "SELECT pg_notify($1, $2)";

impl Postgres {
    pub(crate) fn bell(&self) -> &Doorbell {
        &self.shared.bell
    }

    /// Wakes those who wait for these lines; if it fails, they look by themselves before long.
    pub(crate) fn ring(&self, lines: &[usize]) {
        if lines.is_empty() {
            return;
        }
        for &line in lines {
            self.shared.bell.ring(line);
        }
        let Ok(connection) = self.shared.pool.lend() else {
            return;
        };
        let Ok(awaited) = connection.query(AWAITED, &[], Around::default()) else {
            return;
        };
        let channel = channel(self.shared.number);
        for row in awaited {
            let line: i64 = row.get(0);
            let is_rung = |&rung: &usize| i64::try_from(rung % Doorbell::LINES) == Ok(line);
            if lines.iter().any(is_rung) {
                let line = line.to_string();
                let say = [channel.as_str().into(), line.as_str().into()];
                let _ = connection.query(NOTIFY, &say, Around::default());
            }
        }
    }
}
