//! Looking after a store on this engine.

use std::path::Path;

use crate::access::Access;
use crate::error::{Error, ErrorKind, Result};
use crate::postgres::Postgres;
use crate::postgres::dialect::quoted;
use crate::report::{Problem, Report};
use crate::stats::{Stats, structures};

const LOST: &str = "SELECT id FROM value_files WHERE NOT EXISTS \
    (SELECT 1 FROM pg_largeobject_metadata WHERE CAST(oid AS BIGINT) = object) ORDER BY id";
const SIZE: &str = "SELECT coalesce(sum(pg_total_relation_size(oid)), 0) FROM pg_class \
    WHERE CAST(relnamespace AS BIGINT) = $1 AND relkind = 'r'";
const TABLES: &str = "SELECT relname FROM pg_class WHERE CAST(relnamespace AS BIGINT) = $1 AND relkind = 'r' ORDER BY relname";
const FILES: &str = "SELECT count(*), coalesce(sum(bytes), 0) FROM value_files";

impl Postgres {
    /// The server sees to its own pages; what can be missing is a large object, which an administrator may have removed.
    pub(crate) fn check(&self) -> Result<Report> {
        let lost = self
            .store()
            .read_one(|db| db.query(LOST, &[], |row| row.int(0)))?;
        let problem = |id| Problem::ValueFile {
            id,
            structure: None,
            place: None,
            how: "its large object is gone".into(),
        };
        Ok(Report {
            problems: lost.into_iter().map(problem).collect(),
        })
    }

    pub(crate) fn repair(&self) -> Result<Report> {
        let me = self.claimant()?;
        let connection = self.shared.pool.lend()?;
        self.settle_the_dead(&connection, me)?;
        drop(connection);
        self.check()
    }

    pub(crate) fn stats(&self) -> Result<Stats> {
        self.store().snapshot(|snapshot| {
            snapshot.read(|db| {
                let of_this = [self.shared.number.into()];
                let number = |number: i64| u64::try_from(number).unwrap_or(0);
                let size = db.query_one(SIZE, &of_this, |row| row.int(0))?;
                let files = db.query_one(FILES, &[], |row| Ok((row.int(0)?, row.int(1)?)))?;
                let (files, bytes) = files.unwrap_or_default();
                Ok(Stats {
                    structures: structures(db)?.into_iter().map(|(_, it)| it).collect(),
                    database_bytes: number(size.unwrap_or(0)),
                    value_files: number(files),
                    value_bytes: number(bytes),
                    ..Stats::default()
                })
            })
        })
    }

    pub(crate) fn disk_bytes(&self) -> Result<u64> {
        let stats = self.stats()?;
        Ok(stats.database_bytes + stats.value_bytes)
    }

    pub(crate) fn compact(&self) -> Result<()> {
        let connection = self.shared.pool.lend()?;
        let of_this = [self.shared.number.into()];
        for row in connection.query(TABLES, &of_this, Default::default())? {
            connection.batch(&format!("VACUUM FULL {}", quoted(row.get(0))))?;
        }
        Ok(())
    }

    pub(crate) fn backup(&self, to: &Path) -> Result<()> {
        Err(Error::new(
            ErrorKind::Unsupported,
            format!(
                "a store in a database isn't copied to {} yet: back the database up by the server's own means (pg_dump)",
                to.display()
            ),
        ))
    }
}
