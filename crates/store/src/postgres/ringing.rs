//! Waking who waits, on this machine and others.
//!
//! Who waits for a line says so in a table before he looks for what he waits for, and who commits something for that line looks
//! into the table after the commit, in the same round trip: so one of them sees the other. Only where somebody waits is there a
//! NOTIFY, and never in the transaction that it tells of, since those that have one are committed one after the other, over all of
//! a server.

use diskette_ipc::{Doorbell, OwnerId};

use crate::postgres::Postgres;
use crate::postgres::dialect::quoted;
use crate::row::Value;

/// What one pulls to wake the processes that have a store open.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Rope {
    pub(crate) channel: String,
    /// The table of those who wait.
    waiting: String,
}

impl Rope {
    pub(crate) fn of(store: i64, schema: &str) -> Self {
        Rope {
            channel: format!("diskette_{store}"),
            waiting: format!("{}.waiting", quoted(schema)),
        }
    }

    /// The statement that tells the others than `me`, if any of them waits for some of these lines, and what goes into it.
    pub(crate) fn pull(&self, lines: &[usize], me: OwnerId) -> (String, Vec<Value<'static>>) {
        let Rope { channel, waiting } = self;
        let places: Vec<_> = (2..lines.len() + 2).map(|n| format!("${n}")).collect();
        let sql = format!(
            "SELECT pg_notify('{channel}', concat(line, ' ', CAST($1 AS BIGINT))) FROM \
             (SELECT DISTINCT line FROM {waiting} WHERE owner <> $1 AND line IN ({})) AS awaited",
            places.join(", ")
        );
        let lines = lines.iter().map(|&line| of(line).into());
        (
            sql,
            std::iter::once(me.as_i64().into()).chain(lines).collect(),
        )
    }

    /// For which line it was pulled, if by another than `me`, who has rung his own bell.
    pub(crate) fn line(said: &str, me: OwnerId) -> Option<usize> {
        let (line, who) = said.split_once(' ')?;
        let is_other = who.parse() != Ok(me.as_i64());
        line.parse().ok().filter(|_| is_other)
    }
}

impl Postgres {
    pub(crate) fn bell(&self) -> &Doorbell {
        &self.home().bell
    }

    /// Wakes those who wait for these lines in this process; and elsewhere for those that were not rung with a commit. If that
    /// fails, they look by themselves before long.
    pub(crate) fn ring(&self, lines: &[usize], late: &[usize]) {
        for &line in lines {
            self.bell().ring(line);
        }
        if late.is_empty() {
            return;
        }
        if let Ok(connection) = self.lend_another() {
            let (sql, lines) = self.home().rope.pull(late, self.me());
            let _ = connection.query(&sql, &lines);
        }
    }
}

/// The number by which a line is known: there are as many as the bell of a process has.
pub(crate) fn of(line: usize) -> i64 {
    i64::try_from(line % Doorbell::LINES).unwrap_or(0)
}
